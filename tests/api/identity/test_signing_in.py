"""Tokens and codes: opaque, hashed at rest, ended at once, and limited when they are wrong."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import httpx2
import psycopg
import pytest

from api.core.config import Settings
from api.core.db import Database
from api.core.errors import NotSignedIn
from api.identity import service as identity
from api.identity.rules import SESSION_IDLE, SESSION_LASTS, hashed, new_code, normal_code
from tests.fixtures.front import serving
from tests.fixtures.servers import API, OWNER, Servers
from tests.make import Maker, bearer, good, now, refused

pytestmark = pytest.mark.anyio

WRONG = {"by": "code", "code": "00000-00000-00000-00000-00000-0"}
LIMIT = 20


def an_address() -> str:
    """Return an address that no other test calls from."""
    return uuid4().hex


async def test_a_token_is_opaque_and_only_its_hash_is_kept(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    account = await maker.account()
    assert account.token.startswith("kith_")
    assert len(account.token) >= 40
    assert str(account.id) not in account.token
    rows = owner_connection.execute(
        "SELECT token_hash, row_to_json(s)::text FROM sessions s WHERE account_id = %s",
        [account.id],
    ).fetchall()
    assert [bytes(row[0]) for row in rows] == [hashed(account.token)]
    assert account.token not in rows[0][1]


async def test_the_application_cannot_even_read_the_hashes(
    app_connection: psycopg.Connection,
) -> None:
    for column, table in (("token_hash", "sessions"), ("code_hash", "come_back_codes")):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app_connection.execute(f"SELECT {column} FROM {table}")


async def test_a_code_is_kept_as_a_hash_and_expires(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    story = await maker.story()
    assert story.code is not None
    code_hash = hashed(normal_code(story.code) or "")
    row = owner_connection.execute(
        "SELECT expires_at - created_at, row_to_json(c)::text FROM come_back_codes c"
        " WHERE code_hash = %s",
        [code_hash],
    ).fetchone()
    assert row is not None
    assert row[0] == timedelta(days=180)
    assert story.code not in row[1]
    owner_connection.execute(
        "UPDATE come_back_codes SET created_at = created_at - interval '181 days',"
        " expires_at = expires_at - interval '181 days' WHERE code_hash = %s",
        [code_hash],
    )
    expired = await maker.client.post("/v1/sessions", json={"by": "code", "code": story.code})
    refused(expired, 401, "code-unknown")


async def test_the_first_code_of_an_account_works_once(maker: Maker) -> None:
    admin = await maker.account(None, "area_admin")
    body = {"called": "Pat", "roles": [{"area": admin.area.slug, "role": "citizen"}]}
    made = good(await maker.client.post("/v1/accounts", json=body, headers=admin.headers))
    assert await maker.sign_in(made["code"])
    again = await maker.client.post("/v1/sessions", json={"by": "code", "code": made["code"]})
    refused(again, 401, "code-unknown")


@pytest.mark.parametrize("header", ["Bearer nonsense", "Bearer", "Basic abc", "Bearer kith_x y"])
async def test_a_token_that_is_not_known_is_refused_and_never_ignored(
    maker: Maker, header: str
) -> None:
    for path in ("/v1/listings", "/v1/me"):
        answer = await maker.client.get(path, headers={"Authorization": header})
        refused(answer, 401, "sign-in-needed")
        assert answer.headers["www-authenticate"] == "Bearer"
    refused(await maker.client.get("/v1/me"), 401, "sign-in-needed")


async def test_a_swapped_token_ends_and_the_new_one_stands_for_the_same(maker: Maker) -> None:
    for who in (await maker.account(), await maker.story()):
        before = good(await maker.client.get("/v1/me", headers=who.headers))
        fresh = good(await maker.client.post("/v1/sessions/rotate", headers=who.headers))["token"]
        assert fresh != who.token
        refused(await maker.client.get("/v1/me", headers=who.headers), 401)
        assert good(await maker.client.get("/v1/me", headers=bearer(fresh))) == before
        good(await maker.client.delete("/v1/sessions/current", headers=bearer(fresh)))
        refused(await maker.client.get("/v1/me", headers=bearer(fresh)), 401)
        refused(await maker.client.delete("/v1/sessions/current", headers=bearer(fresh)), 401)


async def test_swapping_and_signing_out_at_once_bring_no_session_back(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    account = await maker.account()
    answers = await asyncio.gather(
        *(maker.client.post("/v1/sessions/rotate", headers=account.headers) for _ in range(4)),
        maker.client.delete("/v1/sessions/current", headers=account.headers),
    )
    won = [answer for answer in answers if answer.is_success]
    assert len(won) == 1
    assert {answer.status_code for answer in answers} - {won[0].status_code} == {401}
    refused(await maker.client.get("/v1/me", headers=account.headers), 401)
    live = owner_connection.execute(
        "SELECT count(*) FROM sessions WHERE account_id = %s AND revoked_at IS NULL",
        [account.id],
    ).fetchone()
    assert live == (1 if won[0].content else 0,)


async def test_a_session_ends_by_age_by_disuse_and_to_the_moment(
    maker: Maker, database: Database
) -> None:
    account = await maker.account()
    token, moment = account.token, now()
    for last in (moment + SESSION_IDLE - timedelta(minutes=1), moment + SESSION_IDLE * 1.9):
        await identity.resolve(database, token, now=last)
    with pytest.raises(NotSignedIn):
        await identity.resolve(database, token, now=last + SESSION_IDLE + timedelta(seconds=1))
    while last < moment + SESSION_LASTS - timedelta(days=6):
        last += timedelta(days=6)
        await identity.resolve(database, token, now=last)
    with pytest.raises(NotSignedIn):
        await identity.resolve(database, token, now=moment + SESSION_LASTS + timedelta(seconds=1))


async def test_the_token_of_a_closed_account_is_dead(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    admin = await maker.account(None, "area_admin")
    body = {"called": "Pat", "roles": [{"area": admin.area.slug, "role": "citizen"}]}
    made = good(await maker.client.post("/v1/accounts", json=body, headers=admin.headers))
    account = await maker.account()
    owner_connection.execute(
        "UPDATE accounts SET closed_at = now() WHERE id = ANY(%s::uuid[])",
        [[str(account.id), made["id"]]],
    )
    refused(await maker.client.get("/v1/me", headers=account.headers), 401)
    code = {"by": "code", "code": made["code"]}
    refused(await maker.client.post("/v1/sessions", json=code), 401, "code-unknown")


def test_a_code_is_read_however_it_is_written() -> None:
    code = new_code()
    plain = code.replace("-", "")
    for written in (
        code.lower(),
        plain,
        f" {code} ",
        code.replace("-", " \u2013 "),
        code.replace("0", "o").replace("1", "l").replace("V", "u"),
        code.replace("1", "I").replace("-", "."),
    ):
        assert normal_code(written) == plain
    for wrong in ("", plain[:-1], plain + "0", "\u00df" * 26, "!" * 26, "\u0660" * 26):
        assert normal_code(wrong) is None


def test_codes_and_tokens_do_not_repeat_and_use_signs_that_look_different() -> None:
    codes = {new_code() for _ in range(500)}
    assert len(codes) == 500
    assert not set("".join(codes)) & set("ILOU")


async def test_wrong_codes_are_limited_exactly_over_two_processes(settings: Settings) -> None:
    address = an_address()
    async with (
        serving(settings, address=address) as one,
        serving(settings, address=address) as other,
    ):
        answers = await asyncio.gather(
            *(client.post("/v1/sessions", json=WRONG) for client in (one, other) * 15)
        )
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(401), statuses.count(429)) == (LIMIT, 30 - LIMIT)
    late = next(answer for answer in answers if answer.status_code == 429)
    refused(late, 429, "too-many-tries")
    assert 0 < int(late.headers["retry-after"]) <= 600


async def test_a_place_where_many_sign_in_with_right_codes_is_not_shut_out(
    maker: Maker, settings: Settings
) -> None:
    story = await maker.story()
    right = {"by": "code", "code": story.code}
    async with serving(settings, address=an_address()) as client:
        for _ in range(LIMIT + 5):
            good(await client.post("/v1/sessions", json=right))
        for _ in range(LIMIT):
            refused(await client.post("/v1/sessions", json=WRONG), 401)
        refused(await client.post("/v1/sessions", json=right), 429)


async def test_without_redis_each_process_limits_by_itself_and_sign_in_goes_on(
    maker: Maker, settings: Settings
) -> None:
    story = await maker.story()
    right = {"by": "code", "code": story.code}
    nowhere = replace(settings, broker_url="redis://127.0.0.1:1/0")
    async with serving(nowhere, address=an_address()) as client:
        began = asyncio.get_running_loop().time()
        for _ in range(8):
            good(await client.post("/v1/sessions", json=right))
        answers = [await client.post("/v1/sessions", json=WRONG) for _ in range(8)]
        assert asyncio.get_running_loop().time() - began < 2
    statuses = [answer.status_code for answer in answers]
    assert statuses == [401] * (LIMIT // 4) + [429] * (8 - LIMIT // 4)


@pytest.fixture(scope="module")
def demo_settings(servers: Servers, settings: Settings) -> Settings:
    """Return settings for a demo on a demo's database."""
    name = servers.clone()
    owner = servers.stack.database_url(role=OWNER, database=name)
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("UPDATE installation SET purpose = 'demo'")
    return replace(
        settings,
        database_url=servers.stack.database_url(role=API, database=name),
        migrate_url=owner,
        mode="demo",
    )


@pytest.fixture
async def demo_client(demo_settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Lend a client of a demo in which "maya" lives."""
    async with serving(demo_settings) as client:
        database = Database(demo_settings.database_url, application_name="kith-test")
        with psycopg.connect(demo_settings.migrate_url or "") as connection:
            known = connection.execute("SELECT FROM accounts WHERE demo_key = 'maya'").fetchone()
        if known is None:
            await Maker(client, database).account(demo_key="maya")
        await database.close()
        yield client


MAYA = {"by": "demo", "who": "maya"}


async def test_in_the_demo_one_signs_in_as_one_of_its_people(
    demo_client: httpx2.AsyncClient,
) -> None:
    token = good(await demo_client.post("/v1/sessions", json=MAYA))["token"]
    assert good(await demo_client.get("/v1/me", headers=bearer(token)))["kind"] == "person"
    nobody = {"by": "demo", "who": "nobody"}
    refused(await demo_client.post("/v1/sessions", json=nobody), 401, "demo-only")


async def test_demo_sign_in_needs_a_demo_of_both_process_and_database(
    demo_client: httpx2.AsyncClient, demo_settings: Settings, maker: Maker, settings: Settings
) -> None:
    async with serving(replace(demo_settings, mode="live")) as live:
        refused(await live.post("/v1/sessions", json=MAYA), 401, "demo-only")
    key = uuid4().hex
    await maker.account(demo_key=key)
    body = {"by": "demo", "who": key}
    refused(await maker.client.post("/v1/sessions", json=body), 401, "demo-only")
    async with serving(replace(settings, mode="demo")) as elsewhere:
        refused(await elsewhere.post("/v1/sessions", json=body), 401, "demo-only")
