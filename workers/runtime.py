"""What stands around every task: actor, clock, snapshot, lease, and an effect that happens once.

A message says only which outbox row is due. The row says which task, for whom and with what, so
that nobody who reaches the broker can make a worker act for somebody else. A run may be one of
several of the same row, at the same moment or later; the last transaction settles which counts.
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import structlog
from sqlalchemy import Row

from api.core import clock, trace
from api.core.db import Database, ReadSession, WriteSession, sqlstate
from api.identity.rules import Task as TaskActor
from workers import registry
from workers.registry import REGISTRY, Registered, task
from workers.rows import DONE, ONE_AT_A_TIME, OVERTAKEN, Lease, Rows

__all__ = ["AlreadyDone", "Job", "Outcome", "Overtaken", "UnknownTask", "refuse", "run", "task"]

Outcome = Literal["done", "already-done", "failed", "dead"]

log = structlog.get_logger()

_CLASHES = {"40001", "40P01", "55P03"}


class AlreadyDone(Exception):
    """Another run of this row was first. Nothing is to be done, and nothing is kept."""


class Overtaken(Exception):
    """A later change of the same thing was dealt with while this run had an older snapshot."""


class UnknownTask(Exception):
    """No module of this worker registers a task of that name; a newer worker's may."""


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
    _lease: Lease
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
        mine = {"id": self.outbox_id, "key": self._key, "began": self._began}
        async with self.database.write(actor=self.actor, now=self.now) as tx:
            if self._key is not None:
                # A statement of its own: the next one must see what the lock was held for.
                await tx.execute(ONE_AT_A_TIME, mine)
            if (await tx.execute(DONE, mine)).one_or_none() is None:
                raise AlreadyDone
            if self._key is not None and await tx.scalar(OVERTAKEN, mine):
                raise Overtaken
            yield tx


async def run(*, rows: Rows, name: str, outbox_id: UUID, lease_seconds: float) -> Outcome:
    """Run the task of one outbox row and say how it went. Only the process' end gets out of it."""
    started = time.monotonic()
    try:
        row = await rows.find(outbox_id)
    except Exception as error:
        # The row keeps its lease; once that is over it is sent again.
        log.error("task-row-unreadable", task=name, outbox_id=outbox_id, exc_info=error)
        return "failed"
    if row is None or row.task != name:
        log.info("task-not-due", task=name, outbox_id=outbox_id)
        return "already-done"
    trace.begin(row.correlation_id)
    outcome = await _run_found(rows, REGISTRY[name], outbox_id, row, lease_seconds)
    log.info(
        "task-ended",
        task=name,
        outbox_id=outbox_id,
        attempt=row.attempts,
        outcome=outcome,
        ms=round((time.monotonic() - started) * 1000, 1),
    )
    return outcome


async def refuse(*, rows: Rows, outbox_id: UUID) -> None:
    """Count a failed attempt of a row whose task nobody here knows."""
    row = await rows.find(outbox_id)
    if row is not None:
        trace.begin(row.correlation_id)
        await _fail(rows, outbox_id, row, UnknownTask())


async def _run_found(
    rows: Rows, registered: Registered, outbox_id: UUID, row: Row[Any], lease_seconds: float
) -> Outcome:
    lease = Lease(rows, outbox_id, seconds=lease_seconds)
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
            database=rows.database,
            _key=row.coalesce_key,
            _began=row.began,
            _lease=lease,
        )
        await lease.begin(until=row.lease_until, now=now)
        await registered.body(job, **registry.arguments(registered, row.payload))
        if job._finished or await rows.mark_done(outbox_id):
            return "done"
        return "already-done"
    except AlreadyDone:
        return "already-done"
    except Exception as error:
        return await _fail(rows, outbox_id, row, error)
    finally:
        await lease.end()


async def _fail(rows: Rows, outbox_id: UUID, row: Row[Any], error: Exception) -> Outcome:
    if isinstance(error, Overtaken) or sqlstate(error) in _CLASHES:
        log.warning("task-clashed", task=row.task, outbox_id=outbox_id, attempt=row.attempts)
    else:
        log.error(
            "task-failed",
            task=row.task,
            outbox_id=outbox_id,
            attempt=row.attempts,
            exc_info=error,
        )
    try:
        dead = await rows.fail(outbox_id, attempts=row.attempts, error=error, now=clock.now())
    except Exception as trouble:
        # Not lost: its lease runs out, and the relay sends it again.
        log.error("failure-unrecorded", task=row.task, outbox_id=outbox_id, exc_info=trouble)
        return "failed"
    if dead:
        log.error("task-dead", task=row.task, outbox_id=outbox_id, attempt=row.attempts)
    return "dead" if dead else "failed"
