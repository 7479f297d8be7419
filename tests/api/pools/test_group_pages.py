"""One's own page, the books, the history and the list: figures that agree, in plain words."""

from dataclasses import replace
from typing import Any

import pytest

from tests.api.pools.neighbours import Neighbours
from tests.architecture.test_words import ADDRESS, NEVER_SHOWN
from tests.groups import Member, Town
from tests.make import good, refused

pytestmark = pytest.mark.anyio


async def in_words(group: Town, one: Member) -> str:
    """Return what one reads about their money."""
    return str((await group.get("/mine", one))["in_words"])


async def test_one_reads_at_each_step_what_is_kept_used_back_and_still_there(
    home: Neighbours,
) -> None:
    group = await home.promising("own", "council")
    own, council = group.members
    assert await in_words(group, own) == "You have no money in this."
    await group.promise_all(3_000)
    assert await in_words(group, own) == (
        "You have promised £30. It is kept for this, and not spent."
        " If you left today you would get £30 back."
    )
    await group.review()
    await group.approve_all()
    await group.sign()
    assert await in_words(group, council) == (
        "You put in £30. Nothing was used. If you left today you would get £25 back."
    )
    await group.stage(1)
    mine = await group.get("/mine", council)
    money = mine["money"][0]
    assert money == money | {
        "kind": "Direct payment",
        "state": "posted",
        "go_ahead": "approved",
        "promised_pence": 3_000,
        "put_in_pence": 3_000,
        "used_pence": 1_000,
        "returned_pence": 0,
        "left_pence": 2_000,
        "notice_pence": 500,
        "back_today_pence": 1_500,
        "may_be_used_for": ["Hall"],
    }
    await group.stage(2)
    assert await in_words(group, own) == (
        "You put in £30. £20 was used. £10 went back to where it came from."
    )
    assert any("999" in way for way in mine["worried"])


async def test_one_with_two_sources_sees_each_and_pays_one_person_s_part(
    home: Neighbours,
) -> None:
    group = await home.promising("own", "own")
    one, other = group.members
    more = await group.maker.budget(one.story, kind="own_money", pence=10_000)
    second = replace(one, budget=more)
    good(await group.promise(one, 3_000))
    good(await group.promise(second, 1_000))
    good(await group.promise(other, 3_000))
    await group.review()
    await group.sign()
    await group.stage(1)
    money = (await group.get("/mine", one))["money"]
    assert sorted(each["used_pence"] for each in money) == [250, 750]
    books = await group.get("/books", other)
    assert [each["used_pence"] for each in books["shares"] if each["mine"]] == [1_000]
    assert books["put_in_pence"] == 7_000


async def test_the_books_are_the_same_for_all_and_tell_nobody_whose_share_is_whose(
    home: Neighbours,
) -> None:
    group = await home.promising("own", "own", "own")
    first, second, third = group.members
    for one, pence in ((first, 1_000), (second, 9_000), (third, 2_000)):
        good(await group.promise(one, pence))
    await group.review()
    await group.sign()
    await group.stage(1)
    seen = [await group.get("/books", one) for one in group.members]
    # One's own first, then by size: not in the order in which people joined.
    assert [[share["put_in_pence"] for share in one["shares"]] for one in seen] == [
        [1_000, 9_000, 2_000],
        [9_000, 2_000, 1_000],
        [2_000, 9_000, 1_000],
    ]
    totals = [{name: pence for name, pence in one.items() if name != "shares"} for one in seen]
    assert totals[0] == totals[1] == totals[2]
    for one in seen:
        assert [share["mine"] for share in one["shares"]] == [True, False, False]
        for name in ("put_in", "used", "returned", "left"):
            key = f"{name}_pence"
            assert one[key] == sum(share[key] for share in one["shares"])
        assert one["missing_pence"] == 0
    refused(await group.send("GET", "/books", group.social_worker, keyed=False), 404)


async def test_the_list_shows_ones_own_groups_first_and_without_names(home: Neighbours) -> None:
    group = await home.group("own", "own")
    one = group.members[1]
    client = group.maker.client
    found = good(await client.get("/v1/pools", headers=one.headers))["items"]
    mine = next(each for each in found if each["id"] == str(group.pool_id))
    assert mine == {
        "id": str(group.pool_id),
        "name": "Two Left Feet",
        "summary": "A dance group on Tuesdays.",
        "state": "gathering",
        "people": 2,
        "mine": True,
    }
    assert found[0]["id"] == str(group.pool_id)
    refused(await client.get("/v1/pools"), 401)


async def test_the_history_is_whole_and_each_step_says_who_in_which_role_and_why(
    home: Neighbours,
) -> None:
    group = await home.signed()
    await group.stage(1)
    items = (await group.get("/history", group.members[0]))["items"]
    assert [one["version"] for one in items] == list(range(1, len(items) + 1))
    assert [(one["what"], one["role"], one["reason"]) for one in items] == [
        ("started", "member", "idea"),
        ("invited", "member", "new_code"),
        ("joined", "member", "own_wish"),
        ("vote_opened", "member", "choose_offer"),
        ("vote_ended", "kith", "passed"),
        ("offer_chosen", "kith", "vote"),
        ("promises_opened", "member", "members"),
        ("review_asked", "member", "target_met"),
        ("approved", "kith", "go_aheads"),
        ("body_named", "staff", "signs"),
        ("vote_opened", "member", "confirm"),
        ("vote_ended", "kith", "passed"),
        ("passed", "staff", "approval"),
        ("passed", "staff", "approval"),
        ("signed", "kith", "vote_and_two"),
        ("begun", "member", "first_word"),
        ("part_done", "member", "done"),
        ("part_done", "member", "confirmed"),
        ("part_confirmed", "member", "confirmed"),
        ("part_paid", "kith", "confirmed"),
    ]


def words_in(told: Any) -> list[str]:
    """Return every sentence in an answer: what has a space in it."""
    if isinstance(told, dict):
        return [word for one in told.values() for word in words_in(one)]
    if isinstance(told, list):
        return [word for one in told for word in words_in(one)]
    return [told] if isinstance(told, str) and " " in told else []


async def test_no_page_and_no_refusal_of_a_group_shows_a_word_of_the_trade(
    home: Neighbours,
) -> None:
    group = await home.signed("own", "council")
    one = group.members[0]
    told = [await group.get(path, one) for path in ("", "/mine", "/books", "/history")]
    tries = [
        await group.promise(one, 1_000),
        await group.send("POST", "/steps", one, {"to": "closed"}),
        await group.send("POST", "/stages/1/words", one, {"what": "done"}),
        await group.send("POST", "/stages/9/words", one, {"what": "done"}),
        await group.send("PUT", "/choices", one, {"choices": {}}, keyed=False),
        await group.send("PUT", "/pause", one, {"paused": True}, keyed=False),
        await group.send("POST", "/approvals", group.provider),
        await group.send("POST", "/pledges", one, {"budget_id": str(one.budget.id)}),
    ]
    assert not [answer.text for answer in tries if answer.is_success]
    told += [answer.json() for answer in tries]
    said = [ADDRESS.sub("", one) for one in words_in(told)]
    assert len(said) > 40
    assert not [one for one in said if NEVER_SHOWN.search(one)]
