"""How many changes per second go through outbox, relay, broker, worker and done-mark.

The task does nothing, so the figure is the price of the way itself: once with the done-mark alone
and once with an empty last transaction, as every task has that writes something. Beside them
stands Celery's own rate for a task that does nothing, with the same broker, settings and number of
processes. All are measured in turns, because machines have moods. Servers are started for the
measurement, with fsync on, and deleted afterwards.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import redis

from api.core.config import Settings
from api.core.db import Database
from api.core.outbox import enqueue
from api.identity.rules import Service
from deploy.local import Stack
from tests.bench.plain_celery import NAME as PLAIN
from tests.fixtures.crew import Crew, until
from tests.fixtures.servers import API, OWNER, WORKER, migrate_as_owner
from workers.app import QUEUE, make_app

ROUNDS = 3
CHANGES = 1_000
WARM_UP = 200
PROCESSES = (1, 2)
KINDS = ("celery", "outbox", "outbox_last")
TASKS = {"outbox": "chores.nothing", "outbox_last": "chores.empty"}

_PUT = """
INSERT INTO outbox (id, task, payload, correlation_id, created_at, not_before)
SELECT uuidv7(), %s, '{}', gen_random_uuid(), now(), now() FROM generate_series(1, %s)
"""
_LEFT = "SELECT 1 FROM outbox WHERE task = %s AND done_at IS NULL LIMIT 1"


def run(*, json: bool, rounds: int = ROUNDS, changes: int = CHANGES) -> dict[str, Any]:
    """Measure, and return rates per second; unless ``json``, print them in words too.

    ``outbox`` is from the commit of all changes to the last done-mark; ``celery`` from the first
    message sent to the last one begun, sent by one process as the relay does; ``enqueue`` is one
    change per transaction, one after the other. Each is a median with the lowest and highest.
    """
    found: dict[tuple[int, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="kith-bench-") as folder, _stack(Path(folder)) as stack:
        settings = _settings(stack)
        for number in range(rounds):
            for processes in PROCESSES:
                for kind in KINDS if number % 2 == 0 else KINDS[::-1]:
                    _say(f"round {number + 1} of {rounds}: {kind}, worker processes: {processes}")
                    with Crew(
                        settings,
                        logs=Path(tempfile.mkdtemp(dir=folder)),
                        include=["tests.workers.chores"],
                    ) as crew:
                        if kind == "celery":
                            rate = _celery(stack, crew, processes, changes)
                        else:
                            rate = _outbox(crew, TASKS[kind], processes, changes)
                    found.setdefault((processes, kind), []).append(rate)
            _say(f"round {number + 1} of {rounds}: enqueue")
            rate = asyncio.run(_enqueue(settings, changes // 3))
            found.setdefault((0, "enqueue"), []).append(rate)
    result = _result(found, rounds=rounds, changes=changes)
    if not json:
        _tell(result)
    return result


def _outbox(crew: Crew, task: str, processes: int, changes: int) -> float:
    with psycopg.connect(crew.settings.migrate_url or "", autocommit=True) as connection:
        connection.execute("TRUNCATE outbox")
        crew.start_relay()
        crew.start_worker(concurrency=processes)
        _put(connection, task, WARM_UP)
        start = _put(connection, task, changes)
        row = connection.execute("SELECT max(done_at) FROM outbox").fetchone()
        assert row is not None
        return changes / float((row[0] - start).total_seconds())


def _put(connection: psycopg.Connection, task: str, changes: int) -> datetime:
    """Put so many rows in, wait until all are done, and return when they were committed."""
    connection.execute(_PUT, [task, changes])
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    until(
        lambda: connection.execute(_LEFT, [task]).fetchone() is None,
        seconds=240,
        what="the done-marks",
    )
    start: datetime = row[0]
    return start


def _celery(stack: Stack, crew: Crew, processes: int, changes: int) -> float:
    app = make_app(crew.settings)
    with (
        redis.Redis.from_url(stack.redis_url(), db=1) as client,
        app.producer_pool.acquire() as producer,
    ):
        crew.start("worker", ["-m", "tests.bench.plain_celery", str(processes)])

        def send(count: int) -> float:
            began = time.perf_counter()
            for _ in range(count):
                app.send_task(PLAIN, producer=producer, ignore_result=True)
            until(
                lambda: not client.llen(QUEUE) and not client.hlen("unacked"),
                seconds=240,
                what="an empty queue",
            )
            return time.perf_counter() - began

        send(WARM_UP)
        return changes / send(changes)


async def _enqueue(settings: Settings, changes: int) -> float:
    database = Database(settings.database_url, application_name="kith-bench")
    began = time.perf_counter()
    for _ in range(changes):
        now = datetime.now(UTC)
        async with database.write(actor=Service("bench"), now=now) as tx:
            await enqueue(tx, task=TASKS["outbox"], payload={}, now=now)
    seconds = time.perf_counter() - began
    await database.close()
    return changes / seconds


@contextmanager
def _stack(folder: Path) -> Iterator[Stack]:
    stack = Stack(folder / "home")
    _say("starting PostgreSQL and Valkey")
    stack.start()
    try:
        stack.ensure_database("kith_bench")
        migrate_as_owner(stack, "kith_bench")
        yield stack
    finally:
        stack.reset()


def _settings(stack: Stack) -> Settings:
    return Settings(
        database_url=stack.database_url(role=API, database="kith_bench"),
        worker_url=stack.database_url(role=WORKER, database="kith_bench"),
        migrate_url=stack.database_url(role=OWNER, database="kith_bench"),
        broker_url=stack.broker_url(virtual_host=1),
    )


def _result(
    found: dict[tuple[int, str], list[float]], *, rounds: int, changes: int
) -> dict[str, Any]:
    rates = []
    for processes in PROCESSES:
        alone = found[processes, "celery"]
        rate: dict[str, Any] = {"processes": processes}
        for kind in KINDS:
            ours = found[processes, kind]
            rate[kind] = _summary(ours)
            if kind != "celery":
                shares = [mine / theirs for mine, theirs in zip(ours, alone, strict=True)]
                rate[f"{kind}_to_celery"] = _summary(shares)
        rates.append(rate)
    return {
        "bench": "outbox",
        "unit": "changes per second",
        "rounds": rounds,
        "changes": changes,
        "cores": os.cpu_count(),
        "enqueue": _summary(found[0, "enqueue"]),
        "rates": rates,
    }


def _summary(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "lowest": round(min(values), 3),
        "highest": round(max(values), 3),
    }


def _tell(result: dict[str, Any]) -> None:
    names = {
        "celery": "Celery alone",
        "outbox": "through the outbox",
        "outbox_last": "through the outbox, with a last transaction",
    }
    for rate in result["rates"]:
        print(f"With {rate['processes']} worker process(es), changes per second:")
        for kind in KINDS:
            found = rate[kind]
            share = rate.get(f"{kind}_to_celery")
            beside = f", {share['median']:.2f} of Celery's" if share else ""
            print(
                f"  {names[kind]}: {found['median']:.0f}"
                f" ({found['lowest']:.0f} to {found['highest']:.0f}){beside}"
            )
    print(f"Enqueued, one transaction each: {result['enqueue']['median']:.0f} per second")


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
