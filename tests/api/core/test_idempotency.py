"""An Idempotency-Key: one effect, one answer, for whoever sent it and for nobody else."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from api.core import retention
from api.core.db import Database
from api.identity.rules import Task
from tests.make import Maker, Story, bearer, good, key, now, refused

pytestmark = pytest.mark.anyio

GOAL = {"kind": "goal", "words": "see the sea"}


def said(connection: psycopg.Connection, story: Story) -> int:
    """Count the goals of a story with those words."""
    row = connection.execute(
        "SELECT count(*) FROM statements WHERE person_id = %s AND words = %s",
        [story.id, GOAL["words"]],
    ).fetchone()
    assert row is not None
    return int(row[0])


async def test_the_same_again_has_one_effect_and_the_first_answer(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    story = await maker.story()
    path, headers = f"/v1/people/{story.id}/statements", story.headers | key()
    first = await maker.client.post(path, json=GOAL, headers=headers)
    again = await maker.client.post(path, json=GOAL, headers=headers)
    assert good(first) == good(again)
    assert (first.status_code, again.status_code) == (201, 201)
    assert said(owner_connection, story) == 1


async def test_another_body_or_another_address_under_the_same_key_is_refused(
    maker: Maker,
) -> None:
    story = await maker.story()
    path, headers = f"/v1/people/{story.id}/statements", story.headers | key()
    good(await maker.client.post(path, json=GOAL, headers=headers))
    other = await maker.client.post(path, json=GOAL | {"kind": "interest"}, headers=headers)
    refused(other, 422, "idempotency-key-reused")
    spaced = json.dumps(GOAL, indent=4).encode()
    answer = await maker.client.post(
        path, content=spaced, headers=headers | {"Content-Type": "application/json"}
    )
    refused(answer, 422, "idempotency-key-reused")
    offer = {"name": "Bread", "words": "with me"}
    elsewhere = await maker.client.post(
        f"/v1/people/{story.id}/offers", json=offer, headers=headers
    )
    refused(elsewhere, 422, "idempotency-key-reused")


async def test_somebody_elses_key_is_another_key(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    one, other = await maker.story(), await maker.story()
    shared = key()
    for story in (one, other):
        path = f"/v1/people/{story.id}/statements"
        good(await maker.client.post(path, json=GOAL, headers=story.headers | shared))
    assert (said(owner_connection, one), said(owner_connection, other)) == (1, 1)


async def test_the_same_at_the_same_moment_is_told_at_once_and_does_not_hang(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    story = await maker.story()
    path, headers = f"/v1/people/{story.id}/statements", story.headers | key()
    with owner_connection.transaction():
        owner_connection.execute("SELECT FROM people WHERE id = %s FOR UPDATE", [story.id])
        first = asyncio.create_task(maker.client.post(path, json=GOAL, headers=headers))
        await _until_waiting(owner_connection)
        began = asyncio.get_running_loop().time()
        meanwhile = await maker.client.post(path, json=GOAL, headers=headers)
        assert asyncio.get_running_loop().time() - began < 0.5
        refused(meanwhile, 409, "idempotency-under-way")
        assert meanwhile.headers["retry-after"] == "1"
    made = good(await first)
    assert good(await maker.client.post(path, json=GOAL, headers=headers)) == made
    assert said(owner_connection, story) == 1


async def _until_waiting(connection: psycopg.Connection) -> None:
    """Wait until somebody waits for a lock."""
    for _ in range(200):
        row = connection.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid())"
        ).fetchone()
        if row == (True,):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def test_many_at_once_leave_one_row(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    area = await maker.area()
    called, headers = uuid4().hex, key()
    body = {"area": area.slug, "called": called, "good_at": ["x"]}
    answers = await asyncio.gather(
        *(maker.client.post("/v1/people", json=body, headers=headers) for _ in range(6))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.is_success}) == 1
    rows = owner_connection.execute("SELECT FROM people WHERE called = %s", [called]).fetchall()
    assert len(rows) == 1


async def test_a_refused_request_is_judged_afresh(maker: Maker) -> None:
    story = await maker.story(good_at=[], want_to=[], not_asked_yet=True)
    headers = story.headers | key()
    path = f"/v1/people/{story.id}/statements"
    wrong = {"kind": "goal", "words": "x", "facts": [{"fact": "dogs", "wanted": "no"}]}
    refused(await maker.client.post(path, json=wrong, headers=headers), 422, "facts-of-needs")
    refused(await maker.client.post(path, json=wrong, headers=headers), 422, "facts-of-needs")
    good(await maker.client.post(path, json=GOAL, headers=headers))


@pytest.mark.parametrize(
    "wrong", ["short", "x" * 15, "x" * 129, "with spaces in between", "caf\u00e9" * 5, "a;b" * 9]
)
async def test_a_key_has_a_form(maker: Maker, wrong: str) -> None:
    area = await maker.area()
    body = {"area": area.slug, "called": "Sam", "good_at": ["x"]}
    headers = {"Idempotency-Key": wrong.encode("latin-1")}
    answer = await maker.client.post("/v1/people", json=body, headers=headers)  # type: ignore[arg-type]
    refused(answer, 422, "idempotency-key-form")


@pytest.mark.parametrize("right", ["x" * 16, "x" * 128, "A-b_c.d:0123456789"])
async def test_a_key_of_that_form_is_taken(maker: Maker, right: str) -> None:
    story = await maker.story()
    path = f"/v1/people/{story.id}/statements"
    headers = story.headers | {"Idempotency-Key": right}
    good(await maker.client.post(path, json=GOAL, headers=headers))


async def test_a_repeated_start_gives_a_fresh_code_and_the_first_one_ends(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    area = await maker.area()
    headers = key()
    body = {"area": area.slug, "called": "Sam", "good_at": ["x"]}
    first = good(await maker.client.post("/v1/people", json=body, headers=headers))
    again = good(await maker.client.post("/v1/people", json=body, headers=headers))
    assert again["id"] == first["id"]
    assert again["code"] not in (None, first["code"])
    lost = {"by": "code", "code": first["code"]}
    refused(await maker.client.post("/v1/sessions", json=lost), 401, "code-unknown")
    me = good(await maker.client.get("/v1/me", headers=bearer(await maker.sign_in(again["code"]))))
    assert me["id"] == first["id"]
    stored = owner_connection.execute(
        "SELECT convert_from(body, 'UTF8'), status, resource FROM idempotency_keys WHERE key = %s",
        [headers["Idempotency-Key"]],
    ).fetchall()
    assert len(stored) == 1
    assert first["code"] not in stored[0][0]
    assert json.loads(stored[0][0])["code"] is None
    assert stored[0][1:] == (201, first["id"])


async def test_a_repeated_question_gives_one_more_code_to_the_same_one(maker: Maker) -> None:
    area = await maker.area()
    headers = key()
    body = {"area": area.slug, "words": "Is there a choir?"}
    first = good(await maker.client.post("/v1/enquiries", json=body, headers=headers))
    again = good(await maker.client.post("/v1/enquiries", json=body, headers=headers))
    assert (again["id"], again["due_at"]) == (first["id"], first["due_at"])
    for code in (first["code"], again["code"]):
        headers = bearer(await maker.sign_in(code))
        good(await maker.client.get(f"/v1/enquiries/{first['id']}", headers=headers))


async def test_after_ninety_days_the_answer_is_gone_and_the_key_still_stands(
    maker: Maker, database: Database, owner_connection: psycopg.Connection
) -> None:
    story = await maker.story()
    path, headers = f"/v1/people/{story.id}/statements", story.headers | key()
    made = good(await maker.client.post(path, json=GOAL, headers=headers))
    actor = Task("core.retention", uuid4())

    async def empty(after: timedelta) -> Any:
        moment = now() + after
        async with database.write(actor=actor, now=moment) as tx:
            return await retention.empty_old_bodies(tx, now=moment)

    await empty(timedelta(days=89))
    assert good(await maker.client.post(path, json=GOAL, headers=headers)) == made
    assert await empty(timedelta(days=90, minutes=1)) >= 1
    problem = refused(
        await maker.client.post(path, json=GOAL, headers=headers), 410, "idempotency-body-expired"
    )
    assert made["id"] in " ".join(problem["what_else"])
    other = await maker.client.post(path, json=GOAL | {"words": "y"}, headers=headers)
    refused(other, 422, "idempotency-key-reused")
    assert said(owner_connection, story) == 1


async def test_an_answer_is_given_again_only_to_whoever_may_still_see_it(maker: Maker) -> None:
    area = await maker.area()
    admin = await maker.account(area, "area_admin")
    worker = await maker.account(area, "scheme_worker")
    enquiry = await maker.enquiry(area)
    path, headers = f"/v1/enquiries/{enquiry.id}/answers", worker.headers | key()
    body = {"words": "Yes, on Tuesdays."}
    good(await maker.client.post(path, json=body, headers=headers))
    good(await maker.client.post(path, json=body, headers=headers))
    role = f"/v1/accounts/{worker.id}/roles/{area.slug}/scheme_worker"
    good(await maker.client.delete(role, headers=admin.headers))
    refused(await maker.client.post(path, json=body, headers=headers), 404)
