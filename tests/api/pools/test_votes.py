"""One person one vote, more than half, a majority of citizens (J3.7)."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.api.pools.neighbours import SMALL, Neighbours
from tests.groups import Member, Town
from tests.make import good, now, refused

pytestmark = pytest.mark.anyio

EASY = {"words": "Which offer shall we take?", "easy_words": "Pick one."}


async def put(group: Town, **new: Any) -> str:
    """Put the question which offer to take; return the vote's id."""
    seen = await group.post("/votes", group.members[0], EASY | {"motion": "choose_offer"} | new)
    return str(seen["votes"][-1]["id"])


async def ballot(group: Town, vote: str, who: Any, choice: Any, **body: Any) -> Any:
    """Vote; return the answer."""
    return await group.send("POST", f"/votes/{vote}/ballots", who, {"choice": str(choice)} | body)


async def came_to(group: Town, who: Any = None) -> tuple[str | None, dict[str, int] | None]:
    """Count what is due, and return what the last vote came to."""
    await group.advance()
    last = (await group.get("", who or group.members[0]))["votes"][-1]
    return last["outcome"], last["counts"]


async def test_each_person_votes_once_and_only_the_counts_are_shown(home: Neighbours) -> None:
    group = await home.group("own", "own", "own")
    offer = await group.offer(**SMALL)
    vote = await put(group)
    first, second, third = group.members
    assert (await ballot(group, vote, first, offer, helped="read_out")).is_success
    refused(await ballot(group, vote, first, "abstain"), 409, "one-person-one-vote")
    assert await came_to(group) == (None, None)
    for one in (second, third):
        await ballot(group, vote, one, "abstain")
    assert await came_to(group) == ("passed", {str(offer): 1, "abstain": 2})
    seen = (await group.get("", second))["votes"][-1]
    assert seen["my_choice"] == "abstain"
    assert seen["easy_words"] == "Pick one."
    assert str(first.story.id) not in str(seen)
    assert await group.state() == "costed"


async def test_one_person_who_votes_twice_at_one_moment_votes_once(home: Neighbours) -> None:
    group = await home.group()
    offer = await group.offer(**SMALL)
    vote = await put(group)
    ways = await asyncio.gather(
        *(ballot(group, vote, group.members[0], choice) for choice in (offer, "abstain"))
    )
    assert sorted(one.status_code for one in ways) == [201, 409]


async def test_a_vote_that_half_took_part_in_does_not_count(home: Neighbours) -> None:
    group = await home.group()
    offer = await group.offer(**SMALL)
    vote = await put(group, closes_at=(now() + timedelta(days=1)).isoformat())
    await ballot(group, vote, group.members[0], offer)
    await group.advance(at=now() + timedelta(days=2))
    assert await came_to(group) == ("not_counted", {str(offer): 1})
    assert await group.state() == "gathering"


async def test_a_vote_without_a_majority_of_citizens_does_not_count(home: Neighbours) -> None:
    group = await home.group("own")
    worker = await group.maker.account(group.area, "professional")
    story = await group.maker.story(account=worker)
    await group.join(Member(story, group.members[0].budget))
    offer = await group.offer(**SMALL)
    vote = await put(group)
    for one in group.members:
        await ballot(group, vote, one, offer)
    assert await came_to(group) == ("not_counted", {str(offer): 2})
    # With one citizen more, citizens are more than half.
    _, third = await home.people("own", "own")
    await group.join(third)
    assert (await group.vote("choose_offer", str(offer)))["outcome"] == "passed"


async def test_a_helper_assists_and_does_not_vote(home: Neighbours) -> None:
    group = await home.group()
    offer = await group.offer(**SMALL)
    vote = await put(group)
    helper = await group.maker.account(group.area)
    refused(await ballot(group, vote, helper, offer, helped="explained"), 404)
    # Whoever works with a member, keeps the money in order, or is paid, has no vote either.
    refused(await ballot(group, vote, group.social_worker, offer), 404)
    for one in (group.manager, group.provider):
        refused(await ballot(group, vote, one, offer), 403, "members-only")


async def test_somebody_who_looks_after_money_does_not_vote_for_the_person(
    home: Neighbours,
) -> None:
    group = await home.group()
    nominee = await group.maker.account(group.area)
    budget = group.members[0].budget
    body = {"account_id": str(nominee.id), "authority": "nominee", "may": ["see", "promise"]}
    answer = await group.maker.client.post(
        f"/v1/budgets/{budget.id}/authorities", json=body, headers=budget.story.headers
    )
    assert answer.is_success
    offer = await group.offer(**SMALL)
    refused(await ballot(group, await put(group), nominee, offer), 403, "members-only")


async def test_there_is_one_vote_at_a_time(home: Neighbours) -> None:
    group = await home.group()
    await group.offer(**SMALL)
    await put(group)
    body = EASY | {"motion": "choose_offer"}
    refused(await group.send("POST", "/votes", group.members[1], body), 409, "one-vote-at-a-time")


async def test_a_late_ballot_is_refused(home: Neighbours) -> None:
    group = await home.group()
    offer = await group.offer(**SMALL)
    vote = await put(group, closes_at=(now() + timedelta(seconds=0.5)).isoformat())
    await ballot(group, vote, group.members[0], offer)
    await asyncio.sleep(0.5)
    refused(await ballot(group, vote, group.members[1], offer), 409, "vote-open")
    assert await came_to(group) == ("not_counted", {str(offer): 1})


@pytest.mark.parametrize(
    ("new", "rule"),
    [
        ({"motion": "confirm"}, "vote-at-its-time"),
        ({"motion": "shrink", "from_stage": 1}, "vote-at-its-time"),
        ({"motion": "choose_offer", "from_stage": 1}, "part-named"),
        ({"motion": "choose_offer", "closes_at": "2020-01-01T00:00:00Z"}, "vote-ends"),
        ({"motion": "choose_offer", "closes_at": "2200-01-01T00:00:00Z"}, "vote-ends"),
        ({"motion": "choose_offer"}, "offer-first"),
    ],
)
async def test_a_question_that_cannot_be_put_now_is_refused(
    home: Neighbours, new: dict[str, Any], rule: str
) -> None:
    group = await home.group("own")
    answer = await group.send("POST", "/votes", group.members[0], EASY | new)
    refused(answer, 409 if rule == "vote-at-its-time" else 422, rule)


async def test_a_question_comes_in_easy_words_too(home: Neighbours) -> None:
    group = await home.group("own")
    body = {"motion": "choose_offer", "words": "Shall we?"}
    answer = await group.send("POST", "/votes", group.members[0], body)
    assert [one["field"] for one in refused(answer, 400)["errors"]] == ["easy_words"]


async def test_an_offer_with_room_for_too_few_cannot_win(home: Neighbours) -> None:
    group = await home.group("own", "own", "own")
    small = await group.offer(**SMALL | {"max_people": 2})
    assert (await group.vote("choose_offer", str(small)))["outcome"] == "failed"
    assert await group.state() == "gathering"


async def test_only_an_offer_of_the_group_that_still_stands_is_voted_for(home: Neighbours) -> None:
    group = await home.group()
    old = await group.offer(**SMALL)
    vote = await put(group)
    for choice in ("yes", group.pool_id, old.hex):
        answer = await ballot(group, vote, group.members[0], choice)
        assert answer.status_code in (400, 422), answer.text
    await ballot(group, vote, group.members[0], old)
    # A dearer version comes while people vote: it does not win by the votes of the old one.
    await group.offer(**SMALL | {"replaces": str(old), "sessions": 8, "stages": 2})
    refused(await ballot(group, vote, group.members[1], old), 422, "choice-of-vote")
    await ballot(group, vote, group.members[1], "abstain")
    assert await came_to(group) == ("failed", {str(old): 1, "abstain": 1})
    assert await group.state() == "gathering"


async def test_who_left_neither_counts_nor_ends_the_vote_of_those_who_stay(
    home: Neighbours,
) -> None:
    group = await home.group("own", "own", "own")
    first, second, third = group.members
    one = await group.offer(**SMALL)
    two = await group.offer(**SMALL | {"called": "Lee"})
    vote = await put(group)
    await ballot(group, vote, first, one)
    await ballot(group, vote, second, one)
    await group.post("/leave", second, {})
    assert await came_to(group) == (None, None)
    await ballot(group, vote, third, two)
    assert await came_to(group) == ("passed", {str(one): 1, str(two): 1})
    refused(await ballot(group, vote, second, two), 403, "members-only")


async def test_nobody_closes_a_group_for_the_others_and_a_vote_does(home: Neighbours) -> None:
    group = await home.promising("own", "own", "own")
    one, other, _ = group.members
    good(await group.promise(one, 1_000))
    alone = await group.send("POST", "/steps", other, {"to": "closed"})
    problem = refused(alone, 409, "closed-by-vote")
    assert "Leave" in problem["what_else"][0]
    found = await group.vote("close", "no")
    assert found["outcome"] == "failed"
    assert await group.state() == "pledging"
    await group.close()
    assert await group.state() == "closed"
    assert (await group.get("/mine", one))["money"] == []
