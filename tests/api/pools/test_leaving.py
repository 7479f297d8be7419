"""Leaving before and after signing, death, a funder who withdraws: to the penny and in no words."""

from typing import Any

import pytest

from tests.api.pools.neighbours import NO, SMALL, Neighbours
from tests.groups import LINES, Member, Town
from tests.make import good, refused

pytestmark = pytest.mark.anyio


async def leave(group: Town, one: Member, words: str | None = None) -> Any:
    """Leave; return one's own page."""
    return await group.post("/leave", one, {"something_was_wrong": words})


async def exit_of(group: Town, one: Member, reason: str, who: Any = None) -> Any:
    """Let the staff say what happened; return the answer."""
    body = {"reason": reason, "words": "The family rang on Monday."}
    return await group.send("POST", f"/members/{one.number}/exits", who or group.manager, body)


async def used_by(group: Town) -> list[int]:
    """Return what was used of each member's money, in joining order."""
    return [
        sum(share["used_pence"] for share in (await group.get("/mine", one))["money"])
        for one in group.members
    ]


async def books(group: Town) -> tuple[int, int, int, int]:
    """Return what came in, was used, went back and is left; nothing is ever missing."""
    found = await group.get("/books", group.manager)
    assert found["missing_pence"] == 0
    names = ("put_in_pence", "used_pence", "returned_pence", "left_pence")
    put_in, used, returned, left = (found[name] for name in names)
    return put_in, used, returned, left


def silent(told: Any) -> None:
    """Check that nothing says what became of somebody."""
    said = str(told).lower()
    for word in ("died", "death", "estate", "family", "monday", "withdr", "wrong", "declin"):
        assert word not in said, word


async def test_before_signing_the_whole_promise_is_free_at_once_and_needs_no_reason(
    home: Neighbours,
) -> None:
    group = await home.promising("own", "own", "own")
    one = group.members[2]
    before = await home.stands(one)
    await group.promise_all(3_000)
    mine = await leave(group, one, "Somebody shouts at me.")
    assert (mine["my_state"], mine["in_words"]) == ("out", "You have no money in this.")
    assert await home.stands(one) == before
    told = [await group.get(path, group.members[0]) for path in ("", "/history", "/mine")]
    silent(told)
    assert "shouts" not in str(told)
    assert told[0]["people"] == 2
    # Leaving twice is leaving once.
    assert (await leave(group, one))["events"] == mine["events"]


async def test_the_demo_s_own_figures_add_up_to_the_penny(home: Neighbours) -> None:
    """Twelve people, one of whom gets no go-ahead; 9,850 a session, ten sessions, two parts."""
    group = await home.group(*["own"] * 11, "council")
    people = group.members
    await group.costed(lines=LINES, sessions=10, stages=2, notice_sessions=2, max_people=12)
    await group.pledging()
    await group.promise_all(10_000)
    await group.review()
    await group.decide(group.social_worker, people[11], **NO)
    await group.advance()
    await group.sign()
    eleven = people[:11]
    assert await books(group) == (110_000, 0, 0, 110_000)
    await group.stage(1)
    part_one = [4_478] * 3 + [4_477] * 8 + [0]
    assert await used_by(group) == part_one
    leaver = eleven[4]
    before = await home.stands(leaver)
    mine = (await group.get("/mine", leaver))["money"][0]
    assert (mine["left_pence"], mine["notice_pence"], mine["back_today_pence"]) == (
        5_523,
        1_791,
        3_732,
    )
    mine = await leave(group, leaver)
    assert mine["money"][0]["returned_pence"] == 3_732
    assert mine["in_words"] == (
        "You put in £100. £44.77 was used. £37.32 went back to where it came from."
        " £17.91 is still here for your notice. What is not used comes back."
    )
    assert (await home.stands(leaver))["free"] == before["free"] + 3_732
    await group.stage(2)
    both = await used_by(group)
    second = [two - one for one, two in zip(part_one, both, strict=True)]
    assert second[4] == 1_791
    others = [pence for place, pence in enumerate(second[:11]) if place != 4]
    assert sorted(others) == [4_745] + [4_746] * 9
    assert sum(second) == 49_250
    await group.confirm_payments()
    assert await group.state() == "closed"
    assert await books(group) == (110_000, 98_500, 11_500, 0)
    assert (await home.stands(people[11]))["promised"] == 0


async def test_where_no_notice_was_agreed_who_leaves_pays_nothing_more(home: Neighbours) -> None:
    group = await home.group("own", "own", "own")
    await group.costed(**SMALL)
    body = {"choices": {"leaving": "no_notice"}}
    good(await group.send("PUT", "/choices", group.members[0], body, keyed=False))
    await group.pledging()
    await group.promise_all(3_000)
    await group.review()
    await group.sign()
    await group.stage(1)
    assert await used_by(group) == [667, 667, 666]
    mine = await leave(group, group.members[2])
    assert mine["money"][0]["returned_pence"] == 3_000 - 666
    assert mine["money"][0]["left_pence"] == 0
    await group.stage(2)
    assert await used_by(group) == [1_667, 1_667, 666]
    assert await books(group) == (9_000, 4_000, 5_000, 0)


async def test_nobody_owes_more_than_is_left_of_what_they_promised(home: Neighbours) -> None:
    group = await home.promising("own", "own", notice_sessions=4, split="by_promise")
    small, large = group.members
    good(await group.promise(small, 100))
    good(await group.promise(large, 3_900))
    await group.review()
    await group.sign()
    mine = await leave(group, small)
    assert (mine["money"][0]["left_pence"], mine["money"][0]["returned_pence"]) == (100, 0)
    await group.stage(1)
    # Their notice is spent first.
    assert await used_by(group) == [100, 1_900]


async def test_who_leaves_in_a_pause_has_left_and_the_money_follows_when_it_ends(
    home: Neighbours,
) -> None:
    group = await home.signed("own", "own", "own")
    one = group.members[1]
    before = await home.stands(one)
    good(await group.send("PUT", "/pause", group.manager, {"paused": True}, keyed=False))
    mine = await leave(group, one)
    await group.advance()
    assert mine["my_state"] == "out"
    assert (await home.stands(one))["free"] == before["free"]
    good(await group.send("PUT", "/pause", group.manager, {"paused": False}, keyed=False))
    for _ in range(2):
        await group.advance()
    # Ten pounds a session and one session's notice, over three: 333 or 334.
    assert (await home.stands(one))["free"] == before["free"] + 3_000 - 333
    assert await books(group) == (9_000, 0, 2_667, 6_333)


async def test_after_a_death_before_signing_the_promise_is_free_and_the_group_is_told_a_number(
    home: Neighbours,
) -> None:
    group = await home.reviewing("own", "own", "council", pence=2_000)
    one = group.members[2]
    good(await exit_of(group, one, "died"))
    await group.advance()
    assert (await home.stands(one))["promised"] == 0
    assert await group.sign_offs(group.social_worker) == []
    assert await group.state() == "approved"
    told = [await group.get(path, group.members[0]) for path in ("", "/history", "/books")]
    silent(told)
    assert told[0]["people"] == 2


async def test_after_a_death_the_share_is_frozen_until_the_estate_is_settled_and_closing_waits(
    home: Neighbours,
) -> None:
    group = await home.signed("own", "own", "own")
    first, _, one = group.members
    before = await home.stands(one)
    await group.stage(1)
    refused(await exit_of(group, one, "estate_settled"), 409, "estate-after-death")
    refused(await exit_of(group, one, "died", group.provider), 403)
    good(await exit_of(group, one, "died"))
    await group.stage(2)
    await group.confirm_payments()
    # The others paid the second part; what was left of them went back; the share stays.
    assert await used_by(group) == [1_667, 1_667, 666]
    assert await group.state() == "reviewed"
    assert await books(group) == (9_000, 4_000, 2_666, 2_334)
    told = [await group.get(path, first) for path in ("", "/history", "/books")]
    silent(told)
    assert [step["what"] for step in told[1]["items"]].count("share_paused") == 1
    good(await exit_of(group, one, "estate_settled"))
    await group.advance()
    assert await group.state() == "closed"
    assert await books(group) == (9_000, 4_000, 5_000, 0)
    assert (await home.stands(one))["free"] == before["free"] + 2_334
    silent(await group.get("/history", first))


async def test_a_funder_who_withdraws_takes_out_what_is_left_less_the_notice(
    home: Neighbours,
) -> None:
    group = await home.signed("own", "own", "council")
    one = group.members[2]
    before = await home.stands(one)
    good(await exit_of(group, one, "funder_withdrew", group.commissioner))
    await group.advance()
    assert (await home.stands(one))["free"] == before["free"] + 3_000 - 333
    told = [await group.get(path, group.members[0]) for path in ("", "/history", "/books")]
    silent(told)
    mine = await group.get("/mine", one)
    assert [event["what"] for event in mine["events"]] == ["joined", "funder_withdrew", "returned"]
    body = {"reason": "died", "words": "x"}
    refused(await group.send("POST", "/members/9/exits", group.manager, body), 404)


async def test_a_dispute_of_somebody_who_left_holds_nobody_up(home: Neighbours) -> None:
    group = await home.signed("own", "own", "own")
    first, second, third = group.members
    path = "/stages/1/words"
    await group.post(path, third, {"what": "disputed", "words": "It was cold."})
    await group.post(path, first, {"what": "confirmed"})
    await leave(group, third)
    await group.post(path, second, {"what": "confirmed"})
    await group.advance()
    assert (await group.get("", first))["stages"][0]["state"] == "paid"
