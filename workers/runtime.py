"""What stands around every task: actor, clock, snapshot, lease, and an effect that happens once.

A message says only which outbox row is due. The row says which task, for whom and with what, so
that nobody who reaches the broker can make a worker act for somebody else. A run may be one of
several of the same row, at the same moment or later; the last transaction settles which counts.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import structlog
from sqlalchemy import Row, TextClause, text
from sqlalchemy.exc import DBAPIError

from api.core import clock, trace
from api.core.db import Database, ReadSession, WriteSession, sqlstate
from api.identity.rules import Task as TaskActor
from workers import registry
from workers.registry import REGISTRY, Registered, task

__all__ = ["Job", "Outcome", "run", "task"]

ATTEMPTS_LIMIT = 10
LONGEST_BACKOFF_SECONDS = 3600

Outcome = Literal["done", "already-done", "failed", "dead"]

log = structlog.get_logger()

_CLASHES = {"40001", "40P01", "55P03"}

# `began` is the database's clock, the one clock that all workers share: see _DONE.
_FIND = text(
    "SELECT task, payload, coalesce_key, correlation_id, attempts, lease_until,"
    " clock_timestamp() AS began"
    " FROM outbox WHERE id = :id AND done_at IS NULL AND dead_at IS NULL"
)
_EXTEND = text(
    "UPDATE outbox SET lease_until = greatest(lease_until, :until)"
    " WHERE id = :id AND done_at IS NULL AND dead_at IS NULL"
)
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 7310))")
_DONE = text(
    "UPDATE outbox SET done_at = clock_timestamp() WHERE id = :id AND done_at IS NULL"
    " RETURNING EXISTS (SELECT FROM outbox other WHERE other.coalesce_key = :key"
    "   AND other.id <> :id AND other.done_at > :began) AS overtaken"
)
# The lease ends now instead of becoming NULL: a row that failed must not become the one that
# later changes are merged into, or each of them would cut its back-off short and use up its
# attempts. A newer attempt (attempts) is none of a late failure's business.
_FAILED = text(
    "UPDATE outbox SET last_error = :error, sent_at = NULL, lease_until = :now,"
    " not_before = :again_at, dead_at = :dead_at"
    " WHERE id = :id AND done_at IS NULL AND dead_at IS NULL AND attempts = :attempts"
    " RETURNING id"
)


class AlreadyDone(Exception):
    """Another run of this row was first. Nothing is to be done, and nothing is kept."""


class Overtaken(Exception):
    """A later change of the same thing was dealt with while this run had an older snapshot."""


class UnknownTask(Exception):
    """No module of this worker registers a task of that name; a newer worker may."""


def backoff_seconds(*, attempts: int) -> int:
    """Return the wait after so many attempts that failed: 2, 4, 8, … at most an hour."""
    return int(min(2 ** min(attempts, 20), LONGEST_BACKOFF_SECONDS))


@dataclass(slots=True, kw_only=True)
class Job:
    """One run of one outbox row."""

    name: str
    outbox_id: UUID
    correlation_id: UUID
    payload: Mapping[str, Any]
    attempt: int
    actor: TaskActor
    now: datetime
    database: Database
    _key: str | None
    _began: datetime
    _lease: "_Lease"
    _finished: bool = field(default=False, init=False)

    @asynccontextmanager
    async def snapshot(self, *, role: str | None = None) -> AsyncIterator[ReadSession]:
        """Open a READ ONLY snapshot, as ``role`` if given. Close it before long work begins."""
        async with self.database.read(actor=self.actor, now=self.now, role=role) as session:
            yield session

    @asynccontextmanager
    async def last(self) -> AsyncIterator[WriteSession]:
        """Open the last transaction: all that this run writes, together with the done-mark.

        When another run of the row was first, or a later change overtook this one, the body is
        not entered and nothing is kept; the runtime knows what to do then. Once per run.
        """
        if self._finished:
            raise RuntimeError("a task has one last transaction")
        self._finished = True
        await self._lease.end()
        async with self.database.write(actor=self.actor, now=self.now) as tx:
            if self._key is not None:
                # Apart from the update below, whose snapshot must see who held the lock before.
                await tx.execute(_ONE_AT_A_TIME, {"key": self._key})
            mine = {"id": self.outbox_id, "key": self._key, "began": self._began}
            marked = (await tx.execute(_DONE, mine)).one_or_none()
            if marked is None:
                raise AlreadyDone
            if marked.overtaken:
                raise Overtaken
            yield tx


async def run(*, database: Database, name: str, outbox_id: UUID, lease_seconds: float) -> Outcome:
    """Run the task of one outbox row and say how it went. Only the process' end gets out of it."""
    registered = REGISTRY[name]
    started = time.monotonic()
    try:
        row = await _at_once(database, _FIND, {"id": outbox_id})
    except Exception as error:
        # The row keeps its lease; once that is over it is sent again.
        log.error("task-row-unreadable", task=name, outbox_id=outbox_id, exc_info=error)
        return "failed"
    if row is None or row.task != name:
        log.info("task-not-due", task=name, outbox_id=outbox_id)
        return "already-done"
    trace.begin(row.correlation_id)
    outcome = await _run_found(database, registered, outbox_id, row, lease_seconds)
    ms = round((time.monotonic() - started) * 1000, 1)
    log.info(
        "task-ended",
        task=name,
        outbox_id=outbox_id,
        attempt=row.attempts,
        outcome=outcome,
        ms=ms,
    )
    return outcome


async def _run_found(
    database: Database, registered: Registered, outbox_id: UUID, row: Row[Any], seconds: float
) -> Outcome:
    lease = _Lease(database, outbox_id, seconds)
    now = clock.now()
    try:
        job = Job(
            name=registered.name,
            outbox_id=outbox_id,
            correlation_id=row.correlation_id,
            payload=row.payload,
            attempt=row.attempts,
            actor=registry.actor(registered, outbox_id, row.payload),
            now=now,
            database=database,
            _key=row.coalesce_key,
            _began=row.began,
            _lease=lease,
        )
        await lease.begin(until=row.lease_until, now=now)
        await registered.body(job, **registry.arguments(registered, row.payload))
        if not job._finished:
            await _mark_done(database, outbox_id)
    except AlreadyDone:
        return "already-done"
    except Exception as error:
        return await fail(
            database=database,
            name=registered.name,
            outbox_id=outbox_id,
            attempts=row.attempts,
            error=error,
            now=clock.now(),
        )
    finally:
        await lease.end()
    return "done"


async def fail(
    *,
    database: Database,
    name: str,
    outbox_id: UUID,
    attempts: int,
    error: Exception,
    now: datetime,
) -> Outcome:
    """Record that an attempt failed: again after a doubling wait, or given up at the limit."""
    dead = attempts >= ATTEMPTS_LIMIT
    again_at = now + timedelta(seconds=backoff_seconds(attempts=attempts))
    values = {
        "id": outbox_id,
        "error": type(error).__name__,
        "now": now,
        "again_at": again_at,
        "dead_at": now if dead else None,
        "attempts": attempts,
    }
    if isinstance(error, Overtaken) or sqlstate(error) in _CLASHES:
        log.warning("task-clashed", task=name, outbox_id=outbox_id, attempt=attempts)
    else:
        log.error("task-failed", task=name, outbox_id=outbox_id, attempt=attempts, exc_info=error)
    try:
        recorded = await _at_once(database, _FAILED, values)
    except (DBAPIError, OSError, TimeoutError) as trouble:
        # Not lost: its lease runs out, and the relay sends it again.
        log.error("task-failure-unrecorded", task=name, outbox_id=outbox_id, exc_info=trouble)
        return "failed"
    if dead and recorded is not None:
        log.error("task-dead", task=name, outbox_id=outbox_id, attempt=attempts)
        return "dead"
    return "failed"


async def refuse(*, database: Database, outbox_id: UUID, now: datetime) -> None:
    """Count a failed attempt of a row whose task nobody here knows."""
    row = await _at_once(database, _FIND, {"id": outbox_id})
    if row is not None:
        trace.begin(row.correlation_id)
        await fail(
            database=database,
            name=row.task,
            outbox_id=outbox_id,
            attempts=row.attempts,
            error=UnknownTask(),
            now=now,
        )


class _Lease:
    """Keeps the relay from sending a row again while its job runs."""

    def __init__(self, database: Database, outbox_id: UUID, seconds: float) -> None:
        self._database = database
        self._outbox_id = outbox_id
        self._seconds = seconds
        self._beat: asyncio.Task[None] | None = None
        self._ended = False
        self._statement = asyncio.Lock()

    async def begin(self, *, until: datetime | None, now: datetime) -> None:
        """Renew a lease of which a third is gone or more, then keep it renewed."""
        if until is None or until < now + timedelta(seconds=self._seconds * 2 / 3):
            await self._extend()
        self._beat = asyncio.create_task(self._keep())

    async def end(self) -> None:
        """Stop renewing: the last transaction holds the row's lock, which says as much."""
        async with self._statement:  # never breaks off a statement under way
            self._ended = True
        if self._beat is not None:
            self._beat.cancel()
            with suppress(asyncio.CancelledError):
                await self._beat
            self._beat = None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / 3)
            async with self._statement:
                if self._ended:
                    return
                try:
                    await self._extend()
                except (DBAPIError, OSError, TimeoutError) as error:
                    log.warning("lease-not-extended", outbox_id=self._outbox_id, exc_info=error)

    async def _extend(self) -> None:
        until = clock.now() + timedelta(seconds=self._seconds)
        await _at_once(self._database, _EXTEND, {"id": self._outbox_id, "until": until})


async def _mark_done(database: Database, outbox_id: UUID) -> None:
    mine = {"id": outbox_id, "key": None, "began": None}
    if await _at_once(database, _DONE, mine) is None:
        raise AlreadyDone


async def _at_once(
    database: Database, statement: TextClause, values: Mapping[str, Any]
) -> Row[Any] | None:
    """Do one statement on the outbox alone, which no policy guards, in one round trip."""
    engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        result = await connection.execute(statement, values)
        return result.one_or_none() if result.returns_rows else None
