"""Whoever is killed in the middle of a run: every effect happens, and happens once."""

import random
from uuid import UUID, uuid4

import psycopg
import pytest

from api.core.config import Settings
from deploy.local import Stack
from tests.fixtures.crew import Crew

from .rounds import VICTIMS, rounds

NOTES = 60
CHANGES = 20

_NOTE = """
INSERT INTO outbox (id, task, payload, correlation_id, created_at, not_before)
VALUES (uuidv7(), 'chores.note', jsonb_build_object('item', %(item)s::uuid, 'ms', %(ms)s::int),
    gen_random_uuid(), now(), now())
"""
_COUNT_UP = """
INSERT INTO chore_counts VALUES (%(item)s, 1)
ON CONFLICT (item) DO UPDATE SET counted = chore_counts.counted + 1
"""
_COUNT = """
INSERT INTO outbox (id, task, payload, coalesce_key, correlation_id, created_at, not_before)
VALUES (uuidv7(), 'chores.count', jsonb_build_object('item', %(item)s::uuid, 'ms', %(ms)s::int),
    'count:' || %(item)s::uuid, gen_random_uuid(), now(), now())
ON CONFLICT (coalesce_key) WHERE coalesce_key IS NOT NULL AND lease_until IS NULL
    AND sent_at IS NULL AND done_at IS NULL AND dead_at IS NULL
DO UPDATE SET not_before = least(outbox.not_before, excluded.not_before)
"""
_EFFECTS = "SELECT item, array_agg(counted ORDER BY id) FROM chore_effects GROUP BY item"


class Work:
    """Notes that each leave one row, and counts of which the last must be the last written."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.worker_url
        self._noted: list[UUID] = []
        self._counted = [uuid4() for _ in range(3)]

    def enqueue(self) -> None:
        """Commit fresh work, each piece in a transaction of its own."""
        with psycopg.connect(self._url) as connection:
            for _ in range(NOTES):
                item = uuid4()
                connection.execute(_NOTE, {"item": item, "ms": random.choice((0, 10, 40))})
                connection.commit()
                self._noted.append(item)
            for _ in range(CHANGES):
                change = {"item": random.choice(self._counted), "ms": random.choice((0, 20, 60))}
                connection.execute(_COUNT_UP, change)
                connection.execute(_COUNT, change)
                connection.commit()

    def check(self) -> None:
        """Every note once; every count in order, and the last one written down."""
        with psycopg.connect(self._url) as connection:
            effects = dict(connection.execute(_EFFECTS).fetchall())
            counts = dict(connection.execute("SELECT item, counted FROM chore_counts").fetchall())
        again = [item for item in self._noted if len(effects.get(item, [])) != 1]
        assert not again, f"{len(again)} of {len(self._noted)} notes are not there exactly once"
        for item, count in counts.items():
            written = effects[item]
            assert written == sorted(written)
            assert written[-1] == count


def test_an_effect_happens_once_whoever_is_killed(
    own_stack: Stack, own_settings: Settings, own_crew: Crew
) -> None:
    work = Work(own_settings)
    rounds(own_stack, own_crew, enqueue=work.enqueue, check=work.check, n=1)


@pytest.mark.deep
@pytest.mark.timeout(1800)
def test_an_effect_happens_once_in_twenty_rounds_with_the_database_killed_too(
    own_stack: Stack, own_settings: Settings, own_crew: Crew
) -> None:
    work = Work(own_settings)
    rounds(
        own_stack,
        own_crew,
        enqueue=work.enqueue,
        check=work.check,
        n=20,
        victims=(*VICTIMS, "database"),
        seconds=180,
    )
