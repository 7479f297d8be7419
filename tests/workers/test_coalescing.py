"""Ten changes of one thing are one task, and none of the changes is lost.

Every change counts an item up and enqueues ``chores.count`` under the item's key, in one
transaction. A task reads the count in a snapshot and later writes down what it read. Whatever
happens in between, what was written down never goes back, and last of all comes the last count.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from api.core.db import Database
from api.core.outbox import enqueue
from workers.relay import claim, give_back
from workers.runtime import Outcome

from . import chores
from .shop import TESTS, Shop

pytestmark = pytest.mark.anyio

_COUNT_UP = text(
    "INSERT INTO chore_counts VALUES (:item, 1)"
    " ON CONFLICT (item) DO UPDATE SET counted = chore_counts.counted + 1"
)

_LEFT = "SELECT 1 FROM outbox WHERE done_at IS NULL LIMIT 1"
_AT_ONCE = (
    "UPDATE outbox SET not_before = created_at"
    " WHERE not_before > now() AND last_error = 'Overtaken'"
)


async def change(database: Database, item: UUID, *, ms: int = 0) -> None:
    """Count an item up and ask for the task."""
    now = datetime.now(UTC)
    async with database.write(actor=TESTS, now=now) as tx:
        await tx.execute(_COUNT_UP, {"item": item})
        await enqueue(
            tx,
            task="chores.count",
            payload={"item": item, "ms": ms},
            now=now,
            coalesce_key=f"count:{item}",
        )


@dataclass(slots=True)
class Story:
    """One item's life in the hands of hypothesis; time is moved on by hand."""

    shop: Shop
    item: UUID = field(default_factory=uuid4)
    hours: int = 0
    changes: int = 0
    sent: list[UUID] = field(default_factory=list)
    under_way: list[asyncio.Task[Outcome]] = field(default_factory=list)
    gates: list[chores.Gate] = field(default_factory=list)

    async def change(self) -> None:
        """Change the item once more."""
        await change(self.shop.database, self.item)
        self.changes += 1

    async def claim(self) -> None:
        """Claim and send what is due."""
        now = datetime.now(UTC) + timedelta(hours=self.hours)
        self.sent += [row.id for row in claim(self.shop.connection, now=now, lease_seconds=30)]

    async def give_back(self) -> None:
        """Take the oldest message back, as a relay does that cannot reach the broker."""
        if self.sent:
            give_back(self.shop.connection, ids=[self.sent.pop(0)], now=datetime.now(UTC))

    async def begin(self) -> None:
        """Let a worker take the oldest message and read its snapshot, and no more."""
        if not self.sent:
            await self.claim()
        if not self.sent:
            return
        chores.GATES[self.item] = gate = chores.Gate()
        run = asyncio.create_task(self.shop.run(self.sent.pop(0), name="chores.count"))
        reached = asyncio.create_task(gate.reached.wait())
        await asyncio.wait({run, reached}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        chores.GATES.pop(self.item, None)
        self.under_way.append(run)
        self.gates.append(gate)

    async def end_first(self) -> None:
        """Let the run that began first write."""
        await self._end(0)

    async def end_last(self) -> None:
        """Let the run that began last write: it overtakes the others."""
        await self._end(-1)

    async def break_down(self) -> None:
        """Let the run that began first fail."""
        if self.under_way:
            self.gates[0].fails = True
            await self._end(0)

    async def wait(self) -> None:
        """Let all leases and back-offs run out, with runs still under way."""
        self.hours += 2

    async def _end(self, which: int) -> None:
        if self.under_way:
            self.gates.pop(which).opened.set()
            await self.under_way.pop(which)

    async def settle(self) -> None:
        """Bring everything to its end."""
        for _ in range(30):
            while self.under_way:
                await self._end(0)
            await self.wait()
            await self.claim()
            while self.sent:
                await self.begin()
                await self._end(-1)
            if not self.shop.connection.execute(
                "SELECT 1 FROM outbox WHERE done_at IS NULL"
            ).fetchone():
                return
        raise AssertionError("the outbox does not come to rest")


STEPS = (
    Story.change,
    Story.change,
    Story.begin,
    Story.claim,
    Story.give_back,
    Story.begin,
    Story.end_first,
    Story.end_last,
    Story.break_down,
    Story.wait,
)


@settings(
    # Each is a whole life with commits of its own: 400 take a minute on a quiet machine.
    max_examples=min(settings.default.max_examples, 400),
    suppress_health_check=list(HealthCheck),
)
@given(steps=st.lists(st.sampled_from(STEPS), min_size=3, max_size=15))
@example(steps=[Story.begin, Story.change, Story.begin, Story.end_last])
@example(steps=[Story.begin, Story.wait, Story.change, Story.begin, Story.begin, Story.end_last])
@example(steps=[Story.claim, Story.change, Story.give_back, Story.change, Story.begin])
async def test_no_change_is_lost_whatever_order_things_happen_in(
    shop: Shop, steps: list[Callable[[Story], Awaitable[None]]]
) -> None:
    shop.connection.execute("DELETE FROM outbox")
    story = Story(shop)
    await story.change()
    for step in steps:
        await step(story)
    await story.settle()
    counted = [effect["counted"] for effect in shop.effects(story.item)]
    assert counted == sorted(counted), "an older count was written over a newer one"
    assert counted[-1] == story.changes, "the last change was lost"


async def test_many_changes_before_the_claim_are_one_task(shop: Shop) -> None:
    item = uuid4()
    for _ in range(10):
        await change(shop.database, item)
    [row] = claim(shop.connection, now=datetime.now(UTC), lease_seconds=30)
    assert await shop.run(row.id, name="chores.count") == "done"
    assert [effect["counted"] for effect in shop.effects(item)] == [10]


async def test_changes_relays_and_workers_that_race_lose_nothing(shop: Shop, deep: bool) -> None:
    items = [uuid4() for _ in range(3)]
    changes = 200 if deep else 40
    changing = True
    queue: asyncio.Queue[UUID] = asyncio.Queue()

    async def changer() -> None:
        for _ in range(changes):
            await change(shop.database, random.choice(items), ms=random.choice((0, 1, 5)))

    def claim_in_a_thread() -> list[UUID]:
        with psycopg.connect(shop.settings.worker_url, autocommit=True) as connection:
            rows = claim(connection, now=datetime.now(UTC), lease_seconds=30, batch=2)
            return [row.id for row in rows]

    async def relay() -> None:
        while changing or shop.connection.execute(_LEFT).fetchone():
            for row_id in await asyncio.to_thread(claim_in_a_thread):
                await queue.put(row_id)
            await asyncio.sleep(0.002)

    async def worker() -> None:
        while True:
            await shop.run(await queue.get(), name="chores.count")
            # Whoever was overtaken would be tried again in two seconds; here, at once.
            shop.connection.execute(_AT_ONCE)

    relays = [asyncio.create_task(relay()) for _ in range(2)]
    workers = [asyncio.create_task(worker()) for _ in range(3)]
    await asyncio.gather(*(changer() for _ in range(3)))
    changing = False
    await asyncio.wait_for(asyncio.gather(*relays), 120)
    for each in workers:
        each.cancel()
    total = 0
    for item in items:
        counted = [effect["counted"] for effect in shop.effects(item)]
        assert counted == sorted(counted)
        total += counted[-1]
    assert total == 3 * changes
