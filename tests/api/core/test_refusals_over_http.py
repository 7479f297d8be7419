"""Every refusal is a whole problem, whatever was sent, and nothing that is sent is a 500."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from litestar import Litestar, get, post
from litestar.params import FromPath

from api.app import create_app
from api.core.config import Settings
from api.core.http import allow
from api.core.money import MAX_PENCE
from tests.fixtures.front import Kept, alive, client_of, keep_logs
from tests.make import Maker, good, key, refused

pytestmark = pytest.mark.anyio

SECRET = "Peregrine"


@get("/broken/{word:str}", guards=[allow("anyone")])
async def broken(word: FromPath[str]) -> None:
    """Fail in a way that nobody foresaw, with somebody's word in the message."""
    raise RuntimeError(f"{SECRET} said {word}")


@post("/broken", guards=[allow("anyone")])
async def broken_later() -> None:
    """Fail with a cause."""
    try:
        json.loads(f"{SECRET}")
    except ValueError as error:
        raise KeyError(f"{SECRET} again") from error


@pytest.fixture(scope="module")
async def fragile(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """Lend a client of an application in which two routes are broken."""
    keep_logs()
    app = create_app(settings)
    app.register(broken)
    app.register(broken_later)
    async with alive(app), client_of(app) as client:
        yield client


async def test_a_failure_that_nobody_foresaw_is_told_without_details_and_logged_without_words(
    fragile: httpx2.AsyncClient, logged: Kept
) -> None:
    for answer in (await fragile.get("/broken/hush"), await fragile.post("/broken")):
        refused(answer, 500, "our-mistake")
        for word in (SECRET, "hush", "Error"):
            assert word not in answer.text
    lines = [json.loads(line) for line in logged.text.splitlines()]
    failed = [line for line in lines if line["event"] == "request.failed"]
    chain = "KeyError<JSONDecodeError<StopIteration"
    assert [line["error"] for line in failed] == ["RuntimeError", chain]
    assert all(any("test_refusals" in frame for frame in line["frames"]) for line in failed)
    assert SECRET not in logged.text
    assert "hush" not in logged.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"called": "Sam"}, "area"),
        ({"area": "a-b", "called": 7}, "called"),
        ({"area": "a-b", "called": "Sam", "diagnosis": "x"}, "diagnosis"),
        ({"area": "a-b", "called": "Sam", "also": [{"kind": "goal"}]}, "also[0].words"),
        ({"area": "a-b", "called": ""}, "called"),
        ({"area": "A B", "called": "Sam"}, "area"),
        ({"area": "a-b", "called": "S" * 81}, "called"),
        ({"area": "a-b", "called": "Sam", "spend_limit_pence": -1}, "spend_limit_pence"),
        ({"area": "a-b", "called": "Sam", "spend_limit_pence": 1.5}, "spend_limit_pence"),
        ({"area": "a-b", "called": "Sam", "spend_limit_pence": MAX_PENCE}, "spend_limit_pence"),
        ({"area": "a-b", "called": "Sam", "travel_limit_metres": 10**30}, "travel_limit_metres"),
        ({"area": "a-b", "called": "Sam", "good_at": ["x"] * 21}, "good_at"),
        ({"area": "a-b", "called": "Sam", "good_at": ["x" * 501]}, "good_at[0]"),
        ({"area": "a-b", "called": "Sam", "free_times": ["mon_noon"]}, "free_times[0]"),
    ],
)
async def test_a_body_that_cannot_be_taken_names_the_field(
    client: httpx2.AsyncClient, body: dict[str, Any], field: str
) -> None:
    problem = refused(await client.post("/v1/people", json=body), 400)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert problem["errors"][0]["message"]


@pytest.mark.parametrize("given", [0, 1, "no", "true", 0.0, None])
async def test_a_yes_or_no_that_was_sent_as_something_else_is_refused_by_the_field(
    maker: Maker, given: Any
) -> None:
    account = await maker.account()
    path = f"/v1/budgets/{uuid4()}/pooling-authority"
    answer = await maker.client.put(path, json={"given": given}, headers=account.headers)
    problem = refused(answer, 400)
    assert [one["field"] for one in problem["errors"]] == ["given"]


async def test_an_unknown_field_is_refused_without_quoting_what_it_held(
    client: httpx2.AsyncClient,
) -> None:
    body = {"area": "a-b", "called": "Sam", "diagnosis": SECRET}
    problem = refused(await client.post("/v1/people", json=body), 400)
    assert SECRET not in json.dumps(problem)
    body = {"area": "a-b", "called": "Sam", "also": [{"kind": SECRET, "words": "x"}]}
    problem = refused(await client.post("/v1/people", json=body), 400)
    assert SECRET not in json.dumps(problem)


ODD_BODIES = {
    "nothing": b"",
    "not JSON": b"hello",
    "cut off": b'{"area": "a-b", "called": "Sa',
    "a list": b"[]",
    "null": b"null",
    "a number": b"1e999",
    "NaN": b'{"area": NaN}',
    "a raw NUL": b'{"area": "a-b", "called": "S\x00"}',
    "an escaped NUL": b'{"area": "a-b", "called": "S\\u0000", "good_at": ["x"]}',
    "half a pair": b'{"area": "a-b", "called": "\\ud800", "good_at": ["x"]}',
    "the other half": b'{"area": "a-b", "called": "\\udc00x", "good_at": ["x"]}',
    "no UTF-8": b'{"area": "a-b", "called": "\xff\xfe", "good_at": ["x"]}',
    "a surrogate in UTF-8": b'{"area": "a-b", "called": "\xed\xa0\x80", "good_at": ["x"]}',
    "deep lists": b'{"good_at": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "deep objects": b'{"x": ' + b'{"x":' * 20_000 + b"1" + b"}" * 20_000 + b"}",
    "deep and unclosed": b"[" * 100_000,
    "many quotes": b'"\\"' * 50_000,
    "UTF-16": '{"area": "a-b"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"area": "a-b", "called": "Sam"}',
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
async def test_an_odd_body_is_refused_and_never_our_mistake(
    client: httpx2.AsyncClient, body: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/v1/people", "/v1/enquiries", "/v1/sessions", "/v1/listings/search"):
        answer = await client.post(path, content=body, headers=headers)
        assert answer.status_code in (400, 422), f"{path}: {answer.status_code} {answer.text}"
        refused(answer, answer.status_code)


async def test_brackets_in_what_somebody_says_are_no_nesting(maker: Maker) -> None:
    area = await maker.area()
    words = "[" * 900 + '"\\' + "{" * 900
    await maker.enquiry(area, words=words)
    assert (await maker.story(area, good_at=["\\u0000 is how NUL is written"])).code


async def test_signs_that_cannot_be_kept_are_refused_in_addresses_too(
    maker: Maker, client: httpx2.AsyncClient
) -> None:
    story = await maker.story()
    for path in (
        "/v1/areas/%00",
        "/v1/areas/a%00b",
        "/v1/areas/%ff",
        "/v1/areas/%ed%a0%80",
        "/v1/listings?area=a%00b",
        "/v1/listings?near=%00%00",
        "/v1/listings?cursor=%00",
        "/v1/people/%00",
        f"/v1/people/{story.id}/receipts?cursor=%00",
        "/v1/sessions%00",
    ):
        answer = await client.get(path, headers=story.headers)
        assert answer.status_code in (400, 404, 422), f"{path}: {answer.status_code}"
        refused(answer, answer.status_code)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "x", ""])
async def test_another_kind_of_body_is_refused_or_read_as_json_and_never_our_mistake(
    client: httpx2.AsyncClient, kind: str
) -> None:
    for content in (b"called=Sam&area=a-b", b'{"area": "a-b", "called": "Sam"}'):
        answer = await client.post(
            "/v1/people", content=content, headers={"Content-Type": kind} if kind else {}
        )
        assert answer.status_code in (400, 415, 422), answer.text
        refused(answer, answer.status_code)


async def test_a_body_over_the_limit_is_refused_however_it_comes(
    client: httpx2.AsyncClient, settings: Settings
) -> None:
    big = b'{"area": "' + b"a" * settings.body_limit_bytes + b'"}'

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 65_536):
            yield big[start : start + 65_536]

    headers = {"Content-Type": "application/json"}
    for content in (big, pieces()):
        answer = await client.post("/v1/people", content=content, headers=headers | key())
        refused(answer, 413, "too-large")


async def test_an_unknown_address_and_a_method_not_known_are_problems_too(
    client: httpx2.AsyncClient,
) -> None:
    refused(await client.get("/v1/nothing-here"), 404, "no-such-address")
    refused(await client.get("/v1/people/not-an-id"), 404)
    answer = await client.delete("/v1/people")
    refused(answer, 405, "method-not-known")
    assert "POST" in answer.headers["allow"]
    refused(await client.request("BREW", "/v1/people"), 405, "method-not-known")


async def test_every_answer_says_under_which_trace_and_is_not_kept_by_anybody(
    client: httpx2.AsyncClient,
) -> None:
    for answer in (
        await client.get("/health/live"),
        await client.get("/v1/me"),
        await client.get("/v1/nothing"),
        await client.get("/v1/me", headers={"Authorization": "Bearer x"}),
    ):
        assert len(answer.headers["x-correlation-id"]) == 36
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_refusal_names_its_rule_for_each_status(maker: Maker) -> None:
    account = await maker.account()
    client = maker.client
    body = {"called": "x", "roles": [{"area": account.area.slug, "role": "citizen"}]}
    refused(await client.get("/v1/me"), 401, "sign-in-needed")
    refused(await client.post("/v1/accounts", json=body, headers=account.headers), 403)
    refused(await client.get("/v1/areas/no-such-area"), 404, "visible-to-you")
    story = {"area": "no-such-area", "called": "Sam", "good_at": ["x"]}
    known = refused(await client.post("/v1/people", json=story), 422, "area-known")
    assert known["errors"][0]["field"] == "area"
    good(await client.get("/v1/areas"))


async def test_no_field_of_a_body_has_the_name_of_a_dependency(
    client: httpx2.AsyncClient, app: Litestar
) -> None:
    schema = good(await client.get("/docs/openapi.json"))
    shapes = schema["components"]["schemas"].values()
    fields = {name for shape in shapes for name in shape.get("properties", {})}
    assert "called" in fields
    assert "work" in app.dependencies
    assert not fields & set(app.dependencies)
