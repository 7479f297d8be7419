"""Money in counts once; a hold and an end give notice; at death each sum goes where it belongs."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from api.core.db import Database
from api.core.errors import Refusal
from api.ledger import service as ledger
from tests.api.budgets.purses import facts, hold, pay, read, whole
from tests.make import TESTS, Account, Budget, Maker, good, key, now, refused

pytestmark = pytest.mark.anyio

NOTICE = "We look at this together on Tuesday; ring Pat if you like."
BRIDGE = "Your support worker is paid by the council meanwhile."
WEEK = {"amount_pence": 18_200, "reference": "2026-week-10"}


async def put(maker: Maker, budget: Budget, who: Any, **body: Any) -> Any:
    """Ask to put money in; return the answer."""
    path = f"/v1/budgets/{budget.id}/money-in"
    return await maker.client.post(path, json=WEEK | body, headers=who.headers | key())


async def change(maker: Maker, budget: Budget, who: Any, to: str, reason: str, **body: Any) -> Any:
    """Ask for another state; return the answer."""
    path = f"/v1/budgets/{budget.id}/state"
    usual = {"to": to, "reason": reason, "notice": NOTICE}
    return await maker.client.post(path, json=usual | body, headers=who.headers)


async def opened(maker: Maker, **how: Any) -> tuple[Budget, Account]:
    """Open a budget of public money; return it with whoever looks after it."""
    budget = await maker.budget(await maker.story(), **how)
    assert budget.finance is not None
    return budget, budget.finance


async def test_money_in_counts_once_under_its_reference_and_another_sum_is_refused(
    maker: Maker, database: Database
) -> None:
    budget, finance = await opened(maker)
    assert not good(await put(maker, budget, finance))["again"]
    assert good(await put(maker, budget, finance))["again"]
    refused(await put(maker, budget, finance, amount_pence=1), 422, "key-reused")
    good(await put(maker, budget, finance, reference="2026-week-11"))
    assert await whole(database, budget) == {"budget": 36_400, "in": 36_400}
    told = await read(maker, budget)
    came = [one["amount_pence"] for one in told["events"] if one["what"] == "money_in"]
    assert came == [18_200, 18_200]


async def test_the_same_request_twice_under_one_key_is_one_and_a_changed_body_is_refused(
    maker: Maker, database: Database
) -> None:
    budget, finance = await opened(maker)
    path = f"/v1/budgets/{budget.id}/money-in"
    headers = finance.headers | key()
    first = good(await maker.client.post(path, json=WEEK, headers=headers))
    assert good(await maker.client.post(path, json=WEEK, headers=headers)) == first
    changed = WEEK | {"amount_pence": 18_201}
    answer = await maker.client.post(path, json=changed, headers=headers)
    refused(answer, 422, "idempotency-key-reused")
    assert (await whole(database, budget))["in"] == 18_200


async def test_the_same_money_sent_many_times_at_once_counts_once(
    maker: Maker, database: Database
) -> None:
    budget, finance = await opened(maker)
    answers = await asyncio.gather(*(put(maker, budget, finance) for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {201, 409, 503}
    assert (await whole(database, budget))["in"] == 18_200


@pytest.mark.parametrize("pence", [0, -1, 100_000_000_001, 1.5, "ten", None])
async def test_what_is_no_sum_is_refused_and_nothing_is_booked(
    maker: Maker, database: Database, pence: Any
) -> None:
    budget, finance = await opened(maker, pence=1)
    refused(await put(maker, budget, finance, amount_pence=pence), 400)
    assert (await whole(database, budget))["in"] == 1


async def test_money_is_put_in_by_whoever_gives_or_holds_it(maker: Maker) -> None:
    story = await maker.story()
    holder = await maker.account(story.area)
    budget = await maker.budget(story, holder_account_id=str(holder.id))
    good(await put(maker, budget, holder))
    good(await put(maker, budget, await maker.account(story.area, "manager"), reference="b"))
    refused(await put(maker, budget, story), 403, "own-area")
    refused(await put(maker, budget, await maker.account(None, "finance")), 404)
    own = await maker.budget(story, kind="own_money")
    good(await put(maker, own, story))


@pytest.mark.parametrize("reason", ["review", "suspected_misuse", "capacity_changed"])
async def test_a_hold_has_a_reason_a_notice_a_bridge_and_a_way_to_have_it_looked_at(
    maker: Maker, database: Database, reason: str
) -> None:
    budget, finance = await opened(maker, pence=500)
    refused(await change(maker, budget, finance, "frozen", reason), 422, "bridge-needed")
    unsaid = await change(maker, budget, finance, "frozen", reason, notice=" ", bridge=BRIDGE)
    refused(unsaid, 400)
    refused(await change(maker, budget, budget.story, "frozen", reason), 403, "own-area")
    good(await change(maker, budget, finance, "frozen", reason, bridge=BRIDGE))
    told = await read(maker, budget)
    event = told["events"][0]
    assert (event["what"], event["reason"]) == ("frozen", reason)
    assert (event["words"], event["bridge"]) == (NOTICE, BRIDGE)
    ways = " ".join(told["look_again"])
    assert "looked at again" in ways
    assert "advocate" in ways
    assert "Ombudsman" in ways
    assert told["free_pence"] == 500
    assert (await facts(database, finance.actor, budget)).frozen
    refused(
        await change(maker, budget, finance, "frozen", reason, bridge=BRIDGE), 409, "budget-state"
    )
    good(await change(maker, budget, finance, "active", "put_right"))
    assert not (await facts(database, finance.actor, budget)).frozen


async def test_at_an_end_what_is_free_goes_back_and_what_is_promised_is_waited_for(
    maker: Maker, database: Database
) -> None:
    budget, finance = await opened(maker, pence=10_000)
    held = await hold(database, budget, 3_000)
    end = {"bridge": BRIDGE}
    told = good(await change(maker, budget, finance, "ended", "plan_ended", **end))
    assert (told["state"], told["free_pence"], told["promised_pence"]) == ("frozen", 0, 3_000)
    assert await whole(database, budget) == {"budget": 3_000, "in": 3_000}
    async with database.write(actor=TESTS, now=now()) as tx:
        await ledger.release_hold(
            tx, hold_id=held, actor=TESTS, now=now(), key=uuid4().hex, code="test.freed"
        )
    told = good(await change(maker, budget, finance, "ended", "plan_ended", **end))
    assert (told["state"], told["free_pence"]) == ("ended", 0)
    assert await whole(database, budget) == {"in": 0}
    refused(await change(maker, budget, finance, "active", "put_right"), 409, "budget-state")
    answer = await put(maker, budget, finance, reference="late")
    refused(answer, 409, "budget-open")


async def test_at_death_public_money_goes_back_to_its_funder(
    maker: Maker, database: Database
) -> None:
    budget, finance = await opened(maker, pence=10_000)
    reference = await pay(database, budget, 4_000)
    told = good(await change(maker, budget, finance, "ended", "death"))
    assert (told["state"], told["free_pence"], told["waiting_pence"]) == ("frozen", 0, 4_000)
    assert await whole(database, budget) == {"payable": 4_000, "in": 4_000}
    csv = f"reference,amount,paid_on,outcome\n{reference},40.00,,failed\n"
    path = "/v1/payments/confirmations"
    good(await maker.client.post(path, json={"csv": csv}, headers=finance.headers))
    told = good(await change(maker, budget, finance, "ended", "death"))
    assert told["state"] == "ended"
    assert await whole(database, budget) == {"in": 0}
    events = [(one["what"], one["amount_pence"]) for one in told["events"]]
    assert ("returned", 6_000) in events
    assert ("returned", 4_000) in events


async def test_at_death_own_money_stays_for_the_estate_until_that_is_settled(
    maker: Maker, database: Database
) -> None:
    story = await maker.story()
    budget = await maker.budget(story, kind="own_money", pence=5_000)
    manager = await maker.account(story.area, "manager")
    for reason in ("review", "plan_ended"):
        answer = await change(maker, budget, manager, "frozen", reason, bridge=BRIDGE)
        refused(answer, 403, "the-persons-own")
    told = good(await change(maker, budget, manager, "ended", "death"))
    assert (told["state"], told["free_pence"]) == ("frozen", 5_000)
    assert await whole(database, budget) == {"budget": 5_000, "in": 5_000}
    told = good(await change(maker, budget, manager, "ended", "estate_settled"))
    assert (told["state"], told["free_pence"]) == ("ended", 0)
    assert await whole(database, budget) == {"in": 0}


async def test_an_owner_ends_and_holds_their_own_money_themselves(
    maker: Maker, database: Database
) -> None:
    story = await maker.story()
    budget = await maker.budget(story, kind="own_money", pence=5_000)
    good(await change(maker, budget, story, "frozen", "asked_by_the_person"))
    good(await change(maker, budget, story, "active", "put_right"))
    told = good(await change(maker, budget, story, "ended", "asked_by_the_person"))
    assert told["state"] == "ended"
    assert await whole(database, budget) == {"in": 0}


async def test_promises_and_an_end_at_the_same_moment_lose_no_penny(
    maker: Maker, database: Database
) -> None:
    budget, finance = await opened(maker, pence=1_000)

    async def promised() -> bool:
        try:
            await hold(database, budget, 400)
        except Refusal:
            return False
        return True

    ends = [change(maker, budget, finance, "ended", "death") for _ in range(3)]
    answers = await asyncio.gather(promised(), *ends, promised(), promised())
    held = 400 * sum(one is True for one in answers)
    told = good(await change(maker, budget, finance, "ended", "death")) if held else None
    assert told is None or told["promised_pence"] == held
    assert (await whole(database, budget))["in"] == held


async def test_a_stop_holds_a_change_and_neither_money_in_nor_the_way_out_of_a_right(
    maker: Maker,
) -> None:
    budget, finance = await opened(maker, pence=500)
    friend = await maker.account(budget.story.area)
    rights = f"/v1/budgets/{budget.id}/authorities"
    right = {"account_id": str(friend.id), "authority": "own_say_so", "may": ["see"]}
    told = good(await maker.client.post(rights, json=right, headers=budget.story.headers))
    stop = {
        "subject_type": "budget",
        "subject_id": str(budget.id),
        "area": budget.story.area.slug,
        "words": "Something is wrong here",
    }
    good(await maker.client.post("/v1/safety-stops", json=stop, headers=friend.headers))
    end = await change(maker, budget, finance, "ended", "plan_ended", bridge=BRIDGE)
    refused(end, 409, "safety-stop")
    answer = await maker.client.post(rights, json=right, headers=budget.story.headers)
    refused(answer, 409, "safety-stop")
    stranger = await maker.account(budget.story.area)
    refused(await change(maker, budget, stranger, "ended", "death"), 404)
    good(await put(maker, budget, finance))
    given = told["who_may_act"][0]["id"]
    good(await maker.client.delete(f"{rights}/{given}", headers=budget.story.headers))
