"""Joining by one's own wish, and offers with their questions, versions and checks."""

import asyncio
from typing import Any

import pytest

from tests.api.pools.neighbours import SMALL, Neighbours
from tests.groups import OFFER, Member, Town
from tests.make import Account, good, refused

pytestmark = pytest.mark.anyio

EASY = {"words": "Shall we?", "easy_words": "Yes or no?"}


async def ask_in(group: Town, one: Member, code: str | None) -> Any:
    """Ask to join; return the answer."""
    return await group.send("POST", "/members", one, {"called": "Another", "code": code})


async def fresh_code(group: Town) -> str:
    """Make a new code, which ends the one before."""
    return str((await group.post("/invitations", group.members[0]))["code"])


async def test_a_small_group_is_joined_with_its_code_and_not_found_without(
    home: Neighbours,
) -> None:
    group = await home.group("own")
    _, other, _ = await home.people("own", "own", "own")
    refused(await ask_in(group, other, None), 404)
    refused(await ask_in(group, other, "no-such-code-0000"), 404)
    refused(await group.send("GET", "", other, keyed=False), 404)
    seen = good(await ask_in(group, other, await group.code()))
    assert [(one["number"], one["me"]) for one in seen["members"]] == [(1, False), (2, True)]
    assert seen["people"] == 2


async def test_an_old_code_ends_when_a_new_one_is_made(home: Neighbours) -> None:
    group = await home.group("own")
    _, other = await home.people("own", "own")
    old, new = await fresh_code(group), await fresh_code(group)
    assert old != new
    refused(await ask_in(group, other, old), 404)
    good(await ask_in(group, other, new.lower().replace("-", " ")))


async def test_joining_twice_is_joining_once(home: Neighbours) -> None:
    group = await home.group("own", "own")
    again = good(await ask_in(group, group.members[1], await group.code()))
    assert again["people"] == 2


async def test_five_people_and_more_are_open_in_their_own_area_and_fewer_are_not_shown(
    home: Neighbours,
) -> None:
    group = await home.group(*["own"] * 4)
    *_, fifth, sixth = await home.people(*["own"] * 6)
    at = {"area": group.area.slug}
    client = group.maker.client

    async def shown(who: Member) -> list[int]:
        found = good(await client.get("/v1/pools", params=at, headers=who.headers))["items"]
        return [one["people"] for one in found if one["id"] == str(group.pool_id)]

    assert await shown(sixth) == []
    assert await shown(group.members[0]) == [4]
    await group.join(fifth)
    assert await shown(sixth) == [5]
    # Another area's people read that it is there, and cannot walk in.
    away = Member(await group.maker.story(), sixth.budget)
    refused(await ask_in(group, away, None), 404)
    seen = good(await ask_in(group, sixth, None))
    assert seen["people"] == 6


async def test_whoever_comes_back_gets_their_place_in_the_order_again(home: Neighbours) -> None:
    group = await home.group("own", "own")
    _, second, third = await home.people("own", "own", "own")
    second = group.members[1]
    await group.post("/leave", second, {})
    await group.join(third)
    assert third.number == 3
    refused(await group.send("POST", "/votes", second, {"motion": "choose_offer"} | EASY), 403)
    good(await ask_in(group, second, await group.code()))
    assert (await group.get("/mine", second))["number"] == 2


async def test_of_two_who_take_the_last_place_at_one_moment_one_is_told_it_is_full(
    home: Neighbours,
) -> None:
    group = await home.group("own", "own")
    *_, one, two = await home.people(*["own"] * 4)
    await group.costed(**SMALL | {"max_people": 3})
    code = await group.code()
    answers = await asyncio.gather(*(ask_in(group, who, code) for who in (one, two)))
    late = next(answer for answer in answers if not answer.is_success)
    refused(late, 409, "room-for-so-many")
    assert "not touched" in late.json()["detail"]
    assert (await group.get("", group.members[0]))["people"] == 3


async def test_nobody_joins_while_go_aheads_are_asked_or_once_it_is_closed(
    home: Neighbours,
) -> None:
    group = await home.reviewing("own", "own")
    *_, other = await home.people(*["own"] * 3)
    refused(await ask_in(group, other, await group.code()), 409, "joining-open")
    await group.close()
    refused(await ask_in(group, other, await group.code()), 409, "joining-open")


async def test_putting_money_together_starts_from_a_story(home: Neighbours) -> None:
    town = home.town
    body = {"area": town.area.slug, "name": "Choir", "summary": "Singing.", "called": "Kay"}
    answer = await town.maker.client.post("/v1/pools", json=body, headers=town.provider.headers)
    refused(answer, 409, "story-first")


async def test_a_provider_offers_with_the_code_and_a_new_version_names_the_old(
    home: Neighbours,
) -> None:
    group = await home.group()
    refused(await group.send("POST", "/offers", group.provider, OFFER), 404)
    first = await group.offer()
    second = await group.offer(replaces=str(first), sessions=8, stages=2)
    seen = await group.get("", group.provider)
    assert [(one["id"], one["replaces"], one["total_pence"]) for one in seen["offers"]] == [
        (str(first), None, 98_500),
        (str(second), str(first), 78_800),
    ]
    assert seen["offers"][0]["each_pence"] == 49_250
    # Nobody makes a new version of somebody else's, and no version is replaced twice.
    mine = OFFER | {"replaces": str(second)}
    refused(await group.send("POST", "/offers", group.members[0], mine), 404)
    again = OFFER | {"replaces": str(first), "code": await group.code()}
    refused(await group.send("POST", "/offers", group.provider, again), 409)


async def test_a_member_writes_down_what_somebody_offered(home: Neighbours) -> None:
    group = await home.group()
    seen = await group.post("/offers", group.members[1], OFFER | {"called": "The church hall"})
    assert [(one["called"], one["mine"]) for one in seen["offers"]] == [("The church hall", False)]
    # Who left writes nothing down any more, and who is only known by a code cannot be paid.
    await group.post("/leave", group.members[1], {})
    refused(await group.send("POST", "/offers", group.members[1], OFFER), 403, "members-only")
    *_, stranger = await home.people(*["own"] * 3)
    with_code = OFFER | {"code": await group.code()}
    answer = await group.send("POST", "/offers", stranger, with_code)
    refused(answer, 403, "account-to-be-paid")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"min_people": 5, "max_people": 4}, "max_people"),
        ({"sessions": 2, "stages": 3, "notice_sessions": 0}, "stages"),
        ({"sessions": 2, "stages": 1, "notice_sessions": 3}, "stages"),
    ],
)
async def test_an_offer_whose_figures_do_not_fit_is_refused_by_field(
    home: Neighbours, changed: dict[str, Any], field: str
) -> None:
    group = await home.group("own")
    answer = await group.send("POST", "/offers", group.members[0], OFFER | changed)
    assert [one["field"] for one in refused(answer, 422)["errors"]] == [field]


async def test_personal_care_is_offered_by_a_registered_provider(home: Neighbours) -> None:
    group = await home.group("own")
    care = [{"words": "Help with washing", "purpose": "personal_care", "pence": 2_000}]
    answer = await group.send("POST", "/offers", group.members[0], OFFER | {"lines": care})
    assert "Care Quality Commission" in refused(answer, 422, "registered-provider")["detail"]
    body = OFFER | {"lines": care, "registered": True}
    assert (await group.post("/offers", group.members[0], body))["offers"][0]["registered"]


async def test_members_ask_and_whoever_made_the_offer_answers(home: Neighbours) -> None:
    group = await home.group()
    offer = await group.offer()
    body = {"offer_id": str(offer), "words": "Is there a ramp?"}
    await group.post("/messages", group.members[1], body)
    seen = await group.post("/messages", group.provider, body | {"words": "There is."})
    assert [(one["called"], one["by"]) for one in seen["messages"]] == [
        ("Member 2", "member"),
        ("Kay", "provider"),
    ]
    other: Account = await group.maker.account(group.area, "provider")
    refused(await group.send("POST", "/messages", other, body), 404)
    # Somebody who offers something else reads, and does not answer for Kay; nor does the staff.
    await group.post("/offers", other, OFFER | {"code": await group.code()})
    refused(await group.send("POST", "/messages", other, body), 403, "members-only")
    refused(await group.send("POST", "/messages", group.manager, body), 403, "members-only")
