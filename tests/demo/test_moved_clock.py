"""Two weeks in a moment: API, relay and worker of a demo all follow its clock."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx2
import psycopg
import pytest

from api.core.config import Settings
from deploy.cli.world import World, open_world, prepare, purpose_of
from deploy.demo.clock import move_clock
from tests.fixtures.crew import Crew, until
from tests.fixtures.servers import Servers
from workers.schedule import SCHEDULE

TWO_WEEKS = timedelta(days=14)
PORT = 19_400 + os.getpid() % 1000


@pytest.fixture
def world(servers: Servers, tmp_path: Path) -> World:
    settings = servers.settings(servers.clone())
    demo = replace(settings, mode="demo", clock_file=tmp_path / "demo" / "clock")
    return World(settings=demo, stack=None, database="")


@pytest.fixture
def crew(world: World, tmp_path: Path) -> Iterator[Crew]:
    include = ["tests.workers.chores"]
    with Crew(world.settings, logs=tmp_path, include=include) as crew:
        yield crew


def test_all_processes_of_a_demo_follow_its_clock(world: World, crew: Crew) -> None:
    crew.start("api", ["-m", "deploy.cli", "api", "--port", str(PORT)])
    until(lambda: _lag() is not None, seconds=30, what="the API")
    with psycopg.connect(world.settings.worker_url, autocommit=True) as connection:
        lag, row_id = _lag(), uuid4()
        assert lag == 0
        connection.execute(
            "INSERT INTO outbox (id, task, payload, correlation_id, created_at, not_before)"
            " VALUES (%s, 'chores.quote', %s, %s, now(), now() + interval '13 days')",
            [row_id, f'{{"item": "{uuid4()}"}}', uuid4()],
        )
        assert move_clock(world, TWO_WEEKS) == TWO_WEEKS
        lag = _lag()
        assert lag is not None
        assert 0 <= lag - 86_400 < 60, "the API"
        crew.start_relay()
        crew.start_worker()

        def failed() -> bool:
            row = connection.execute(
                "SELECT last_error, lease_until FROM outbox WHERE id = %s", [row_id]
            ).fetchone()
            assert row is not None
            if row[0] is not None:  # it always fails, and its worker noted when
                assert row[1] - datetime.now(UTC) > TWO_WEEKS - timedelta(minutes=1), "the worker"
            return row[0] is not None

        until(failed, seconds=30, what="the relay")


def test_a_relay_and_a_worker_that_run_already_follow_too(world: World, crew: Crew) -> None:
    crew.start_relay()
    crew.start_worker()
    with psycopg.connect(world.settings.worker_url, autocommit=True) as connection:
        for task in ("chores.nothing", "core.retention"):
            connection.execute(
                "INSERT INTO outbox (id, task, payload, correlation_id, created_at, not_before)"
                " VALUES (%s, %s, '{}', %s, now(), now() + interval '13 days')",
                [uuid4(), task, uuid4()],
            )

        def count(which: str) -> int:
            row = connection.execute(f"SELECT count(*) FROM outbox WHERE {which}").fetchone()
            assert row is not None
            return int(row[0])

        ours = "done_at IS NULL AND not_before > created_at"

        def at_the_start() -> bool:
            return count("done_at IS NOT NULL") >= len(SCHEDULE)

        until(at_the_start, seconds=60, what="what the schedule asks for at the start")
        assert count(ours) == 2
        move_clock(world, TWO_WEEKS)
        until(lambda: count(ours) == 0, seconds=60, what="what is due in two weeks")


def test_the_clock_goes_forward_and_adds_up(world: World) -> None:
    assert move_clock(world, timedelta(days=1)) == timedelta(days=1)
    assert move_clock(world, timedelta(days=2, milliseconds=7)) == timedelta(days=3)
    assert world.settings.clock_file is not None
    assert world.settings.clock_file.read_text() == "259200\n"
    assert [one.name for one in world.settings.clock_file.parent.iterdir()] == ["clock"]
    for wrong in (timedelta(days=-1), timedelta(days=4000)):
        with pytest.raises(ValueError, match="forward"):
            move_clock(world, wrong)
    live = World(settings=replace(world.settings, clock_file=None), stack=None, database="")
    with pytest.raises(ValueError, match="only a demo"):
        move_clock(live, TWO_WEEKS)


def test_a_fresh_demo_starts_at_the_present(world: World) -> None:
    move_clock(world, TWO_WEEKS)
    purpose = purpose_of(world) or ""
    prepare(world, purpose=purpose, say=lambda _: None)
    assert move_clock(world, timedelta(0)) == TWO_WEEKS
    prepare(world, purpose=purpose, say=lambda _: None, afresh=True)
    assert move_clock(world, timedelta(0)) == timedelta(0)


def test_a_demo_s_world_hands_its_clock_on_and_another_does_not(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KITH_HOME", str(tmp_path))
    for name, value in _named(servers.settings(servers.clone())).items():
        monkeypatch.setenv(name, value)
    demo = open_world(mode="demo", say=lambda _: None)
    assert demo.env["KITH_CLOCK_FILE"] == str(tmp_path / "demo" / "clock")
    assert "KITH_CLOCK_FILE" not in open_world(say=lambda _: None).env
    # What a demo's own children see, and a command about real data among them.
    for name, value in demo.env.items():
        monkeypatch.setenv(name, value)
    assert open_world(mode="demo", say=lambda _: None).settings == demo.settings
    assert open_world(say=lambda _: None).settings.clock_file is None


def _named(settings: Settings) -> dict[str, str]:
    return {
        "KITH_DATABASE_URL": settings.database_url,
        "KITH_WORKER_URL": settings.worker_url,
        "KITH_BROKER_URL": settings.broker_url,
        "KITH_MIGRATE_URL": settings.migrate_url or "",
    }


def _lag() -> float | None:
    """Return how old the API says the oldest row is that is due; None while it does not answer."""
    try:
        told = httpx2.get(f"http://127.0.0.1:{PORT}/metrics", timeout=2).text
    except httpx2.HTTPError:
        return None
    found = re.search(r"^kith_outbox_lag_seconds (\S+)$", told, re.MULTILINE)
    assert found is not None
    return float(found[1])
