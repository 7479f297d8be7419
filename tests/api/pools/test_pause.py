"""A pause keeps somebody safe: nothing new is posted, clocks stand still, wages due go through."""

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.api.pools.neighbours import SMALL, Neighbours
from tests.groups import OFFER, Town
from tests.make import good, now, refused

pytestmark = pytest.mark.anyio


async def pause(group: Town, on: bool, who: Any = None) -> Any:
    """Pause a group, or end the pause; return the answer."""
    who = who or group.manager
    return await group.send("PUT", "/pause", who, {"paused": on}, keyed=False)


def began(connection: psycopg.Connection, group: Town, ago: timedelta) -> None:
    """Let the pause have begun some time ago, past every guard."""
    with connection.transaction():
        connection.execute("ALTER TABLE pools DISABLE TRIGGER moves")
        connection.execute(
            "UPDATE pools SET paused_at = paused_at - %s WHERE id = %s", [ago, group.pool_id]
        )
        connection.execute("ALTER TABLE pools ENABLE TRIGGER moves")


async def test_a_manager_pauses_and_the_others_see_only_that_it_is_paused(
    home: Neighbours,
) -> None:
    group = await home.promising()
    for who in (group.members[0], group.finance, group.commissioner, group.provider):
        refused(await pause(group, True, who), 403)
    seen = good(await pause(group, True))
    again = good(await pause(group, True))
    assert (seen["paused"], again["version"]) == (True, seen["version"])
    told = [await group.get(path, group.members[0]) for path in ("", "/history")]
    assert told[0]["paused"] is True
    step = told[1]["items"][-1]
    assert (step["what"], step["role"], step["words"]) == ("paused", "staff", None)


async def test_in_a_pause_nothing_moves_forward(home: Neighbours) -> None:
    group = await home.promising()
    one = group.members[0]
    await group.promise_all(3_000)
    good(await pause(group, True))
    *_, other = await home.people("own", "own", "own")
    offer = {"motion": "choose_offer", "words": "x", "easy_words": "x"}
    body = {"called": "Late", "code": await group.code()}
    tries = [
        await group.promise(one, 1_000),
        await group.send("POST", "/steps", one, {"to": "review"}),
        await group.send("POST", "/votes", one, offer),
        await group.send("POST", "/members", other, body),
    ]
    for answer in tries:
        problem = refused(answer, 409, "group-paused")
        assert "safe" not in problem["detail"]
    await group.advance(at=now() + timedelta(days=30))
    assert await group.state() == "pledging"
    # What one has promised can be taken back all the same.
    gone = (await group.get("/mine", one))["money"]
    assert gone[0]["state"] == "held"
    await group.post("/leave", one, {})
    assert (await group.get("/mine", one))["money"] == []


async def test_the_last_day_moves_on_by_the_length_of_the_pause_and_so_does_a_vote_s(
    home: Neighbours, owner_connection: psycopg.Connection
) -> None:
    group = await home.promising(days=14)
    one = group.members[0]
    body = {"motion": "choose_offer", "words": "Or another?", "easy_words": "Another?"}
    before = await group.post("/votes", one, body)
    good(await pause(group, True))
    began(owner_connection, group, timedelta(days=5))
    after = good(await pause(group, False))

    def moved(old: str, new: str) -> float:
        return (datetime.fromisoformat(new) - datetime.fromisoformat(old)).total_seconds()

    five = timedelta(days=5).total_seconds()
    assert five <= moved(before["promise_by"], after["promise_by"]) < five + 60
    assert five <= moved(before["votes"][-1]["closes_at"], after["votes"][-1]["closes_at"])
    await group.advance(at=now() + timedelta(days=18))
    assert await group.state() == "pledging"
    await group.advance(at=now() + timedelta(days=20))
    assert await group.state() == "expired"


async def test_wages_due_in_a_pause_are_passed_by_two_of_the_staff_and_not_by_one(
    home: Neighbours,
) -> None:
    group = await home.signed()
    path = "/stages/1/words"
    wages = {"what": "wages"}
    refused(await group.send("POST", path, group.manager, wages), 422, "wages-in-a-pause")
    good(await pause(group, True))
    for one in group.members:
        await group.post(path, one, {"what": "confirmed"})
    refused(await group.send("POST", path, group.commissioner, wages), 403, "role-needed")
    refused(await group.send("POST", path, group.members[0], wages), 403, "role-needed")
    for _ in range(2):
        await group.post(path, group.manager, wages)
    await group.advance()
    assert (await group.get("", group.manager))["stages"][0]["state"] == "confirmed"
    await group.post(path, group.finance, wages)
    await group.advance()
    seen = await group.get("", group.manager)
    assert [one["state"] for one in seen["stages"]] == ["paid", "planned"]
    assert seen["paused"] is True


async def test_wages_that_nobody_has_confirmed_are_not_due(home: Neighbours) -> None:
    group = await home.signed()
    good(await pause(group, True))
    for one in (group.manager, group.finance):
        await group.post("/stages/1/words", one, {"what": "wages"})
    await group.advance()
    assert (await group.get("/books", group.members[0]))["used_pence"] == 0
    good(await pause(group, False))
    await group.advance()
    assert (await group.get("/books", group.members[0]))["used_pence"] == 0


async def test_whoever_is_paid_does_not_pass_their_own_wages(home: Neighbours) -> None:
    group = await home.group()
    paid = await group.maker.account(group.area, "provider", "finance")
    seen = await group.post("/offers", paid, OFFER | SMALL | {"code": await group.code()})
    await group.vote("choose_offer", seen["offers"][0]["id"])
    await group.pledging()
    await group.promise_all(3_000)
    await group.review()
    await group.sign()
    good(await pause(group, True))
    for one in group.members:
        await group.post("/stages/1/words", one, {"what": "confirmed"})
    answer = await group.send("POST", "/stages/1/words", paid, {"what": "wages"})
    refused(answer, 403, "two-others-approve")


async def test_when_the_pause_ends_it_goes_on_from_where_it_stood(home: Neighbours) -> None:
    group = await home.signed()
    good(await pause(group, True))
    for one in group.members:
        await group.post("/stages/1/words", one, {"what": "confirmed"})
    await group.advance()
    assert (await group.get("/books", group.members[0]))["used_pence"] == 0
    good(await pause(group, False))
    await group.advance()
    assert (await group.get("/books", group.members[0]))["used_pence"] == 2_000
