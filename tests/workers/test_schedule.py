"""Once per period, and what is kept for a time only."""

import threading
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core import retention
from api.identity.rules import Task
from workers.app import load_tasks
from workers.registry import REGISTRY
from workers.schedule import SCHEDULE, Periodic, Ticker

from .shop import START, Shop, later

pytestmark = pytest.mark.anyio

HOURLY = Periodic(name="tests-hourly", task="chores.nothing", every=timedelta(hours=1))


async def test_a_period_happens_once_however_many_relays_ask(shop: Shop) -> None:
    ready = threading.Barrier(4)
    enqueued: list[int] = []

    def relay() -> None:
        ticker = Ticker([HOURLY])
        with psycopg.connect(shop.settings.worker_url, autocommit=True) as connection:
            for minutes in range(0, 240, 7):
                ready.wait()
                enqueued.append(ticker.tick(connection, now=later(minutes * 60)))

    threads = [threading.Thread(target=relay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(enqueued) == 4
    found = shop.connection.execute("SELECT task, created_at FROM outbox ORDER BY created_at")
    assert [row[0] for row in found.fetchall()] == ["chores.nothing"] * 4


async def test_every_scheduled_task_is_registered_under_one_name(shop: Shop) -> None:
    load_tasks()
    names = [entry.name for entry in SCHEDULE]
    assert len(set(names)) == len(names)
    assert {entry.task for entry in SCHEDULE} <= set(REGISTRY)


@given(
    seconds=st.integers(min_value=1, max_value=90 * 86_400),
    since=st.timedeltas(min_value=timedelta(days=-10_000), max_value=timedelta(days=30_000)),
)
def test_a_moment_lies_in_exactly_one_period(seconds: int, since: timedelta) -> None:
    now = START + since
    entry = Periodic(name="any", task="chores.nothing", every=timedelta(seconds=seconds))
    start = entry.period_start(now=now)
    assert start <= now < start + entry.every
    assert entry.period_start(now=start) == start


async def test_retention_forgets_what_is_old_and_nothing_else(shop: Shop) -> None:
    names = ("fresh", "old", "waiting", "dead")
    ids = {name: await shop.put("chores.nothing") for name in names}
    old = START - timedelta(days=8)
    shop.connection.execute("UPDATE outbox SET created_at = %s, not_before = %s", [old, old])
    for name, at in (("fresh", START - timedelta(days=6)), ("old", old)):
        shop.connection.execute("UPDATE outbox SET done_at = %s WHERE id = %s", [at, ids[name]])
    shop.connection.execute("UPDATE outbox SET dead_at = %s WHERE id = %s", [old, ids["dead"]])
    old_key, fresh_key = _keep_answers(shop)
    shop.connection.execute(
        "INSERT INTO schedule_ticks VALUES ('old', %s, %s), ('new', %s, %s)",
        [START - timedelta(days=31), uuid4(), START - timedelta(days=29), uuid4()],
    )
    await _forget(shop)
    left = shop.connection.execute("SELECT id FROM outbox").fetchall()
    assert {row[0] for row in left} == {ids[name] for name in names if name != "old"}
    with psycopg.connect(shop.settings.migrate_url or "") as owner:
        answers = dict(owner.execute("SELECT key, body FROM idempotency_keys").fetchall())
        assert (answers[old_key], answers[fresh_key]) == (None, b"kept")
        ticks = owner.execute("SELECT name FROM schedule_ticks WHERE name IN ('old', 'new')")
        assert ticks.fetchall() == [("new",)]


async def test_retention_works_in_bounded_batches(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    for _ in range(7):
        await shop.put("chores.nothing")
    shop.connection.execute("UPDATE outbox SET done_at = %s", [START - timedelta(days=8)])
    actor = Task("core.retention", uuid4(), None)
    deleted = []
    for _ in range(4):
        async with shop.database.write(actor=actor, now=START) as tx:
            deleted.append(await retention.delete_done_outbox_rows(tx, now=START))
    assert deleted == [3, 3, 1, 0]


def _keep_answers(shop: Shop) -> tuple[str, str]:
    """Store two answers of somebody, one of them old; return their keys."""
    keys = (uuid4().hex, uuid4().hex)
    with psycopg.connect(shop.settings.migrate_url or "") as owner:
        for key, days in zip(keys, (91, 89), strict=True):
            owner.execute(
                "INSERT INTO idempotency_keys VALUES ('person:x', %s, '', 201, NULL, 'kept', %s)",
                [key, START - timedelta(days=days)],
            )
    return keys


async def _forget(shop: Shop) -> None:
    actor = Task("core.retention", uuid4(), None)
    for step in retention.STEPS:
        async with shop.database.write(actor=actor, now=START) as tx:
            await step(tx, now=START)
