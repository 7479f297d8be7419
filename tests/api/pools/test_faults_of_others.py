"""Each fault seen in other products that handle money, at the level of groups: none is ours.

The ledger's own tests of these names are in tests/api/ledger; here it is people who try.
"""

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.api.pools.neighbours import MEANS, NO, Neighbours
from tests.groups import Member, Town
from tests.make import good, key, now, refused

pytestmark = pytest.mark.anyio

# A hundred pounds in one part: three cannot share it evenly.
HUNDRED: dict[str, Any] = {
    "lines": [{"words": "Coach", "purpose": "dance", "pence": 10_000}],
    "sessions": 1,
    "stages": 1,
    "notice_sessions": 0,
}


async def together(group: Town, one: Member) -> tuple[int, int, int, int]:
    """Return what one put in, and of it what was used, went back and is left."""
    money = (await group.get("/mine", one))["money"][0]
    names = ("put_in_pence", "used_pence", "returned_pence", "left_pence")
    put_in, used, returned, left = (money[name] for name in names)
    assert put_in == used + returned + left
    return put_in, used, returned, left


async def test_one_sum_is_not_promised_to_two_groups(home: Neighbours) -> None:
    first, second = await home.promising(), await home.promising()
    one, again = first.members[0], second.members[0]
    free = (await home.stands(one))["free"]
    ways = await asyncio.gather(
        first.promise(one, free // 2 + 1), second.promise(again, free // 2 + 1)
    )
    assert sorted(way.status_code for way in ways) == [201, 409]
    refused(next(way for way in ways if not way.is_success), 409, "not-enough")
    for group in (first, second):
        await group.close()
    assert (await home.stands(one))["free"] == free


async def test_a_promise_that_was_let_go_is_not_signed_later(home: Neighbours) -> None:
    group = await home.promising("own", "own", "own")
    one = group.members[2]
    made = good(await group.promise(one, 3_000))
    good(await group.send("DELETE", f"/pledges/{made['id']}", one, keyed=False))
    for other in group.members[:2]:
        good(await group.promise(other, 3_000))
    before = await home.stands(one)
    await group.review()
    await group.sign()
    assert (await group.get("/books", one))["put_in_pence"] == 6_000
    assert await home.stands(one) == before


async def test_a_promise_is_not_let_go_twice_and_frees_nothing_of_another(
    home: Neighbours,
) -> None:
    group, other = await home.promising(), await home.promising()
    one = group.members[0]
    before = await home.stands(one)
    made = good(await group.promise(one, 3_000))
    good(await other.promise(other.members[0], 2_000))
    for _ in range(3):
        path = f"/pledges/{made['id']}"
        gone = good(await group.send("DELETE", path, one, keyed=False))
        assert gone["state"] == "let_go"
    assert (await home.stands(one))["promised"] == before["promised"] + 2_000
    # By nobody else, and not by way of another group.
    made = good(await group.promise(one, 3_000))
    path = f"/pledges/{made['id']}"
    refused(await group.send("DELETE", path, group.members[1], keyed=False), 404)
    refused(await group.send("DELETE", path, group.manager, keyed=False), 403)
    refused(await other.send("DELETE", path, one, keyed=False), 404)
    assert (await home.stands(one))["promised"] == before["promised"] + 5_000


async def test_money_given_back_is_not_given_back_twice(home: Neighbours) -> None:
    """Neither by another key, nor by the same, nor when the group is looked at again."""
    group = await home.signed("own", "own", "own")
    one = group.members[2]
    same = key()
    path = f"{group.path}/leave"
    answers = [
        await group.maker.client.post(path, json={}, headers=one.headers | sent)
        for sent in (same, same, key())
    ]
    assert len({str(good(answer)["money"]) for answer in answers}) == 1
    after = await home.stands(one)
    for _ in range(3):
        await group.advance()
    assert await home.stands(one) == after
    assert await together(group, one) == (3_000, 0, 3_000 - 333, 333)


async def test_a_part_spent_group_cannot_be_given_back_whole(home: Neighbours) -> None:
    group = await home.signed()
    one, other = group.members
    await group.stage(1)
    answer = await group.send("POST", "/steps", one, {"to": "closed"})
    problem = refused(answer, 409, "step-in-order")
    assert "it has begun" in problem["detail"]
    for who in (one, other):
        await group.post("/leave", who, {})
    books = await group.get("/books", group.manager)
    assert books["used_pence"] == 2_000
    # One session's notice of two who leave one after the other: at most its price, of what is left.
    assert 2_000 <= books["returned_pence"] <= 4_000
    assert books["returned_pence"] + books["left_pence"] == 4_000
    for who in (one, other):
        put_in, used, returned, _ = await together(group, who)
        assert returned <= put_in - used


async def test_a_promise_after_the_group_is_full_is_refused_and_not_lost(
    home: Neighbours,
) -> None:
    group = await home.promising(max_people=2)
    *_, late = await home.people("own", "own", "own")
    before = await home.stands(late)
    body = {"called": "Late", "code": await group.code()}
    answer = await group.send("POST", "/members", late, body)
    assert "not touched" in refused(answer, 409, "room-for-so-many")["detail"]
    refused(await group.promise(late, 1_000), 404)
    assert await home.stands(late) == before
    # More than the price is taken in and goes back whole: it is in the books all the way.
    for one in group.members:
        good(await group.promise(one, 50_000))
    free = [(await home.stands(one))["free"] for one in group.members]
    await group.review()
    await group.sign()
    await group.stage(1)
    await group.stage(2)
    assert [(await home.stands(one))["free"] for one in group.members] == [
        pence + 48_000 for pence in free
    ]


async def test_a_hundred_pounds_among_three_leave_no_penny_that_nobody_can_spend(
    home: Neighbours,
) -> None:
    group = await home.signed("own", "own", "own", pence=3_334, **HUNDRED)
    await group.stage(1)
    assert [await together(group, one) for one in group.members] == [
        (3_334, 3_334, 0, 0),
        (3_334, 3_333, 1, 0),
        (3_334, 3_333, 1, 0),
    ]


async def test_a_group_closes_with_left_over_pence(
    home: Neighbours, owner_connection: psycopg.Connection
) -> None:
    group = await home.signed("own", "council", "own", pence=3_334, **HUNDRED)
    before = [(await home.stands(one))["free"] for one in group.members]
    await group.stage(1)
    await group.confirm_payments()
    assert await group.state() == "closed"
    after = [(await home.stands(one))["free"] for one in group.members]
    assert [new - old for old, new in zip(before, after, strict=True)] == [0, 1, 1]
    shares = owner_connection.execute(
        "SELECT a.balance_pence, a.closed_at IS NULL FROM ledger_accounts a JOIN pool_pledges g"
        " ON g.share_id = a.id WHERE g.pool_id = %s",
        [group.pool_id],
    ).fetchall()
    assert shares == [(0, False)] * 3
    for one in group.members:
        refused(await group.promise(one, 1), 409, "promise-at-its-time")


async def test_a_promise_that_runs_out_moves_nothing_of_a_group_that_closed(
    home: Neighbours,
) -> None:
    group = await home.promising()
    one = group.members[0]
    good(await group.promise(one, 3_000))
    await group.close()
    before = await home.stands(one), await group.get("/history", one)
    for days in (15, 30):
        await group.advance(at=now() + timedelta(days=days))
    assert (await home.stands(one), await group.get("/history", one)) == before


async def test_two_parts_that_race_one_balance_are_not_both_paid(home: Neighbours) -> None:
    group = await home.signed("own", "council")
    own, council = group.members
    assert council.budget.finance is not None
    client, path = group.maker.client, f"/v1/budgets/{council.budget.id}/purposes"
    headers = council.budget.finance.headers
    good(await client.put(path, json={"purposes": []}, headers=headers))
    for number in (1, 2):
        for one in group.members:
            await group.post(f"/stages/{number}/words", one, {"what": "confirmed"})
    await asyncio.gather(*(group.advance() for _ in range(3)))
    seen = await group.get("", own)
    assert [one["state"] for one in seen["stages"]] == ["paid", "short"]
    assert await together(group, own) == (3_000, 2_000, 0, 1_000)
    again = {"purposes": [{"code": "dance", "words": "For dance"}]}
    good(await client.put(path, json=again, headers=headers))


async def test_a_member_who_is_put_out_keeps_the_way_to_their_money(home: Neighbours) -> None:
    """Put out by a refused go-ahead, or by a funder who withdraws: it stays theirs to see."""
    group = await home.reviewing("own", "own", "council")
    one = group.members[2]
    await group.decide(group.social_worker, one, **NO)
    await group.advance()
    mine = await group.get("/mine", one)
    assert (mine["my_state"], mine["money"][0]["promised_pence"]) == ("out", 3_000)
    assert (await home.stands(one))["free"] + (await home.stands(one))["promised"] <= MEANS
    group = await home.signed("own", "own", "council")
    one = group.members[2]
    body = {"reason": "funder_withdrew", "words": "The contract ended."}
    good(await group.send("POST", "/members/3/exits", group.finance, body))
    assert await together(group, one) == (3_000, 0, 3_000 - 333, 333)
    assert (await group.get("/books", one))["missing_pence"] == 0
    # What the notice did not need comes back at closing, though they are out.
    assert (await group.vote("shrink", "yes", from_stage=1))["outcome"] == "passed"
    await group.advance()
    assert await group.state() == "closed"
    assert await together(group, one) == (3_000, 0, 3_000, 0)


async def test_cancelling_deletes_nothing(
    home: Neighbours, owner_connection: psycopg.Connection
) -> None:
    group = await home.promising()
    one = group.members[0]
    await group.promise_all(3_000)
    tables = ("pool_steps", "pool_pledges", "pool_members", "pool_choices", "pool_offers")

    def rows() -> list[int]:
        return [
            owner_connection.execute(
                f"SELECT count(*) FROM {table} WHERE pool_id = %s",
                [group.pool_id],
            ).fetchone()[0]  # type: ignore[index]
            for table in tables
        ]

    before, history = rows(), (await group.get("/history", one))["items"]
    await group.close()
    after = rows()
    assert after[0] == before[0] + 4
    assert after[1:] == before[1:]
    told = (await group.get("/history", one))["items"]
    assert told[: len(history)] == history
    what = ["vote_opened", "vote_ended", "closed", "all_let_go"]
    assert [step["what"] for step in told[-4:]] == what
    statement = good(
        await group.maker.client.get(f"/v1/budgets/{one.budget.id}/statement", headers=one.headers)
    )
    assert statement["items"]
