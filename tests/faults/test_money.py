"""Whoever is killed while money moves: each promise is in the books once, each penny somewhere."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from api.core import clock
from api.core.config import Settings
from deploy.local import Stack
from tests.fixtures.crew import Crew

from .money import Round
from .storm import Storm

pytestmark = pytest.mark.anyio

AWAY = timedelta(days=6)  # longer than the days to promise and to decide; sign-ins last a week
_DURABLE = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')"


@pytest.fixture
def ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Lend the file that says how far ahead everybody's clock is, this process' too."""
    path = tmp_path / "ahead"
    path.write_text("0")
    clock.follow(path)
    for module in ("make", "groups"):
        monkeypatch.setattr(f"tests.{module}.now", clock.now)
    yield path
    clock.follow(None)


@pytest.fixture
def crew(own_settings: Settings, ahead: Path, tmp_path: Path) -> Iterator[Crew]:
    """Lend a relay, a worker and an API that run, on servers with nothing switched off."""
    settings = replace(own_settings, mode="demo", clock_file=ahead)
    with psycopg.connect(settings.migrate_url or "") as connection:
        assert dict(connection.execute(_DURABLE).fetchall()) == {
            "fsync": "on",
            "synchronous_commit": "on",
        }
    with Crew(settings, logs=tmp_path) as crew:
        crew.start_relay()
        crew.start_worker(concurrency=2)
        crew.start_api()
        crew.wait_ready()
        yield crew


async def _round(
    stack: Stack, crew: Crew, ahead: Path, chance: random.Random, victims: Iterable[str]
) -> None:
    """Live through one round: kills while money moves, then six days in which nothing runs."""
    began = time.monotonic()
    storm = Storm(stack, crew, chance)
    this = Round(crew.settings, crew, chance)
    await this.found()
    raging = asyncio.create_task(storm.rage(victims, most_seconds=3))
    founded = time.monotonic()
    await this.live()
    storm.over.set()
    await raging
    lived = time.monotonic()
    for victim in storm.VICTIMS:
        await asyncio.to_thread(storm.kill, victim)
    ahead.write_text(str(int(ahead.read_text()) + int(AWAY.total_seconds())))
    for victim in storm.VICTIMS:
        await asyncio.to_thread(storm.start_again, victim)
    await this.after()
    await this.check()
    await this.end()
    told = Counter(one.status for one in this.sent.answers if one.path.endswith("/pledges"))
    print(
        f"promises {dict(told)}, killed {dict(storm.killed)}, tries {dict(this.sent.tally)},"
        f" seconds {founded - began:.1f} + {lived - founded:.1f} + {time.monotonic() - lived:.1f}",
        flush=True,
    )


def _chance() -> random.Random:
    seed = random.randrange(10**9)
    print(f"seed {seed}")  # pytest shows it when a round fails
    return random.Random(seed)


async def test_every_promise_and_penny_is_there_once_whoever_is_killed(
    own_stack: Stack, crew: Crew, ahead: Path
) -> None:
    chance = _chance()
    victims = ["database", chance.choice(("api", "worker", "relay"))]
    await _round(own_stack, crew, ahead, chance, victims)


@pytest.mark.deep
@pytest.mark.timeout(3600)
async def test_every_promise_and_penny_is_there_once_in_twenty_rounds(
    own_stack: Stack, crew: Crew, ahead: Path
) -> None:
    chance = _chance()
    for _ in range(20):
        await _round(own_stack, crew, ahead, chance, chance.choices(Storm.VICTIMS, k=12))
