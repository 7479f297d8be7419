"""Real relays and workers, as processes: what they log, how they end, what they live through."""

import asyncio
import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis

from api.core import trace
from deploy.local import Stack
from tests.fixtures.crew import Crew, until
from tests.fixtures.servers import Servers
from workers.app import QUEUE
from workers.schedule import SCHEDULE

from .shop import Shop

pytestmark = pytest.mark.anyio

CHORES = ["tests.workers.chores"]


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Stack]:
    """Lend a broker of this test's own, to be stopped and to be given rubbish."""
    stack = Stack(tmp_path / "broker")
    stack.start_valkey()
    yield stack
    stack.reset()


async def test_a_task_logs_the_correlation_id_of_the_change_that_asked_for_it(
    shop: Shop, crew: Crew
) -> None:
    crew.start_relay()
    crew.start_worker(pool="solo")
    correlation_id = trace.begin()
    row_id, item = await shop.put_note()
    crew.drain()
    [line] = [line for line in crew.log("worker") if line.get("outbox_id") == str(row_id)]
    assert line["event"] == "task-ended"
    assert line["outcome"] == "done"
    assert line["correlation_id"] == str(correlation_id)
    assert shop.effects(item)[0]["correlation_id"] == correlation_id


async def test_no_log_carries_the_words_of_an_exception(shop: Shop, crew: Crew) -> None:
    crew.start_relay()
    crew.start_worker()
    row_id = await shop.put("chores.quote", now=datetime.now(UTC), item=uuid4())
    failed = crew.until_logged("worker", "task-failed")
    assert failed["outbox_id"] == str(row_id)
    assert failed["error"] == "ValueError"
    assert any("chores.py" in frame for frame in failed["frames"])
    for name in ("relay", "worker"):
        assert "Marigold" not in crew.raw_log(name)
        assert all(isinstance(line, dict) for line in crew.log(name))


async def test_a_task_that_no_worker_knows_is_counted_and_then_given_up(
    shop: Shop, crew: Crew
) -> None:
    unheard = await shop.put("chores.unheard", now=datetime.now(UTC))
    crew.start_relay()
    crew.start_worker()
    until(lambda: shop.row(unheard)["last_error"] is not None, seconds=30, what="the refusal")
    assert shop.row(unheard)["last_error"] == "UnknownTask"
    assert shop.row(unheard)["dead_at"] is None
    shop.connection.execute(
        "UPDATE outbox SET attempts = 9, not_before = created_at WHERE id = %s", [unheard]
    )
    until(lambda: shop.row(unheard)["dead_at"] is not None, seconds=30, what="the dead letter")
    assert crew.until_logged("worker", "task-dead")["level"] == "error"
    _, item = await shop.put_note()
    until(lambda: len(shop.effects(item)) == 1, seconds=30, what="the next task")


async def test_rubbish_in_the_queue_does_not_stop_a_worker(
    shop: Shop, own_broker: Stack, tmp_path: Path
) -> None:
    settings = replace(shop.settings, broker_url=own_broker.broker_url())
    with (
        Crew(settings, logs=tmp_path, include=CHORES) as crew,
        redis.Redis.from_url(own_broker.redis_url()) as client,
    ):
        crew.start_relay()
        crew.start_worker()
        crew.until_logged("worker", "worker-ready")
        row_id, item = await shop.put_note()
        until(lambda: len(shop.effects(item)) == 1, seconds=30, what="the first task")
        forged = [
            {"outbox_id": "Marigold"},
            {"outbox_id": str(uuid4())},
            {"outbox_id": str(row_id)},
            {},
        ]
        for kwargs in forged:
            client.lpush(QUEUE, _message("chores.note", kwargs))
        client.lpush(QUEUE, _message("no.such", {"outbox_id": str(row_id)}))
        _, another = await shop.put_note()
        until(lambda: len(shop.effects(another)) == 1, seconds=30, what="the task after rubbish")
        assert len(shop.effects(item)) == 1
        assert "Marigold" not in crew.raw_log("worker")


async def test_a_broker_that_was_away_is_no_loss(
    shop: Shop, own_broker: Stack, tmp_path: Path
) -> None:
    settings = replace(shop.settings, broker_url=own_broker.broker_url())
    with Crew(settings, logs=tmp_path, include=CHORES) as crew:
        crew.start_relay()
        crew.start_worker()
        crew.until_logged("worker", "worker-ready")
        own_broker.stop_valkey(kill=True, lose_data=True)
        items = [(await shop.put_note())[1] for _ in range(5)]
        assert crew.until_logged("relay", "relay-cannot-reach")["part"] == "broker"
        counted = "SELECT max(attempts) FROM outbox WHERE task = 'chores.note'"
        assert shop.connection.execute(counted).fetchone() == (0,)
        own_broker.start_valkey()
        crew.drain()
        crew.until_logged("relay", "relay-reaches-all-again")
        assert [len(shop.effects(item)) for item in items] == [1] * 5
        told = [line["event"] for line in crew.log("relay")]
        assert told.count("relay-cannot-reach") == told.count("relay-reaches-all-again")
        assert told.count("relay-cannot-reach") <= 2


async def test_a_worker_that_was_full_when_the_broker_went_away_goes_on(
    shop: Shop, own_broker: Stack, tmp_path: Path
) -> None:
    settings = replace(shop.settings, broker_url=own_broker.broker_url())
    with Crew(settings, logs=tmp_path, include=CHORES) as crew:
        crew.start_relay()
        crew.start_worker(concurrency=2)
        items = [(await shop.put_note(ms=60))[1] for _ in range(40)]
        until(lambda: len(shop.effects(items[4])) == 1, seconds=30, what="the first tasks")
        own_broker.stop_valkey(kill=True, lose_data=True)
        await asyncio.sleep(1)  # all that the worker holds comes to be acknowledged, in vain
        own_broker.start_valkey()
        crew.drain(seconds=40)
        assert [len(shop.effects(item)) for item in items] == [1] * 40


async def test_a_lost_message_is_sent_again_when_its_lease_is_over(shop: Shop, crew: Crew) -> None:
    crew.start_relay()
    row_id, item = await shop.put_note()
    until(lambda: shop.row(row_id)["sent_at"] is not None, seconds=30, what="the first sending")
    with redis.Redis.from_url(_redis_url(shop)) as client:
        assert client.delete(QUEUE) == 1
    crew.start_worker()
    crew.drain()
    assert shop.row(row_id)["attempts"] > 1
    assert len(shop.effects(item)) == 1


async def test_a_worker_told_to_end_is_quick_and_what_it_left_is_done_by_the_next(
    shop: Shop, crew: Crew
) -> None:
    crew.start_relay()
    crew.start_worker(concurrency=2)
    items = [(await shop.put_note(ms=100))[1] for _ in range(60)]
    until(lambda: len(shop.effects(items[3])) == 1, seconds=30, what="the first tasks")
    crew.signal("worker", signal.SIGTERM)
    assert crew.wait("worker") < 8
    assert sum(len(shop.effects(item)) for item in items) < 60
    crew.start_worker(concurrency=2)
    crew.drain(seconds=60)
    assert [len(shop.effects(item)) for item in items] == [1] * 60


async def test_a_relay_told_to_end_finishes_what_it_claimed(shop: Shop, crew: Crew) -> None:
    ids = [await shop.put("chores.nothing", now=datetime.now(UTC)) for _ in range(300)]
    crew.start_relay()
    until(lambda: shop.row(ids[0])["lease_until"] is not None, seconds=30, what="the first claim")
    crew.signal("relay", signal.SIGTERM)
    assert crew.wait("relay") < 5
    assert crew.log("relay")[-1]["event"] == "relay-stopped"
    half_done = shop.connection.execute(
        "SELECT count(*) FROM outbox WHERE lease_until IS NOT NULL AND sent_at IS NULL"
    ).fetchone()
    assert half_done == (0,)


async def test_the_schedule_runs_once_however_many_relays_there_are(
    servers: Servers, tmp_path: Path
) -> None:
    settings = servers.settings(servers.clone())
    with (
        Crew(settings, logs=tmp_path) as crew,
        psycopg.connect(settings.worker_url, autocommit=True) as connection,
    ):
        for name in ("relay", "second", "third"):
            crew.start_relay(name)
        for name in ("relay", "second", "third"):
            crew.until_logged(name, "relay-starting")
        crew.start_worker()
        # As many as there were periods: a period may end while the test runs.
        counts = """
            SELECT (SELECT count(DISTINCT name) FROM schedule_ticks),
                (SELECT count(*) FROM schedule_ticks),
                (SELECT count(*) FROM outbox),
                (SELECT count(*) FROM outbox JOIN schedule_ticks ON outbox.id = outbox_id
                    WHERE done_at IS NOT NULL)
        """
        found: list[int] = []

        def all_done() -> bool:
            found[:] = connection.execute(counts).fetchone() or ()
            return found[0] == len(SCHEDULE) and found[3] >= found[1]

        until(all_done, seconds=30, what="every scheduled task")
        _, periods, rows, done = found
        assert periods == rows == done


def _redis_url(shop: Shop) -> str:
    """Return the address of the shop's virtual host as redis-py writes it."""
    path, _, host = shop.settings.broker_url.partition("?virtual_host=")
    return f"{path.replace('redis+socket', 'unix')}?db={host}"


def _message(task: str, kwargs: dict[str, str]) -> str:
    """Return a message as kombu writes it into Redis."""
    message_id = str(uuid4())
    return json.dumps(
        {
            "body": json.dumps([[], kwargs, {}]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"lang": "py", "task": task, "id": message_id, "root_id": message_id},
            "properties": {
                "correlation_id": message_id,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": QUEUE},
                "delivery_tag": message_id,
            },
        }
    )
