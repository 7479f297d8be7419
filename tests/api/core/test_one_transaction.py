"""One transaction a request: all of it or nothing, as somebody, and told honestly when it fails."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from litestar import post
from litestar.di import NamedDependency
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from api.app import create_app
from api.areas.schemas import AreaOut
from api.core.config import Settings
from api.core.db import Database, WriteSession, sqlstate
from api.core.errors import Conflict, Refusal, Unavailable
from api.core.http import Work, allow
from api.identity.rules import Anonymous, Person, Service
from api.people.models import Person as PersonRow
from tests.fixtures.front import alive, client_of, serving
from tests.make import Maker, good, now, refused

pytestmark = pytest.mark.anyio

ACTOR = text(
    "SELECT nullif(current_setting('app.actor_id', true), ''),"
    " nullif(current_setting('app.now', true), '')"
)


@post("/bypass", guards=[allow("anyone")])
async def bypass(work: NamedDependency[Work], data: dict[str, Any]) -> dict[str, str]:
    """Put in a person with nothing to say, past the service."""

    async def write(tx: WriteSession, *, now: datetime) -> None:
        await tx.execute(
            insert(PersonRow).values(
                id=UUID(data["id"]),
                area_id=UUID(data["area_id"]),
                called="Nobody",
                version=1,
                created_at=now,
            )
        )

    await work.write(write, now=work.now)
    return {"stored": "yes"}


@post("/sleep", guards=[allow("anyone")])
async def sleep(work: NamedDependency[Work]) -> None:
    """Take longer than a statement may."""

    async def write(tx: WriteSession) -> None:
        await tx.execute(text("SELECT pg_sleep(20)"))

    await work.write(write)


@pytest.fixture(scope="module")
async def hasty(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Lend a client of an application that waits for nothing, with odd routes."""
    app = create_app(
        replace(
            settings,
            pool_size=2,
            pool_wait_seconds=0.1,
            statement_timeout_ms=400,
            lock_timeout_ms=200,
        )
    )
    app.register(bypass)
    app.register(sleep)
    async with alive(app), client_of(app) as client:
        yield client


async def test_what_fails_at_commit_is_no_success_and_nothing_is_stored(
    maker: Maker, hasty: httpx2.AsyncClient, owner_connection: psycopg.Connection
) -> None:
    area, person_id = await maker.area(), uuid4()
    body = {"id": str(person_id), "area_id": str(area.id)}
    refused(await hasty.post("/bypass", json=body), 500, "our-mistake")
    rows = owner_connection.execute("SELECT FROM people WHERE id = %s", [person_id]).fetchall()
    assert rows == []


async def test_a_refusal_rolls_back_what_came_before_it(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    admin = await maker.account(None, "area_admin")
    called = uuid4().hex
    body = {
        "called": called,
        "roles": [
            {"area": admin.area.slug, "role": "citizen"},
            {"area": admin.area.slug, "role": "professional"},
        ],
    }
    answer = await maker.client.post("/v1/accounts", json=body, headers=admin.headers)
    refused(answer, 422, "profession-named")
    found = owner_connection.execute("SELECT FROM accounts WHERE called = %s", [called])
    assert found.fetchall() == []


async def test_a_refusal_is_counted_by_its_rule_alone(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    area = await maker.area()
    answer = await maker.client.post("/v1/people", json={"area": area.slug, "called": "Peregrine"})
    trace = refused(answer, 422)["correlation_id"]
    row = owner_connection.execute(
        "SELECT rule, actor_kind FROM refusals WHERE correlation_id = %s", [trace]
    ).fetchall()
    assert row == [("strengths-first", "anonymous")]


async def test_the_next_user_of_a_connection_is_nobody(settings: Settings) -> None:
    database = Database(settings.database_url, application_name="kith-test", pool_size=1)
    someone = Person(uuid4(), uuid4())
    try:
        async with database.write(actor=someone, now=now()) as tx:
            assert (await tx.execute(ACTOR)).one()[0] == str(someone.account_id)
            backend = await tx.scalar(text("SELECT pg_backend_pid()"))
        with pytest.raises(ValueError, match="on purpose"):
            async with database.write(actor=someone, now=now()) as tx:
                raise ValueError("on purpose")
        async with database.autocommit() as connection:
            assert await connection.scalar(text("SELECT pg_backend_pid()")) == backend
            assert tuple((await connection.execute(ACTOR)).one()) == (None, None)
        async with database.read(actor=Anonymous(), now=now()) as session:
            assert (await session.execute(ACTOR)).one()[0] is None
    finally:
        await database.close()


async def test_there_is_no_transaction_without_an_actor_or_an_aware_time(
    database: Database,
) -> None:
    naive = now().replace(tzinfo=None)
    for actor, moment in ((None, now()), (Anonymous(), None), (Anonymous(), naive)):
        with pytest.raises(ValueError, match="an actor and an aware time"):
            async with database.write(actor=actor, now=moment):  # type: ignore[arg-type]
                pass


async def test_a_reading_session_writes_nothing(maker: Maker, database: Database) -> None:
    area = await maker.area()
    change = text("UPDATE areas SET version = version + 1 WHERE id = :id")
    with pytest.raises(DBAPIError) as caught:
        async with database.read(actor=Service("x"), now=now()) as session:
            await session.execute(change, {"id": area.id})
    assert sqlstate(caught.value) == "25006"
    with pytest.raises(DBAPIError) as caught:
        async with database.public() as connection:
            await connection.execute(change, {"id": area.id})
    assert sqlstate(caught.value) == "25006"
    async with database.write(actor=Service("x"), now=now()) as tx:
        assert await tx.scalar(text("SHOW transaction_read_only")) == "off"


async def _bump(tx: WriteSession, area: AreaOut) -> None:
    await tx.execute(text("UPDATE areas SET version = version + 1 WHERE id = :id"), {"id": area.id})


async def _version(database: Database, area: AreaOut) -> int:
    async with database.public() as connection:
        found = await connection.scalar(
            text("SELECT version FROM areas WHERE id = :id"), {"id": area.id}
        )
    return int(found or 0)


async def test_two_that_lock_each_other_out_both_succeed_in_the_end(
    maker: Maker, database: Database
) -> None:
    one, other = await maker.area(), await maker.area()
    both = asyncio.Barrier(2)
    tries = {one.id: 0, other.id: 0}

    async def cross(first: AreaOut, second: AreaOut) -> None:
        async def work(tx: WriteSession) -> None:
            tries[first.id] += 1
            await _bump(tx, first)
            if tries[first.id] == 1:
                await both.wait()
            await _bump(tx, second)

        await database.run(work, actor=Service("x"), now=now())

    await asyncio.gather(cross(one, other), cross(other, one))
    assert sorted(tries.values()) == [1, 2]
    assert (await _version(database, one), await _version(database, other)) == (3, 3)


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_who_clashes_three_times_is_told_to_come_again(
    database: Database, state: str
) -> None:
    tries = 0

    async def work(tx: WriteSession) -> None:
        nonlocal tries
        tries += 1
        await tx.execute(
            text(f"DO $$ BEGIN RAISE EXCEPTION 'clash' USING ERRCODE = '{state}'; END $$")
        )

    with pytest.raises(Unavailable) as caught:
        await database.run(work, actor=Service("x"), now=now())
    assert (tries, caught.value.rule) == (3, "two-at-once")
    assert caught.value.retry_after_seconds


@pytest.mark.parametrize(
    ("state", "refusal"),
    [("23505", Conflict), ("55P03", Unavailable), ("57014", Unavailable), ("23514", None)],
)
async def test_what_the_database_says_no_to_is_tried_once_and_means_one_thing(
    database: Database, state: str, refusal: type[Refusal] | None
) -> None:
    tries = 0

    async def work(tx: WriteSession) -> None:
        nonlocal tries
        tries += 1
        await tx.execute(
            text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$")
        )

    with pytest.raises(refusal or DBAPIError) as caught:
        await database.run(work, actor=Service("x"), now=now())
    assert tries == 1
    assert caught.value.__cause__ is not caught.value


async def test_a_row_that_stays_locked_is_busy_and_says_when_to_come_again(
    maker: Maker, hasty: httpx2.AsyncClient, owner_connection: psycopg.Connection
) -> None:
    story = await maker.story()
    path, change = f"/v1/people/{story.id}", {"called": "Samira"}
    with owner_connection.transaction():
        owner_connection.execute("SELECT FROM people WHERE id = %s FOR UPDATE", [story.id])
        answer = await hasty.patch(path, json=change, headers=story.headers)
    refused(answer, 503, "busy")
    assert int(answer.headers["retry-after"]) >= 1
    good(await hasty.patch(path, json=change, headers=story.headers))


async def test_a_statement_that_takes_too_long_is_ended_and_busy(
    hasty: httpx2.AsyncClient,
) -> None:
    refused(await hasty.post("/sleep"), 503, "busy")


async def test_when_all_connections_are_taken_everybody_else_is_told_busy_at_once(
    maker: Maker, hasty: httpx2.AsyncClient
) -> None:
    story = await maker.story()
    answers = await asyncio.gather(
        *(hasty.post("/sleep") for _ in range(2)),
        *(hasty.get("/v1/me", headers=story.headers) for _ in range(6)),
        *(hasty.get(f"/v1/people/{story.id}", headers=story.headers) for _ in range(6)),
    )
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) <= {200, 503}
    assert 503 in statuses[2:]
    assert "no-connection" in {answer.json().get("rule") for answer in answers[2:]}
    good(await hasty.get("/v1/me", headers=story.headers))


async def test_without_a_database_everything_is_busy_and_nothing_is_our_mistake(
    settings: Settings,
) -> None:
    nowhere = replace(settings, database_url="postgresql://kith_api@127.0.0.1:1/none")
    async with serving(nowhere) as client:
        token = {"Authorization": "Bearer x"}
        body = {"area": "a-b", "called": "Sam", "good_at": ["x"]}
        for answer in (
            await client.get("/v1/areas"),
            await client.get("/v1/me", headers=token),
            await client.post("/v1/people", json=body),
            await client.get("/v1/listings"),
        ):
            refused(answer, 503)
            assert answer.headers["retry-after"]
        ready = await client.get("/health/ready")
        assert (ready.status_code, ready.json()["database"]) == (503, "down")
        assert (await client.get("/health/live")).status_code == 200


async def test_ready_without_the_broker_and_quickly_so(settings: Settings) -> None:
    async with serving(replace(settings, broker_url="redis://127.0.0.1:1/0")) as client:
        began = asyncio.get_running_loop().time()
        ready = await client.get("/health/ready")
        assert asyncio.get_running_loop().time() - began < 1
    assert ready.status_code == 200
    assert ready.json()["database"] == "ok"
    assert ready.json()["broker"].startswith("down")
