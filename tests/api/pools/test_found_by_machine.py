"""What the machine found, or whoever wrote down what it has to look for; each told on its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from api.core.db import Database, WriteSession
from api.identity.rules import Task
from api.pools import advance, exits
from api.pools.schemas import NewExit
from tests.api.pools.neighbours import SMALL, Neighbours
from tests.groups import Member, Town
from tests.make import good, now, refused

pytestmark = pytest.mark.anyio

EASY = {"motion": "choose_offer", "words": "Which one?", "easy_words": "Pick one."}


@asynccontextmanager
async def under_way(
    database: Database, work: Callable[[WriteSession], Awaitable[Any]], actor: Any
) -> AsyncIterator[None]:
    """Do something that is not committed until this ends, and then give others time to wait."""
    async with database.write(actor=actor, now=now()) as tx:
        await work(tx)
        yield
        await asyncio.sleep(0.4)


async def pause(group: Town, paused: bool) -> None:
    """Pause a group, or end its pause and let it go on."""
    good(await group.send("PUT", "/pause", group.manager, {"paused": paused}, keyed=False))
    await group.advance()


async def confirmed(group: Town, number: int, *members: Member) -> None:
    """Let the provider say that a part is done, and these members that it happened."""
    path = f"/stages/{number}/words"
    await group.post(path, group.provider, {"what": "done"})
    for one in members:
        await group.post(path, one, {"what": "confirmed"})
    await group.advance()


async def wages(group: Town, number: int) -> None:
    """Let two of the staff pass a part as wages that are due."""
    for one in (group.finance, group.manager):
        await group.post(f"/stages/{number}/words", one, {"what": "wages"})
    await group.advance()


async def stage(group: Town, number: int) -> str:
    """Return where a part stands, as staff see it."""
    return str((await group.get("", group.manager))["stages"][number - 1]["state"])


async def test_a_vote_that_is_just_being_counted_is_no_longer_given_to(home: Neighbours) -> None:
    group = await home.group("own", "own", "own")
    offer = await group.offer(**SMALL)
    vote = (await group.post("/votes", group.members[0], EASY))["votes"][-1]["id"]
    path, choice = f"/votes/{vote}/ballots", {"choice": str(offer)}
    for one in group.members[:2]:
        await group.post(path, one, choice)
    later, pool_id = now() + timedelta(days=8), group.pool_id
    assert pool_id is not None
    task = Task("pools.advance", uuid4(), pool_id)

    async def count(tx: WriteSession) -> None:
        await advance.advance(tx, actor=task, now=later, pool_id=pool_id)

    async with under_way(group.database, count, task):
        given = asyncio.create_task(group.send("POST", path, group.members[2], choice))
    refused(await given, 409, "vote-open")
    last = (await group.get("", group.members[0]))["votes"][-1]
    assert last["counts"] == {str(offer): 2}


async def test_who_died_at_the_moment_of_coming_back_has_not_come_back(home: Neighbours) -> None:
    group = await home.group("own", "own", "own")
    third = group.members[2]
    code = await group.code()
    await group.post("/leave", third, {})
    new, pool_id = NewExit(reason="died", words="Their sister rang."), group.pool_id
    assert pool_id is not None
    staff = group.finance.actor

    async def died(tx: WriteSession) -> None:
        await exits.exit_by_staff(tx, actor=staff, now=now(), pool_id=pool_id, number=3, new=new)

    async with under_way(group.maker.database, died, staff):
        body = {"called": "Member 3", "code": code}
        back = asyncio.create_task(group.send("POST", "/members", third, body))
    refused(await back, 409, "group-paused")
    assert (await group.get("/mine", third))["my_state"] == "paused"


async def test_who_leaves_in_a_pause_pays_no_more_than_their_notice_for_wages_in_it(
    home: Neighbours,
) -> None:
    group = await home.signed("own", "own", "own")
    third = group.members[2]
    before = await home.stands(third)
    await pause(group, True)
    await group.post("/leave", third, {})
    await confirmed(group, 1, *group.members[:2])
    await wages(group, 1)
    assert await stage(group, 1) == "paid"
    after = await home.stands(third)
    # One session of ten pounds, by three.
    assert after["waiting"] + after["paid"] - before["waiting"] - before["paid"] in (333, 334)


async def test_who_left_in_a_pause_gets_theirs_back_before_anything_is_paid(
    home: Neighbours,
) -> None:
    group = await home.signed("own", "own", "own")
    third = group.members[2]
    before = await home.stands(third)
    await pause(group, True)
    await group.post("/leave", third, {})
    await confirmed(group, 1, *group.members[:2])
    await pause(group, False)
    assert await stage(group, 1) == "paid"
    after = await home.stands(third)
    assert after["waiting"] + after["paid"] - before["waiting"] - before["paid"] in (333, 334)
    assert before["together"] - after["together"] == 3_000


async def test_who_leaves_in_a_pause_with_money_of_two_kinds_gets_both_back(town: Town) -> None:
    home = Neighbours(town)
    group = await home.promising("own", "own")
    first, second = group.members
    more = await town.maker.budget(second.story, kind="own_money", pence=5_000)
    also = Member(second.story, more, second.number)
    await group.promise_all(1_500)
    good(await group.promise(also, 1_500))
    await group.review()
    await group.sign()
    assert await group.state() == "contracted"
    await pause(group, True)
    await group.post("/leave", second, {})
    assert (await home.stands(also))["together"] == 1_500
    await pause(group, False)
    # A session of ten pounds, by two people, one of whom has put in twice.
    left = [(await home.stands(one))["together"] for one in (first, second, also)]
    assert left == [1_500, 250, 250]


async def test_what_was_passed_as_wages_in_one_pause_is_not_paid_in_the_next(
    home: Neighbours,
) -> None:
    group = await home.signed("own", "own")
    await pause(group, True)
    await wages(group, 1)
    await pause(group, False)
    await pause(group, True)
    await confirmed(group, 1, *group.members)
    assert await stage(group, 1) == "confirmed"
    await wages(group, 1)
    assert await stage(group, 1) == "paid"


async def test_where_nobody_is_left_nothing_is_confirmed_by_silence(home: Neighbours) -> None:
    group = await home.signed("own", "own")
    for one in group.members:
        await group.post("/leave", one, {})
    await confirmed(group, 1)
    assert await stage(group, 1) == "done"


async def test_a_funder_may_withdraw_from_a_group_that_closed_before_any_offer(
    home: Neighbours,
) -> None:
    group = await home.group("own", "own")
    await group.close()
    body = {"reason": "funder_withdrew", "words": "The letter came."}
    await group.post("/members/2/exits", group.finance, body)
    assert (await group.get("/mine", group.members[1]))["my_state"] == "out"
