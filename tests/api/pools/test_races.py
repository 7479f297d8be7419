"""Promises that race an ending, a leave and each other: nothing is lost, nothing is twice."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.api.pools.neighbours import Neighbours
from tests.groups import Member, Town
from tests.make import good, now

pytestmark = pytest.mark.anyio

ROUNDS = 24


async def after(seconds: float, what: Awaitable[Any]) -> Any:
    """Do something a moment later."""
    await asyncio.sleep(seconds)
    return await what


async def at_once(number: int, one: Awaitable[Any], other: Awaitable[Any]) -> tuple[Any, Any]:
    """Do two things at one moment; from round to round first one, then the other is ahead."""
    ahead = (number - ROUNDS // 2) * 0.001
    return await asyncio.gather(after(max(0, -ahead), one), after(max(0, ahead), other))


def kept(connection: psycopg.Connection, group: Town) -> dict[str, str]:
    """Return each promise's state, read as the owner; fail where books and promise disagree.

    A promise that is held has a hold that has not ended, one that was let go has one that was
    released: never both, never neither. Nobody who is out has a promise that is held.
    """
    rows = connection.execute(
        "SELECT g.id::text, g.state, e.kind, m.state FROM pool_pledges g"
        " JOIN pool_members m ON m.id = g.member_id"
        " LEFT JOIN ledger_hold_ends e ON e.hold_id = g.hold_id WHERE g.pool_id = %s",
        [group.pool_id],
    ).fetchall()
    for _, state, ended, member in rows:
        assert (state == "held") == (ended is None), rows
        assert state in ("held", "let_go", "expired"), rows
        assert ended in (None, "released"), rows
        assert not (state == "held" and member == "out"), rows
    return {row[0]: row[1] for row in rows}


def told(answer: Any, made: set[str]) -> bool:
    """Note the promise of a 201; return whether it was one. Any other answer is a whole 409."""
    if answer.status_code == 201:
        made.add(answer.json()["id"])
        return True
    assert answer.status_code in (403, 409), answer.text
    assert answer.json()["rule"] in (
        "promise-at-its-time",
        "promise-in-time",
        "members-only",
        "at-the-same-moment",
    )
    return False


async def test_a_promise_that_races_the_last_day_is_let_go_with_the_others_or_refused(
    home: Neighbours, owner_connection: psycopg.Connection
) -> None:
    group = await home.promising()
    one, other = group.members
    before = await home.stands(one)
    made: set[str] = set()
    for number in range(ROUNDS):
        told(await group.promise(other, 1_000), made)
        later = now() + timedelta(days=20)
        answer, _ = await at_once(number, group.promise(one, 1_000), group.advance(at=later))
        told(answer, made)
        await group.advance(at=later)
        assert await group.state() == "expired"
        await group.pledging()
    found = kept(owner_connection, group)
    assert set(found) == made
    assert set(found.values()) == {"expired"}
    assert await home.stands(one) == before


async def test_a_promise_that_races_ones_own_leave_is_let_go_by_it_or_refused(
    home: Neighbours, owner_connection: psycopg.Connection
) -> None:
    group = await home.promising("own", "own", "own")
    one = group.members[1]
    before = await home.stands(one)
    made: set[str] = set()
    for number in range(ROUNDS):
        answer, left = await at_once(
            number, group.promise(one, 1_000), group.send("POST", "/leave", one, {})
        )
        good(left)
        told(answer, made)
        found = kept(owner_connection, group)
        assert set(found) == made
        assert "held" not in found.values()
        body = {"called": "Back again", "code": await group.code()}
        await group.post("/members", one, body)
    assert await home.stands(one) == before
    assert (await group.get("", one))["promised_pence"] == 0


async def test_a_promise_that_races_the_closing_of_the_group_is_let_go_by_it_or_refused(
    home: Neighbours, owner_connection: psycopg.Connection, deep: bool
) -> None:
    # Each round is a group of its own: every other one of the rounds, unless there is time.
    for number in range(0, ROUNDS, 1 if deep else 2):
        group = await home.promising()
        one, other = group.members
        made: set[str] = set()
        told(await group.promise(other, 1_000), made)
        asked = {"motion": "close", "words": "Shall we stop?", "easy_words": "Stop?"}
        vote = (await group.post("/votes", other, asked))["votes"][-1]["id"]
        for who in (one, other):
            await group.post(f"/votes/{vote}/ballots", who, {"choice": "yes"})
        answer, _ = await at_once(number, group.promise(one, 1_000), group.advance())
        assert await group.state() == "closed"
        told(answer, made)
        await group.advance()
        assert kept(owner_connection, group) == dict.fromkeys(made, "let_go")
    assert (await home.stands(one))["promised"] == 0


async def test_taking_a_promise_back_that_races_the_next_one_ends_it_once(
    home: Neighbours, owner_connection: psycopg.Connection
) -> None:
    group = await home.promising()
    one = group.members[0]
    before = await home.stands(one)
    made: set[str] = set()
    for number in range(ROUNDS):
        answer = await group.promise(one, 1_000)
        assert told(answer, made)
        first = answer.json()["id"]
        path = f"/pledges/{first}"
        answer, back = await at_once(
            number, group.promise(one, 1_001), group.send("DELETE", path, one, keyed=False)
        )
        assert told(answer, made)
        assert good(back)["state"] == "let_go"
        found = kept(owner_connection, group)
        assert found[first] == "let_go"
        assert found[answer.json()["id"]] == "held"
        assert (await home.stands(one))["promised"] == before["promised"] + 1_001
    assert set(kept(owner_connection, group)) == made


async def test_a_group_looked_at_by_many_at_once_signs_once_and_pays_once(
    home: Neighbours, owner_connection: psycopg.Connection
) -> None:
    group = await home.reviewing()
    one: Member = group.members[0]
    before = await home.stands(one)
    await group.approve_all()
    body = {"called": "Bridgewater Neighbours, a charity"}
    good(await group.send("PUT", "/body", group.commissioner, body, keyed=False))
    await group.vote("confirm", "yes")
    for who in (group.finance, group.manager):
        await group.post("/approvals", who)
    await asyncio.gather(*(group.advance() for _ in range(3)))
    assert (await group.get("/books", one))["put_in_pence"] == 6_000
    for number in (1, 2):
        for who in group.members:
            path = f"/stages/{number}/words"
            await group.post(path, who, {"what": "confirmed"})
        await asyncio.gather(*(group.advance() for _ in range(3)))
    books = await group.get("/books", one)
    assert (books["used_pence"], books["returned_pence"]) == (4_000, 2_000)
    after_it = await home.stands(one)
    assert after_it["free"] == before["free"] + 1_000
    assert after_it["waiting"] == before["waiting"] + 2_000
    steps = (await group.get("/history", one))["items"]
    assert [step["version"] for step in steps] == list(range(1, len(steps) + 1))
    assert sum(1 for step in steps if step["what"] == "signed") == 1
    assert sum(1 for step in steps if step["what"] == "part_paid") == 2
    paid = owner_connection.execute(
        "SELECT count(*), sum(amount_pence) FROM payments WHERE for_id = %s", [group.pool_id]
    ).fetchone()
    assert paid == (4, 4_000)
