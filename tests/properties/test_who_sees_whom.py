"""Whoever works with whom, in whatever state: rows and answers agree with a model of ten lines."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rounds
from hypothesis import strategies as st

from tests.make import Account, Maker, Story, bearer
from tests.properties.readers import Reader, looking

pytestmark = pytest.mark.anyio

State = Literal["none", "asked", "agreed", "ended", "agreed anew"]
STATES: tuple[State, ...] = ("none", "asked", "agreed", "ended", "agreed anew")
TABLES = {
    "people": "id",
    "practicalities": "person_id",
    "statements": "person_id",
    "statement_facts": "person_id",
}


@dataclass(frozen=True, slots=True)
class Town:
    """Who lives and works in the area where examples play."""

    manager: Account
    workers: list[Account]


@dataclass(frozen=True, slots=True)
class Example:
    """Stories, each with or without an account, and what stands between each worker and each."""

    with_account: list[bool]
    states: list[list[State]]


EXAMPLES = st.integers(1, 3).flatmap(
    lambda people: st.builds(
        Example,
        st.lists(st.booleans(), min_size=people, max_size=people),
        st.lists(
            st.lists(st.sampled_from(STATES), min_size=people, max_size=people),
            min_size=2,
            max_size=2,
        ),
    )
)


def due(reader: UUID, whose: UUID, states: dict[tuple[UUID, UUID], State]) -> bool:
    """The model. A story is seen by the person, and by a worker whom they let in and still do."""
    if reader == whose:
        return True
    return states.get((reader, whose), "none") in ("agreed", "agreed anew")


@pytest.fixture(scope="module")
async def town(maker: Maker) -> Town:
    """Found the area."""
    area = await maker.area()
    manager = await maker.account(area, "manager")
    return Town(manager, [await maker.account(area, "professional") for _ in range(2)])


async def _play(
    maker: Maker, town: Town, example: Example
) -> tuple[list[Story], list[tuple[UUID, UUID, str, str]], dict[tuple[UUID, UUID], State]]:
    """Make an example true. Return stories; readers as (id, told id, kind, token); states."""
    area = town.manager.area
    stories: list[Story] = []
    readers = [(one.id, one.id, "person", one.token) for one in town.workers]
    for with_account in example.with_account:
        account = await maker.account(area) if with_account else None
        story = await maker.story(area, account=account)
        await maker.said(story, "avoidance", "dogs", dogs="no")
        stories.append(story)
        told, kind = (account.id, "person") if account else (story.id, "code_holder")
        readers.append((story.id, told, kind, story.token))
    states: dict[tuple[UUID, UUID], State] = {}
    for worker, row in zip(town.workers, example.states, strict=True):
        for story, state in zip(stories, row, strict=True):
            states[worker.id, story.id] = state
            if state in ("ended", "agreed anew"):
                await maker.assignment(story, worker, manager=town.manager, agreed=True, ended=True)
            if state in ("asked", "agreed", "agreed anew"):
                await maker.assignment(story, worker, manager=town.manager, agreed=state != "asked")
    return stories, readers, states


async def check(maker: Maker, town: Town, connection: psycopg.Connection, example: Example) -> None:
    """Compare what each reader is shown, in SQL and over HTTP, with the model."""
    stories, readers, states = await _play(maker, town, example)
    for reader, told, kind, token in readers:
        expected = {one.id for one in stories if due(reader, one.id, states)}
        ids = [one.id for one in stories]
        with looking(connection, Reader(kind, told)):
            for table, column in TABLES.items():
                rows = connection.execute(
                    f"SELECT DISTINCT {column} FROM {table} WHERE {column} = ANY(%s)", [ids]
                )
                assert {row[0] for row in rows} == expected, (table, states)
        for story in stories:
            path = f"/v1/people/{story.id}"
            answer = await maker.client.get(path, headers=bearer(token))
            assert answer.status_code == (200 if story.id in expected else 404), states


SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@rounds(max_examples=8, deadline=None, suppress_health_check=SLOW)
@given(example=EXAMPLES)
async def test_rows_and_answers_agree_with_the_model(
    maker: Maker, town: Town, app_connection: psycopg.Connection, example: Example
) -> None:
    await check(maker, town, app_connection, example)


@pytest.mark.deep
@rounds(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(example=EXAMPLES)
async def test_rows_and_answers_agree_with_the_model_in_many_towns(
    maker: Maker, town: Town, app_connection: psycopg.Connection, example: Example
) -> None:
    await check(maker, town, app_connection, example)
