"""One outbox row as a worker sees it: found, kept, done or failed, each in one round trip.

These statements touch the outbox alone, which no policy guards; whatever a task itself reads or
writes goes through api.core.db, with an actor.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row, TextClause, text

from api.core import clock
from api.core.db import Database

ATTEMPTS_LIMIT = 10
LONGEST_BACKOFF_SECONDS = 3600

log = structlog.get_logger()

# `began` is by the database's clock, the one clock that all workers share: see OVERTAKEN.
_FIND = text(
    "SELECT task, payload, coalesce_key, correlation_id, attempts, lease_until,"
    " clock_timestamp() AS began"
    " FROM outbox WHERE id = :id AND done_at IS NULL AND dead_at IS NULL"
)
_EXTEND = text(
    "UPDATE outbox SET lease_until = greatest(lease_until, :until)"
    " WHERE id = :id AND done_at IS NULL AND dead_at IS NULL"
)
DONE = text(
    "UPDATE outbox SET done_at = clock_timestamp() WHERE id = :id AND done_at IS NULL RETURNING id"
)
# Two rows with one key may run at once, and the one with the older snapshot may come last.
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 7310))")
OVERTAKEN = text(
    "SELECT EXISTS (SELECT FROM outbox"
    " WHERE coalesce_key = :key AND done_at > :began AND id <> :id)"
)
# The lease ends now instead of becoming NULL: a row that failed must not become the one that
# later changes are merged into, or each of them would cut its back-off short and use up its
# attempts. What became of a newer attempt is none of a late failure's business.
_FAILED = text(
    "UPDATE outbox SET last_error = :error, sent_at = NULL, lease_until = :now,"
    " not_before = :again_at, dead_at = :dead_at"
    " WHERE id = :id AND done_at IS NULL AND dead_at IS NULL AND attempts = :attempts"
    " RETURNING id"
)


def backoff_seconds(*, attempts: int) -> int:
    """Return the wait after so many attempts that failed: 2, 4, 8, … at most an hour."""
    return int(min(2 ** min(attempts, 20), LONGEST_BACKOFF_SECONDS))


class Rows:
    """A worker process' way to the outbox, over the pool of its database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._engine = database.engine.execution_options(isolation_level="AUTOCOMMIT")

    async def find(self, outbox_id: UUID) -> Row[Any] | None:
        """Return a row that is neither done nor given up: task, payload, keys, attempts, lease."""
        return await self._do(_FIND, {"id": outbox_id})

    async def extend(self, outbox_id: UUID, *, until: datetime) -> None:
        """Keep the relay from sending a row again before ``until``. Never shortens a lease."""
        await self._do(_EXTEND, {"id": outbox_id, "until": until})

    async def mark_done(self, outbox_id: UUID) -> bool:
        """Mark a row done whose task had nothing to write; return False if it already was."""
        return await self._do(DONE, {"id": outbox_id}) is not None

    async def fail(
        self, outbox_id: UUID, *, attempts: int, error: Exception, now: datetime
    ) -> bool:
        """Record a failed attempt: again after a doubling wait, or given up at the limit.

        Only the error's class is kept. Returns True when the row has been given up.
        """
        dead = attempts >= ATTEMPTS_LIMIT
        values = {
            "id": outbox_id,
            "error": type(error).__name__,
            "now": now,
            "again_at": now + timedelta(seconds=backoff_seconds(attempts=attempts)),
            "dead_at": now if dead else None,
            "attempts": attempts,
        }
        return await self._do(_FAILED, values) is not None and dead

    async def _do(self, statement: TextClause, values: Mapping[str, Any]) -> Row[Any] | None:
        async with self._engine.connect() as connection:
            result = await connection.execute(statement, values)
            return result.one_or_none() if result.returns_rows else None


class Lease:
    """Keeps the relay from sending a row again while its job runs."""

    def __init__(self, rows: Rows, outbox_id: UUID, *, seconds: float) -> None:
        self._rows = rows
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
        """Stop renewing. The last transaction holds the row's lock, which says as much."""
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
                except Exception as error:
                    log.warning("lease-not-extended", outbox_id=self._outbox_id, exc_info=error)

    async def _extend(self) -> None:
        until = clock.now() + timedelta(seconds=self._seconds)
        await self._rows.extend(self._outbox_id, until=until)
