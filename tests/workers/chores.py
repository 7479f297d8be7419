"""Tasks of the tests' own. A worker gets them by ``--include tests.workers.chores``."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import text

from workers.runtime import Job, task

# Two tables of the tests' own: each effect leaves a row, so that a second one would be seen.
TABLES = """
CREATE TABLE IF NOT EXISTS chore_effects (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outbox_id uuid NOT NULL,
    item uuid NOT NULL,
    counted bigint,
    actor_kind text,
    actor_id uuid,
    subject_id uuid,
    correlation_id uuid
);
CREATE TABLE IF NOT EXISTS chore_counts (item uuid PRIMARY KEY, counted bigint NOT NULL);
GRANT SELECT, INSERT ON chore_effects TO kith_app;
GRANT SELECT, INSERT, UPDATE ON chore_counts TO kith_app;
"""

_EFFECT = text(
    "INSERT INTO chore_effects"
    " (outbox_id, item, counted, actor_kind, actor_id, subject_id, correlation_id)"
    " VALUES (:outbox_id, :item, :counted, app_actor_kind(), app_actor_id(), app_subject_id(),"
    " :correlation_id)"
)


@dataclass(slots=True)
class Gate:
    """Stops a run of chores.count in this process between its snapshot and its last transaction."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False


GATES: dict[UUID, Gate] = {}


def make_tables(owner_url: str) -> None:
    """Make the tables in one database, as its owner."""
    with psycopg.connect(owner_url) as connection:
        connection.execute(TABLES)


@task("chores.nothing")
async def nothing(job: Job, **_later: Any) -> None:
    """Do nothing: the outbox's own cost."""


@task("chores.empty")
async def empty(job: Job, **_later: Any) -> None:
    """Do nothing in a last transaction: the least that a task with an effect costs."""
    async with job.last():
        pass


@task("chores.note", subject="item")
async def note(job: Job, *, item: UUID, ms: int = 0, **_later: Any) -> None:
    """Work for a while, then leave one row."""
    await asyncio.sleep(ms / 1000)
    async with job.last() as tx:
        await tx.execute(_EFFECT, _values(job, item, None))


@task("chores.count", subject="item")
async def count(job: Job, *, item: UUID, ms: int = 0, **_later: Any) -> None:
    """Read a count in a snapshot, take a while, and write down what was read: as a rematch does."""
    gate = GATES.pop(item, None)
    async with job.snapshot() as snapshot:
        counted = await snapshot.scalar(
            text("SELECT counted FROM chore_counts WHERE item = :item"), {"item": item}
        )
    await asyncio.sleep(ms / 1000)
    if gate is not None:
        gate.reached.set()
        await gate.opened.wait()
        if gate.fails:
            raise RuntimeError
    async with job.last() as tx:
        await tx.execute(_EFFECT, _values(job, item, counted))


@task("chores.quote", subject="item")
async def quote(job: Job, *, item: UUID, **_later: Any) -> None:
    """Fail with somebody's words in the exception, as a database's error would."""
    async with job.last() as tx:
        await tx.execute(_EFFECT, _values(job, item, None))
        raise ValueError("Marigold told us about her knees")


def _values(job: Job, item: UUID, counted: int | None) -> dict[str, Any]:
    return {
        "outbox_id": job.outbox_id,
        "item": item,
        "counted": counted,
        "correlation_id": job.correlation_id,
    }
