"""What stands around a task, run in this process as a worker's process runs it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.core import trace
from api.core.db import Database
from workers.registry import REGISTRY, arguments, task
from workers.relay import claim
from workers.rows import ATTEMPTS_LIMIT, Rows
from workers.runtime import Job, run

from . import chores
from .shop import Shop

pytestmark = pytest.mark.anyio


def now() -> datetime:
    """Return the real time: the runtime reads a real clock."""
    return datetime.now(UTC)


def take(shop: Shop, *, after: float = 0) -> list[UUID]:
    """Claim what is due so many seconds from now."""
    rows = claim(shop.connection, now=now() + timedelta(seconds=after), lease_seconds=30)
    return [row.id for row in rows]


async def test_a_task_runs_once_as_an_actor_for_its_subject(shop: Shop) -> None:
    correlation_id = trace.begin()
    row_id, item = await shop.put_note()
    assert take(shop) == [row_id]
    assert await shop.run(row_id, name="chores.note") == "done"
    [effect] = shop.effects(item)
    assert effect["actor_kind"] == "task"
    assert effect["actor_id"] == effect["outbox_id"] == row_id
    assert effect["subject_id"] == item
    assert effect["correlation_id"] == correlation_id
    assert shop.row(row_id)["done_at"] is not None


async def test_a_message_that_comes_again_has_no_second_effect(shop: Shop) -> None:
    row_id, item = await shop.put_note()
    take(shop)
    outcomes = [await shop.run(row_id, name="chores.note") for _ in range(3)]
    assert outcomes == ["done", "already-done", "already-done"]
    assert len(shop.effects(item)) == 1


async def test_two_workers_with_the_same_message_at_once_have_one_effect(shop: Shop) -> None:
    other = Database(shop.settings.worker_url, application_name="kith-test")
    for ms in (0, 1, 2, 5, 10) * 4:
        row_id, item = await shop.put_note(ms=ms)
        take(shop)
        outcomes = await asyncio.gather(
            *(
                run(rows=Rows(database), name="chores.note", outbox_id=row_id, lease_seconds=30)
                for database in (shop.database, other)
            )
        )
        assert sorted(outcomes) == ["already-done", "done"]
        assert len(shop.effects(item)) == 1
    await other.close()


async def test_a_task_that_writes_nothing_is_marked_done(shop: Shop) -> None:
    row_id = await shop.put("chores.nothing", now=now())
    take(shop)
    assert await shop.run(row_id, name="chores.nothing") == "done"
    assert await shop.run(row_id, name="chores.nothing") == "already-done"


async def test_a_failure_leaves_no_effect_and_only_the_name_of_its_class(shop: Shop) -> None:
    item = uuid4()
    row_id = await shop.put("chores.quote", now=now(), item=item)
    take(shop)
    assert await shop.run(row_id, name="chores.quote") == "failed"
    row = shop.row(row_id)
    assert row["last_error"] == "ValueError"
    assert row["done_at"] is None
    assert row["sent_at"] is None
    assert shop.effects(item) == []


async def test_the_wait_doubles_with_each_failure_until_the_row_is_given_up(shop: Shop) -> None:
    row_id = await shop.put("chores.quote", now=now(), item=uuid4())
    for attempt in range(1, ATTEMPTS_LIMIT + 1):
        assert take(shop, after=3600 * attempt) == [row_id]
        before = now()
        outcome = await shop.run(row_id, name="chores.quote")
        row = shop.row(row_id)
        wait = (row["not_before"] - before).total_seconds()
        assert 2**attempt <= wait < 2**attempt + 2
        assert outcome == ("dead" if attempt == ATTEMPTS_LIMIT else "failed")
    assert row["dead_at"] is not None
    assert take(shop, after=10**6) == []


async def test_a_failed_row_keeps_its_wait_when_the_same_thing_changes_again(shop: Shop) -> None:
    item = uuid4()
    failed = await shop.put("chores.quote", now=now(), key=f"quote:{item}", item=item)
    take(shop)
    await shop.run(failed, name="chores.quote")
    newer = await shop.put("chores.quote", now=now(), key=f"quote:{item}", item=item)
    assert newer != failed
    assert take(shop) == [newer]


async def test_a_late_failure_does_not_disturb_a_newer_attempt(shop: Shop) -> None:
    row_id = await shop.put("chores.quote", now=now(), item=uuid4())
    take(shop)
    rows = Rows(shop.database)
    late = await rows.find(row_id)
    assert late is not None
    assert take(shop, after=3600) == [row_id]
    lease = shop.row(row_id)["lease_until"]
    await rows.fail(row_id, attempts=late.attempts, error=ValueError(), now=now())
    assert shop.row(row_id)["lease_until"] == lease
    assert shop.row(row_id)["last_error"] is None


async def test_the_lease_is_extended_while_the_task_runs(shop: Shop) -> None:
    row_id, item = await shop.put_note(ms=1800)
    claim(shop.connection, now=now(), lease_seconds=0.9)
    running = asyncio.create_task(shop.run(row_id, name="chores.note", lease_seconds=0.9))
    while not running.done():
        assert take(shop) == []
        await asyncio.sleep(0.1)
    assert await running == "done"
    assert len(shop.effects(item)) == 1


async def test_a_message_that_names_another_task_than_the_row_is_not_run(shop: Shop) -> None:
    row_id, _item = await shop.put_note()
    take(shop)
    assert await shop.run(row_id, name="chores.nothing") == "already-done"
    assert shop.row(row_id)["done_at"] is None
    assert await shop.run(row_id, name="chores.note") == "done"


async def test_a_message_for_a_row_that_is_not_there_is_not_run(shop: Shop) -> None:
    assert await shop.run(uuid4(), name="chores.note") == "already-done"


async def test_an_older_snapshot_does_not_write_over_a_newer_one(shop: Shop) -> None:
    item, key = uuid4(), f"count:{uuid4()}"
    shop.connection.execute("INSERT INTO chore_counts VALUES (%s, 1)", [item])
    older = await shop.put("chores.count", now=now(), key=key, item=item)
    take(shop)
    chores.GATES[item] = gate = chores.Gate()
    slow = asyncio.create_task(shop.run(older, name="chores.count"))
    await gate.reached.wait()
    shop.connection.execute("UPDATE chore_counts SET counted = 2 WHERE item = %s", [item])
    newer = await shop.put("chores.count", now=now(), key=key, item=item)
    assert take(shop) == [newer]
    assert await shop.run(newer, name="chores.count") == "done"
    gate.opened.set()
    assert await slow == "failed"
    assert shop.row(older)["last_error"] == "Overtaken"
    assert [effect["counted"] for effect in shop.effects(item)] == [2]
    assert take(shop, after=60) == [older]
    assert await shop.run(older, name="chores.count") == "done"
    assert [effect["counted"] for effect in shop.effects(item)] == [2, 2]


def test_an_argument_that_is_an_id_arrives_as_one_and_later_keys_are_let_in() -> None:
    payload = {"item": str(uuid4()), "ms": 5, "of_a_later_version": "yes"}
    given = arguments(REGISTRY["chores.note"], payload)
    assert given == {**payload, "item": UUID(payload["item"])}


def _not_async(job: Job, **later: Any) -> None: ...


async def _not_tolerant(job: Job, *, item: UUID) -> None: ...


async def _by_position(job: Job, item: UUID, **later: Any) -> None: ...


@pytest.mark.parametrize("body", [_not_async, _not_tolerant, _by_position])
def test_a_task_of_another_form_is_refused_at_import(body: Any) -> None:
    with pytest.raises(TypeError):
        task("chores.refused")(body)
    assert "chores.refused" not in REGISTRY


@pytest.mark.parametrize("name", ["chores.note", "chores", "Chores.Note", "a.b.c"])
def test_a_task_needs_a_free_name_of_its_slice(name: str) -> None:
    async def body(job: Job, **later: Any) -> None: ...

    with pytest.raises(ValueError, match="of the form"):
        task(name)(body)
