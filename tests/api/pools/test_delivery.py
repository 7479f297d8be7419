"""Parts are paid when members say that they happened, by the rules of that day, to the penny."""

from typing import Any

import pytest

from tests.api.pools.neighbours import SMALL, Neighbours
from tests.groups import OFFER, Member, Town
from tests.make import good, key, now, refused

pytestmark = pytest.mark.anyio


async def say(group: Town, number: int, who: Any, what: str, words: str | None = None) -> Any:
    """Say something about a part, and let what follows follow; return the answer."""
    body = {"what": what, "words": words}
    answer = await group.send("POST", f"/stages/{number}/words", who, body)
    await group.advance()
    return answer


async def parts(group: Town) -> list[str]:
    """Return where each part stands."""
    return [one["state"] for one in (await group.get("", group.members[0]))["stages"]]


async def books(group: Town) -> tuple[int, int, int, int]:
    """Return what came in, was used, went back and is left; nothing is ever missing."""
    found = await group.get("/books", group.members[0])
    assert found["missing_pence"] == 0
    names = ("put_in_pence", "used_pence", "returned_pence", "left_pence")
    put_in, used, returned, left = (found[name] for name in names)
    return put_in, used, returned, left


async def purposes(group: Town, one: Member, *codes: str) -> None:
    """Say what a member's plan names from now on."""
    assert one.budget.finance is not None
    body = {"purposes": [{"code": code, "words": f"For {code}"} for code in codes]}
    good(
        await group.maker.client.put(
            f"/v1/budgets/{one.budget.id}/purposes",
            json=body,
            headers=one.budget.finance.headers,
        )
    )


async def test_nobody_confirms_their_own_work(home: Neighbours) -> None:
    town = home.town
    group = await home.group("own", "own")
    await group.offer(**SMALL)
    story = await town.maker.story(account=town.provider)
    await group.join(Member(story, group.members[0].budget))
    offer = (await group.get("", group.members[0]))["offers"][0]["id"]
    await group.vote("choose_offer", offer)
    await group.pledging()
    for one in group.members[:2]:
        good(await group.promise(one, 3_000))
    await group.review()
    await group.sign()
    first, second, kay = group.members
    for what in ("confirmed", "settled"):
        refused(await say(group, 1, kay, what), 403, "not-own-work")
    refused(await say(group, 1, first, "done"), 403, "done-by-who-does-it")
    good(await say(group, 1, kay, "done"))
    good(await say(group, 1, first, "confirmed"))
    assert await parts(group) == ["done", "planned"]
    good(await say(group, 1, second, "confirmed"))
    assert await parts(group) == ["paid", "planned"]
    assert await group.state() == "delivering"


async def test_one_who_confirms_twice_is_one_and_too_few_pay_nothing(home: Neighbours) -> None:
    group = await home.signed()
    one, other = group.members
    for _ in range(2):
        good(await say(group, 1, one, "confirmed"))
    stage = (await group.get("", other))["stages"][0]
    assert (stage["confirmed_by"], stage["needed"], stage["paid_at"]) == (1, 2, None)
    assert await books(group) == (6_000, 0, 0, 6_000)
    refused(await say(group, 1, group.manager, "confirmed"), 403, "members-only")
    refused(await say(group, 3, one, "confirmed"), 404)


async def test_a_dispute_freezes_that_part_alone_and_settled_goes_on(home: Neighbours) -> None:
    group = await home.signed()
    one, other = group.members
    refused(await say(group, 1, one, "disputed"), 422, "dispute-says-what")
    good(await say(group, 1, one, "disputed", "The hall was shut."))
    good(await say(group, 1, other, "confirmed"))
    for who in (one, other):
        good(await say(group, 2, who, "confirmed"))
    assert await parts(group) == ["disputed", "paid"]
    assert await books(group) == (6_000, 2_000, 0, 4_000)
    good(await say(group, 1, one, "settled"))
    assert await parts(group) == ["paid", "paid"]
    refused(await say(group, 1, one, "disputed", "Once more."), 409)


async def test_a_purpose_that_ended_pays_nothing_more_and_others_do_until_it_is_short(
    home: Neighbours,
) -> None:
    group = await home.signed("own", "council")
    own, council = group.members
    await purposes(group, council)
    assert (await group.get("/mine", council))["money"][0]["may_be_used_for"] == []
    await group.stage(1)
    assert (await group.get("/mine", own))["money"][0]["used_pence"] == 2_000
    assert (await group.get("/mine", council))["money"][0]["used_pence"] == 0
    # Own money has 1,000 left of it, and the second part costs 2,000: it pays all or nothing.
    await group.stage(2)
    assert await parts(group) == ["paid", "short"]
    assert await books(group) == (6_000, 2_000, 0, 4_000)
    await group.advance()
    await purposes(group, council, "dance")
    await group.advance()
    assert await parts(group) == ["paid", "paid"]
    assert (await group.get("/mine", council))["money"][0]["used_pence"] == 1_000


async def test_a_budget_on_hold_pays_nothing_and_the_others_do(home: Neighbours) -> None:
    group = await home.signed("own", "nhs")
    own, nhs = group.members
    path = f"/v1/budgets/{nhs.budget.id}/state"
    assert nhs.budget.finance is not None
    headers = nhs.budget.finance.headers
    hold = {
        "to": "frozen",
        "reason": "review",
        "notice": "We look at your plan.",
        "bridge": "We pay for what is booked.",
    }
    good(await group.maker.client.post(path, json=hold, headers=headers | key()))
    await group.stage(1)
    assert (await group.get("/mine", own))["money"][0]["used_pence"] == 2_000
    go_on = {"to": "active", "reason": "put_right", "notice": "It goes on as before."}
    good(await group.maker.client.post(path, json=go_on, headers=headers | key()))
    await group.stage(2)
    assert (await group.get("/mine", nhs))["money"][0]["used_pence"] == 1_000


async def test_each_line_is_paid_by_money_that_may_pay_it(home: Neighbours) -> None:
    lines = [
        {"words": "Boat", "purpose": "sailing", "pence": 600},
        {"words": "Hall", "purpose": "dance", "pence": 400},
    ]
    group = await home.signed("own", "council", lines=lines)
    own, council = group.members
    assert (await group.get("/mine", own))["money"][0]["may_be_used_for"] == ["Boat", "Hall"]
    assert (await group.get("/mine", council))["money"][0]["may_be_used_for"] == ["Hall"]
    await group.stage(1)
    used = [(await group.get("/mine", one))["money"][0]["used_pence"] for one in (own, council)]
    assert used == [1_200 + 400, 400]
    found = good(
        await group.maker.client.get(
            "/v1/payments",
            params={"area": group.area.slug, "state": "instructed"},
            headers=group.finance.headers,
        )
    )["items"]
    for_it = {one["budget_id"]: one["purpose"] for one in found}
    assert for_it[str(council.budget.id)] == "dance"


async def test_a_vote_to_do_less_leaves_out_what_is_not_done_and_the_rest_goes_back(
    home: Neighbours,
) -> None:
    group = await home.signed()
    before = await home.stands(group.members[0])
    await group.stage(1)
    assert (await group.vote("shrink", "yes", from_stage=1))["outcome"] == "passed"
    assert await parts(group) == ["paid", "cancelled"]
    assert await group.state() == "reviewed"
    assert await books(group) == (6_000, 2_000, 4_000, 0)
    assert (await home.stands(group.members[0]))["free"] == before["free"] + 2_000
    refused(await say(group, 2, group.members[0], "confirmed"), 409)


async def test_who_joins_later_promises_then_and_pays_from_then_on(home: Neighbours) -> None:
    group = await home.signed()
    await group.stage(1)
    _, _, third = await home.people("own", "own", "own")
    await group.join(third)
    good(await group.promise(third, 1_000))
    await group.advance()
    assert await books(group) == (7_000, 2_000, 0, 5_000)
    assert (await group.get("", third))["stages"][1]["needed"] == 2
    await group.stage(2)
    used = [(await group.get("/mine", one))["money"][0]["used_pence"] for one in group.members]
    assert used == [1_000 + 667, 1_000 + 667, 666]


async def test_nobody_joins_later_where_the_group_agreed_so(home: Neighbours) -> None:
    group = await home.group()
    await group.costed(**SMALL)
    body = {"choices": {"joining": "closed"}}
    good(await group.send("PUT", "/choices", group.members[0], body, keyed=False))
    await group.pledging()
    await group.promise_all(3_000)
    await group.review()
    await group.sign()
    _, _, third = await home.people("own", "own", "own")
    body = {"called": "Late", "code": await group.code()}
    refused(await group.send("POST", "/members", third, body), 409, "joining-open")


async def test_paid_waits_for_the_holder_s_word_and_the_same_file_counts_once(
    home: Neighbours,
) -> None:
    group = await home.signed()
    one = group.members[0]
    before = await home.stands(one)
    await group.stage(1)
    await group.stage(2)
    waiting = await home.stands(one)
    assert waiting["waiting"] == before["waiting"] + 2_000
    assert waiting["paid"] == before["paid"]
    assert await group.state() == "reviewed"
    items = good(
        await group.maker.client.get(
            "/v1/payments",
            params={"area": group.area.slug, "state": "instructed", "limit": 100},
            headers=group.finance.headers,
        )
    )["items"]
    lines = ["reference,amount_pence,paid_on,outcome"]
    lines += [
        f"{each['reference']},{each['amount_pence']},{now().date().isoformat()},paid"
        for each in items
    ]
    for _ in range(2):
        answer = await group.maker.client.post(
            "/v1/payments/confirmations",
            json={"csv": "\n".join(lines)},
            headers=group.finance.headers,
        )
        good(answer)
    await group.advance()
    assert await group.state() == "closed"
    after = await home.stands(one)
    assert after["paid"] >= before["paid"] + 2_000
    assert after["free"] == before["free"] + 1_000


async def test_a_payment_that_failed_is_asked_for_again_until_who_did_the_work_is_paid(
    home: Neighbours,
) -> None:
    town = home.town
    people = [await town.person(kind="own_money", pence=5_000) for _ in range(2)]
    group = await home.group("own")
    await group.start(people)
    await group.costed(**SMALL)
    await group.pledging()
    await group.promise_all(3_000)
    await group.review()
    await group.sign()
    await group.stage(1)
    await group.stage(2)
    assert await books(group) == (6_000, 4_000, 2_000, 0)
    for _ in range(2):
        told = await group.confirm_payments("failed")
        assert (told["failed"], told["bad"]) == (4, [])
        assert await books(group) == (6_000, 4_000, 2_000, 0)
        assert await group.state() == "reviewed"
    assert (await group.confirm_payments())["confirmed"] == 4
    assert await group.state() == "closed"
    for one in people:
        assert (await home.stands(one))["free"] == 3_000


async def test_a_group_that_everybody_has_left_closes_with_all_its_money_back(
    home: Neighbours,
) -> None:
    group = await home.signed("own", "own")
    before = [await home.stands(one) for one in group.members]
    for one in group.members:
        await group.post("/leave", one, {})
    await group.advance()
    assert (await group.get("", group.manager))["state"] == "closed"
    for one, stood in zip(group.members, before, strict=True):
        assert (await home.stands(one))["free"] == stood["free"] + 3_000


async def test_whoever_wrote_an_offer_down_does_not_confirm_what_comes_of_it(
    home: Neighbours,
) -> None:
    group = await home.group("own", "own", "own")
    author, second, third = group.members
    body = {name: value for name, value in (OFFER | SMALL).items() if name != "code"}
    offer = (await group.post("/offers", author, body))["offers"][0]["id"]
    await group.vote("choose_offer", offer)
    await group.pledging()
    await group.promise_all(3_000)
    await group.review()
    await group.sign()
    refused(await say(group, 1, author, "confirmed"), 403, "not-own-work")
    assert (await group.get("", second))["stages"][0]["needed"] == 2
    good(await say(group, 1, second, "confirmed"))
    good(await say(group, 1, third, "confirmed"))
    await group.advance()
    assert (await parts(group))[0] == "paid"
