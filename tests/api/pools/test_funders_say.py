"""Go-aheads: per person and per funder; a no tells the others a number and nothing else."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from api.decisions import service as decisions
from api.identity.rules import Task
from tests.api.pools.neighbours import NO, SMALL, Neighbours
from tests.groups import OFFER, Member, Town
from tests.make import Account, good, key, now, refused

pytestmark = pytest.mark.anyio


async def own_sign_off(group: Town, one: Member) -> dict[str, Any]:
    """Return the newest go-ahead of a person, as they read it."""
    client = group.maker.client
    rows = good(await client.get("/v1/sign-offs", headers=one.headers))["items"]
    found: dict[str, Any] = good(
        await client.get(f"/v1/sign-offs/{rows[0]['id']}", headers=one.headers)
    )
    return found


async def steps(group: Town, who: Any) -> list[tuple[str, str, str, str]]:
    """Return what the history says, without times and versions."""
    items = (await group.get("/history", who))["items"]
    return [(one["what"], one["state"], one["role"], one["reason"]) for one in items]


async def test_own_money_needs_nobodys_go_ahead(home: Neighbours) -> None:
    group = await home.reviewing("own", "own")
    assert await group.state() == "approved"
    assert (await group.get("/mine", group.members[0]))["money"][0]["go_ahead"] == "not needed"


async def test_each_person_has_a_go_ahead_of_their_own_funder(home: Neighbours) -> None:
    group = await home.reviewing("own", "council", "nhs")
    _, council, nhs = group.members

    async def waiting(who: Account) -> list[str]:
        return [one["person_id"] for one in await group.sign_offs(who)]

    assert await waiting(group.social_worker) == [str(council.story.id)]
    assert await waiting(group.nurse) == [str(nhs.story.id)]
    assert (await group.get("/mine", nhs))["money"][0]["go_ahead"] == "waiting"
    await group.decide(group.social_worker, council)
    await group.advance()
    assert await group.state() == "review"
    await group.decide(group.nurse, nhs)
    await group.advance()
    assert await group.state() == "approved"
    # What the signer was shown says what it is and how much, and names nobody of the group.
    about = (await own_sign_off(group, nhs))["about"]
    assert (about["promised"], about["for"], about["offered_by"]) == ("£30", ["dance"], "Kay")
    assert "Member" not in str(about)


async def test_a_no_tells_the_others_how_many_are_in_and_nothing_else(home: Neighbours) -> None:
    group = await home.reviewing("own", "own", "council")
    other, _, one = group.members
    before = await steps(group, other)
    await group.decide(group.social_worker, one, **NO)
    await group.advance()
    assert await group.state() == "approved"
    no_more = (await steps(group, other))[len(before) :]
    everything = [
        await group.get(path, who)
        for path in ("", "/books", "/history")
        for who in (other, group.provider)
    ]
    everything.append(await group.get("/mine", other))
    assert everything[0]["people"] == 2
    told = str(everything).lower()
    for word in ("declin", "refus", "physio", "plan_fit", "council", "direct", "funder", "kith"):
        assert word not in told.replace("'role': 'kith'", ""), word
    assert "member 3" not in told
    assert str(one.story.id) not in told
    # Leaving by one's own wish looks the same.
    group = await home.reviewing("own", "own", "council")
    await group.post("/leave", group.members[2], {})
    await group.advance()
    gone = (await steps(group, group.members[0]))[len(before) :]
    assert no_more == gone
    assert no_more[0] == ("fewer", "review", "member", "people_now")


async def test_the_person_reads_why_and_who_can_change_it_and_has_the_money_back(
    home: Neighbours,
) -> None:
    group = await home.promising("own", "own", "council")
    one = group.members[2]
    before = await home.stands(one)
    await group.promise_all(3_000)
    await group.review()
    await group.decide(group.social_worker, one, **NO)
    await group.advance()
    assert await home.stands(one) == before
    mine = await group.get("/mine", one)
    assert (mine["my_state"], mine["money"][0]["state"]) == ("out", "declined")
    assert mine["money"][0]["go_ahead"] == "declined"
    assert [event["what"] for event in mine["events"]] == ["joined", "declined"]
    told = await own_sign_off(group, one)
    decision = told["decisions"][0]
    assert decision["words"] == NO["words"]
    assert decision["who_can_change"] == NO["who_can_change"]
    assert decision["rings_by"] == NO["rings_by"]
    ways = " ".join(told["ways_on"])
    for way in ("Look again", "advocate", "Ombudsman"):
        assert way in ways


async def test_a_target_no_longer_met_goes_back_to_promises_with_a_new_day(
    home: Neighbours,
) -> None:
    group = await home.reviewing("own", "council", pence=2_000)
    own, one = group.members
    await group.decide(group.social_worker, one, **NO)
    await group.advance()
    seen = await group.get("", own)
    assert (seen["state"], seen["promised_pence"]) == ("pledging", 2_000)
    assert seen["promise_by"] > (now() + timedelta(days=9)).isoformat()
    good(await group.promise(own, 4_000))
    # One person is too few for the offer, however much they promise.
    answer = await group.send("POST", "/steps", own, {"to": "review"})
    refused(answer, 409, "fewest-people")


async def test_a_second_look_that_was_won_counts_for_a_new_promise(home: Neighbours) -> None:
    group = await home.reviewing("own", "council", pence=2_000)
    _, one = group.members
    await group.decide(group.social_worker, one, **NO)
    await group.advance()
    client = group.maker.client
    asked = await own_sign_off(group, one)
    path = f"/v1/sign-offs/{asked['id']}/challenges"
    body = {"words": "The letter came."}
    seen = good(await client.post(path, json=body, headers=one.headers | key()))
    path = f"/v1/challenges/{seen['challenges'][0]['id']}/decision"
    body = {"outcome": "changed", "words": "I have read the letter."}
    good(await client.post(path, json=body, headers=group.manager.headers | key()))
    await group.post("/members", one, {"called": "Back", "code": await group.code()})
    good(await group.promise(one, 2_000))
    await group.review()
    assert await group.state() == "approved"
    assert await group.sign_offs(group.social_worker) == []


async def test_a_refused_sum_is_not_asked_for_again_and_a_smaller_one_is(
    home: Neighbours,
) -> None:
    group = await home.reviewing("own", "council", pence=2_000)
    own, one = group.members
    for again, pence in ((False, 2_000), (True, 1_500)):
        if not again:
            await group.decide(group.social_worker, one, **NO)
            await group.advance()
        await group.post("/members", one, {"called": "Back", "code": await group.code()})
        good(await group.promise(own, 4_000))
        good(await group.promise(one, pence))
        await group.review()
        waiting = [each["person_id"] for each in await group.sign_offs(group.social_worker)]
        assert waiting == ([str(one.story.id)] if again else [])
        assert await group.state() == ("review" if again else "pledging")
    await group.close()
    assert await group.sign_offs(group.social_worker) == []


async def test_another_price_asks_everybody_again_and_what_is_not_said_again_is_free(
    home: Neighbours,
) -> None:
    group = await home.promising("own", "own", "own")
    first, second, third = group.members
    before = await home.stands(third)
    await group.promise_all(3_000)
    old = (await group.get("", first))["offers"][0]["id"]
    new = await group.offer(**SMALL | {"replaces": old, "sessions": 6})
    seen = await group.get("", first)
    # A price never changes under a promise: the new version stands when it is voted for.
    assert (seen["target_pence"], seen["promised_pence"]) == (4_000, 9_000)
    await group.vote("choose_offer", str(new))
    seen = await group.get("", first)
    assert (seen["state"], seen["target_pence"], seen["promised_pence"]) == ("costed", 6_000, 0)
    await group.pledging()
    for one in (first, second):
        good(await group.promise(one, 3_000))
    await group.review()
    assert await group.state() == "approved"
    assert await home.stands(third) == before
    assert (await group.get("/mine", third))["my_state"] == "in"


async def test_silence_approves_and_declines_nothing(home: Neighbours) -> None:
    group = await home.reviewing("own", "council")
    later = now() + timedelta(days=40)
    actor = Task("decisions.sweep", uuid4())

    async def sweep(tx: Any) -> None:
        await decisions.sweep(tx, actor=actor, now=later)

    await group.database.run(sweep, actor=actor, now=later)
    await group.advance(at=later)
    assert await group.state() == "review"
    asked = await own_sign_off(group, group.members[1])
    assert (asked["state"], asked["escalated"]) == ("waiting", True)
    await group.approve_all()
    assert await group.state() == "approved"


async def test_whoever_is_paid_does_not_give_the_go_ahead(home: Neighbours) -> None:
    group = await home.group("own", "council")
    paid = await group.maker.account(group.area, "professional", "provider")
    one = group.members[1]
    await group.maker.assignment(one.story, paid, manager=group.manager, agreed=True)
    seen = await group.post("/offers", paid, OFFER | SMALL | {"code": await group.code()})
    await group.vote("choose_offer", seen["offers"][0]["id"])
    await group.pledging()
    await group.promise_all(3_000)
    await group.review()
    asked = await own_sign_off(group, one)
    answer = await group.maker.client.post(
        f"/v1/sign-offs/{asked['id']}/decision",
        json={"outcome": "approved"},
        headers=paid.headers | key(),
    )
    assert answer.status_code in (403, 404), answer.text
    await group.decide(group.social_worker, one)
