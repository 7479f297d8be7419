"""What tests of the outbox do again and again: put rows in, look at rows and effects."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row

from api.core.config import Settings
from api.core.db import Database
from api.core.outbox import Scalar, enqueue
from api.identity.rules import Service
from workers.rows import Rows
from workers.runtime import Outcome, run

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TESTS = Service("tests")


def later(seconds: float) -> datetime:
    """Return a moment after START: claims are told the time."""
    return START + timedelta(seconds=seconds)


@dataclass(slots=True)
class Shop:
    """One database: ``database`` as a worker process has it, ``connection`` as a relay has it."""

    settings: Settings
    database: Database
    connection: psycopg.Connection

    async def put(
        self,
        name: str,
        *,
        now: datetime = START,
        key: str | None = None,
        **payload: Scalar,
    ) -> UUID:
        """Enqueue one task in a transaction of its own."""
        async with self.database.write(actor=TESTS, now=now) as tx:
            return await enqueue(tx, task=name, payload=payload, now=now, coalesce_key=key)

    async def put_note(self, *, ms: int = 0) -> tuple[UUID, UUID]:
        """Enqueue chores.note for a fresh item; return the row's id and the item."""
        item = uuid4()
        return await self.put("chores.note", now=datetime.now(UTC), item=item, ms=ms), item

    async def run(self, row_id: UUID, *, name: str, lease_seconds: float = 30) -> Outcome:
        """Run the task of a row in this process, as a worker's process does."""
        return await run(
            rows=Rows(self.database), name=name, outbox_id=row_id, lease_seconds=lease_seconds
        )

    def row(self, row_id: UUID) -> dict[str, Any]:
        """Return one outbox row."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute("SELECT * FROM outbox WHERE id = %s", [row_id]).fetchone()
        assert found is not None
        return found

    def effects(self, item: UUID) -> list[dict[str, Any]]:
        """Return the effects that an item has had, the first one first."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute("SELECT * FROM chore_effects WHERE item = %s ORDER BY id", [item])
            return cursor.fetchall()
