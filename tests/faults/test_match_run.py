"""Whoever is killed in the middle of a match run: each person has each idea exactly once.

The same twenty-four people come again and again under fresh ids. The first time nobody is killed;
every later time must end with the very same ideas and unmet wants.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
import pytest

import deploy.demo
from api.areas import service as areas
from api.areas.rules import AreaSettings
from api.areas.schemas import NewArea
from api.core.config import Settings
from api.core.db import Database, WriteSession, tell
from api.identity import service as identity
from api.identity.rules import Anonymous, Person, RoleIn, Service
from api.identity.schemas import NewAccount, NewRole
from api.listings import service as listings
from api.listings.schemas import NewListing
from api.people import service as people
from api.people.schemas import NewStatement, StartStory
from deploy.local import Stack
from tests.fixtures.crew import Crew, until

from .rounds import rounds

CONTENT = Path(deploy.demo.__file__).parent / "content"
AREA = "bridgewater"
PEOPLE = 24

_UNDONE = "SELECT count(*) FROM outbox WHERE done_at IS NULL"
_IDEAS = """
SELECT l.name, s.state, s.rank, (SELECT count(*) FROM suggestion_events e
    WHERE e.suggestion_id = s.id AND e.state = 'suggested'), (SELECT count(*)
    FROM suggestion_events e WHERE e.suggestion_id = s.id)
FROM suggestions s JOIN listings l ON l.id = s.listing_id WHERE s.person_id = %s ORDER BY 3
"""
_WANTS = """
SELECT t.words, u.kind, u.counts::text, u.met_at FROM unmet_wants u
JOIN statements t ON t.id = u.statement_id WHERE u.person_id = %s ORDER BY 1
"""
_RUNS = "SELECT count(*) FROM match_runs WHERE person_id = %s"
_VECTORS = """
SELECT count(*) FILTER (WHERE v.statement_id IS NULL) FROM statements s
LEFT JOIN statement_vectors v ON v.statement_id = s.id
WHERE s.person_id = %s AND s.kind IN ('strength', 'goal', 'interest')
"""


class Outcome(NamedTuple):
    """What somebody has after a look."""

    ideas: list[tuple[Any, ...]]
    wants: list[tuple[Any, ...]]
    runs: int
    without_vector: int


class Town:
    """Forty listings, and batches of the same twenty-four people."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.batches: list[list[UUID]] = []

    def found(self) -> None:
        """List what there is to join, all of it confirmed today."""

        async def work(tx: WriteSession, now: datetime) -> None:
            host = Service("tests")
            area = await areas.create_area(
                tx,
                actor=host,
                now=now,
                new=NewArea(slug=AREA, name=AREA, settings=AreaSettings(front_door_name="Door")),
            )
            role = NewRole(area=AREA, role="area_admin")
            made = await identity.create_account(
                tx, actor=host, now=now, new=NewAccount(called="Host", roles=[role])
            )
            owner = Person(made.id, made.id, (RoleIn(area.id, AREA, "area_admin"),))
            await tell(tx, actor=owner, now=now)
            for thing in _read("listings.json"):
                await listings.create(tx, actor=owner, now=now, new=_listing(thing))

        self._do(work)

    def arrive(self) -> None:
        """Let everybody begin a story, in one transaction: all looks become due at once."""
        batch: list[UUID] = []

        async def work(tx: WriteSession, now: datetime) -> None:
            for one in _read("people.json")[:PEOPLE]:
                await tell(tx, actor=Anonymous(), now=now)
                started = await people.start(tx, actor=Anonymous(), now=now, story=_story(one))
                batch.append(started.id)

        self._do(work)
        self.batches.append(batch)

    def settle(self) -> None:
        """Wait until nothing is left to do, with no hand on anything."""
        with psycopg.connect(self.settings.migrate_url or "", autocommit=True) as connection:
            until(
                lambda: connection.execute(_UNDONE).fetchone() == (0,),
                seconds=120,
                what="an empty outbox",
            )

    def outcomes(self, batch: list[UUID]) -> list[Outcome]:
        """Return what each of a batch has now."""
        with psycopg.connect(self.settings.migrate_url or "") as connection:

            def one(query: str, person_id: UUID) -> int:
                row = connection.execute(query, [person_id]).fetchone()
                assert row is not None
                return int(row[0])

            return [
                Outcome(
                    connection.execute(_IDEAS, [person_id]).fetchall(),
                    connection.execute(_WANTS, [person_id]).fetchall(),
                    one(_RUNS, person_id),
                    one(_VECTORS, person_id),
                )
                for person_id in batch
            ]

    def check(self) -> None:
        """Compare every batch with the first, which nobody disturbed."""
        self.settle()
        expected = self.outcomes(self.batches[0])
        for batch in self.batches[1:]:
            assert self.outcomes(batch) == expected

    def _do(self, work: Callable[[WriteSession, datetime], Awaitable[None]]) -> None:
        async def go() -> None:
            database = Database(self.settings.database_url, application_name="kith-test")
            now = datetime.now(UTC)
            async with database.write(actor=Service("tests"), now=now) as tx:
                await work(tx, now)
            await database.close()

        asyncio.run(go())


def _read(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((CONTENT / name).read_text())
    return found


def _listing(thing: dict[str, Any]) -> NewListing:
    same = ("name", "summary", "near", "sessions", "price_pence", "places_left", "access")
    return msgspec.convert(
        {"area": AREA, "kind": "community"} | {field: thing[field] for field in same}, NewListing
    )


def _story(one: dict[str, Any]) -> StartStory:
    # A few of their words: what takes time is to embed them.
    also = [NewStatement(kind="interest", words=words) for words in one["interests"][:1]]
    return StartStory(
        area=AREA,
        called=one["called"],
        near=one["near"],
        good_at=one["good_at"][:1],
        want_to=one["want_to"][:2],
        not_asked_yet=one["not_asked_yet"],
        also=also,
        free_times=one["free_times"],
        travel_limit_metres=one["travel_limit_metres"],
        spend_limit_pence=one["spend_limit_pence"],
    )


@pytest.fixture
def town(own_settings: Settings, own_crew: Crew) -> Town:
    """Lend a town in which twenty-four people have been looked for, undisturbed."""
    town = Town(own_settings)
    town.found()
    own_crew.start_relay("first-relay")
    own_crew.start_worker("first-worker")
    town.settle()
    town.arrive()
    town.settle()
    for name in ("first-relay", "first-worker"):
        own_crew.kill(name)
    undisturbed = town.outcomes(town.batches[0])
    assert sum(bool(one.ideas) for one in undisturbed) >= 15
    assert any(one.wants for one in undisturbed)
    for one in undisturbed:
        assert one.runs == 1
        assert one.without_vector == 0
        assert all(idea[1] == "suggested" and idea[3:] == (1, 1) for idea in one.ideas)
    return town


def test_each_person_has_each_idea_once_whoever_is_killed_in_the_middle_of_a_run(
    town: Town, own_stack: Stack, own_crew: Crew
) -> None:
    rounds(own_stack, own_crew, enqueue=town.arrive, check=town.check, n=1)


@pytest.mark.deep
@pytest.mark.timeout(1800)
def test_each_person_has_each_idea_once_in_twenty_rounds(
    town: Town, own_stack: Stack, own_crew: Crew
) -> None:
    rounds(own_stack, own_crew, enqueue=town.arrive, check=town.check, n=20, seconds=180)
