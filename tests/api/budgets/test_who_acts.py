"""Who opens, sees and acts for somebody's money, by which authority, and until when."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from api.core.db import Database
from api.core.errors import NotFound
from api.identity.rules import Anonymous, CodeHolder
from tests.api.budgets.purses import facts, read
from tests.make import Account, Budget, Maker, good, now, refused

pytestmark = pytest.mark.anyio

PUBLIC = {
    "direct_payment": "council",
    "council_managed": "council",
    "individual_service_fund": "council",
    "personal_health_budget": "nhs",
    "grant": "charity",
}
BY_LAW = ["care_act_s32", "deputy", "property_attorney"]


async def give(
    maker: Maker, budget: Budget, to: Account, *, headers: Any = None, **body: Any
) -> Any:
    """Ask that somebody may act for a budget; return the answer."""
    usual = {"account_id": str(to.id), "authority": "own_say_so", "may": ["see", "promise"]}
    path = f"/v1/budgets/{budget.id}/authorities"
    headers = headers or budget.story.headers
    return await maker.client.post(path, json=usual | body, headers=headers)


async def acts_by(database: Database, who: Account, budget: Budget, **at: Any) -> str | None:
    """Return the authority by which somebody may promise; "unseen" where they see nothing."""
    try:
        return (await facts(database, who.actor, budget, **at)).acts_by
    except NotFound:
        return "unseen"


@pytest.mark.parametrize("kind", sorted(PUBLIC))
async def test_each_kind_of_public_money_has_its_funder_its_holder_and_its_purposes(
    maker: Maker, kind: str
) -> None:
    story = await maker.story()
    budget = await maker.budget(
        story, kind=kind, pence=18_200, holder_called="Choices Ltd", pays_net_or_gross="net"
    )
    assert budget.funder is not None
    assert budget.funder.body == PUBLIC[kind]
    told = await read(maker, budget)
    assert told["holder_called"] == "Choices Ltd"
    assert told["funder"] == budget.funder.name
    assert told["free_pence"] == 18_200
    assert told["you_act_by"] == "own_say_so"
    assert [one["words"] for one in told["purposes"]] == ["For dance"]
    assert told["look_again"]
    wrong = await maker.funder(story.area, body="charity" if kind != "grant" else "nhs")
    body = {
        "person_id": str(story.id),
        "kind": kind,
        "funder_id": str(wrong.id),
        "holder_called": "x",
        "starts_on": "2026-01-01",
    }
    answer = await maker.client.post("/v1/budgets", json=body, headers=wrong.finance.headers)
    refused(answer, 422, "kind-of-funder")


async def test_own_money_is_opened_by_its_owner_and_by_nobody_else(maker: Maker) -> None:
    story = await maker.story()
    budget = await maker.budget(story, kind="own_money", pence=2_000, purposes=[])
    told = await read(maker, budget)
    assert (told["funder"], told["free_pence"], told["called"]) == (None, 2_000, "Own money")
    manager = await maker.account(story.area, "manager", "finance")
    body = {
        "person_id": str(story.id),
        "kind": "own_money",
        "holder_called": "The bank",
        "starts_on": "2026-01-01",
    }
    answer = await maker.client.post("/v1/budgets", json=body, headers=manager.headers)
    refused(answer, 403)


async def test_public_money_is_opened_by_those_who_look_after_it_in_its_area(
    maker: Maker,
) -> None:
    story = await maker.story()
    funder = await maker.funder(story.area)
    body = {
        "person_id": str(story.id),
        "kind": "direct_payment",
        "funder_id": str(funder.id),
        "holder_called": "The card",
        "starts_on": "2026-01-01",
    }
    elsewhere = await maker.account(None, "finance")
    social_worker = await maker.account(story.area, "professional")
    for stranger in (elsewhere, social_worker, await maker.account(story.area)):
        answer = await maker.client.post("/v1/budgets", json=body, headers=stranger.headers)
        refused(answer, 403, "own-area")
    refused(await maker.client.post("/v1/budgets", json=body, headers=story.headers), 403)
    admin = await maker.account(story.area, "area_admin")
    good(await maker.client.post("/v1/budgets", json=body, headers=admin.headers))
    somebody_else = await maker.story()
    answer = await maker.client.post(
        "/v1/budgets",
        json=body | {"person_id": str(somebody_else.id)},
        headers=funder.finance.headers,
    )
    refused(answer, 422, "person-of-area")
    over = body | {"ends_on": "2025-12-31"}
    answer = await maker.client.post("/v1/budgets", json=over, headers=funder.finance.headers)
    refused(answer, 422, "dates-in-order")


async def test_a_worker_of_the_person_sees_no_money_until_the_person_says_so(
    maker: Maker, database: Database
) -> None:
    person = await maker.account()
    story = await maker.story(account=person)
    worker = await maker.account(story.area, "supporter")
    await maker.assignment(story, worker, agreed=True)
    budget = await maker.budget(story, pence=100)
    path = f"/v1/budgets/{budget.id}"
    refused(await maker.client.get(path, headers=worker.headers), 404)
    good(await give(maker, budget, worker, may=["see"]))
    told = await read(maker, budget, worker.headers)
    assert told["you_act_by"] is None
    assert await acts_by(database, worker, budget) is None
    mine = good(await maker.client.get("/v1/budgets", headers=worker.headers))
    assert [one["id"] for one in mine["items"]] == [str(budget.id)]
    receipts = good(
        await maker.client.get(f"/v1/people/{story.id}/receipts", headers=story.headers)
    )
    assert "budget" in {one["what"] for one in receipts["items"]}


@pytest.mark.parametrize("authority", ["own_say_so", "nominee"])
async def test_the_person_lets_somebody_act_and_takes_it_back(
    maker: Maker, database: Database, authority: str
) -> None:
    story = await maker.story()
    budget = await maker.budget(story)
    friend = await maker.account(story.area)
    manager = await maker.account(story.area, "manager")
    answer = await give(maker, budget, friend, authority=authority, headers=manager.headers)
    refused(answer, 403, "the-persons-own")
    told = good(await give(maker, budget, friend, authority=authority))
    (right,) = told["who_may_act"]
    assert right["authority"] == authority
    assert right["words"]
    assert await acts_by(database, friend, budget) == authority
    path = f"/v1/budgets/{budget.id}/authorities/{right['id']}"
    refused(await maker.client.delete(path, headers=(await maker.account()).headers), 404)
    good(await maker.client.delete(path, headers=story.headers))
    assert await acts_by(database, friend, budget) == "unseen"
    refused(await maker.client.delete(path, headers=story.headers), 404)


@pytest.mark.parametrize("authority", BY_LAW)
async def test_who_acts_by_law_is_recorded_by_the_area_and_may_decide_in_the_persons_place(
    maker: Maker, database: Database, authority: str
) -> None:
    person = await maker.account()
    story = await maker.story(account=person)
    budget = await maker.budget(story)
    manager = await maker.account(story.area, "manager")
    daughter = await maker.account(story.area)
    refused(await give(maker, budget, daughter, authority=authority), 403, "own-area")
    answer = await give(maker, budget, manager, authority=authority, headers=manager.headers)
    refused(answer, 403, "not-for-oneself")
    good(await give(maker, budget, daughter, authority=authority, headers=manager.headers))
    assert await acts_by(database, daughter, budget) == authority
    assert await acts_by(database, person, budget) == "own_say_so"
    in_place = {"authority": authority, "in_place_of_person": True}
    good(await give(maker, budget, daughter, headers=manager.headers, **in_place))
    assert await acts_by(database, daughter, budget) == authority
    # The person sees their money as before, and who decides.
    assert await acts_by(database, person, budget) is None
    told = await read(maker, budget)
    (right,) = told["who_may_act"]
    assert right["in_place_of_person"]
    refused(await give(maker, budget, await maker.account()), 403, "the-persons-own")


async def test_an_appointee_may_see_and_no_more_whoever_asks(
    maker: Maker, database: Database, owner_connection: psycopg.Connection
) -> None:
    story = await maker.story()
    budget = await maker.budget(story)
    manager = await maker.account(story.area, "manager")
    appointee = await maker.account(story.area)
    headers = manager.headers
    answer = await give(maker, budget, appointee, authority="appointee", headers=headers)
    refused(answer, 422, "appointee-sees")
    only = {"authority": "appointee", "may": ["see"]}
    good(await give(maker, budget, appointee, headers=headers, **only))
    assert await acts_by(database, appointee, budget) is None
    with pytest.raises(psycopg.errors.RestrictViolation):
        owner_connection.execute(
            "UPDATE budget_authorities SET may = '{see,promise}' WHERE budget_id = %s", [budget.id]
        )
    with pytest.raises(psycopg.errors.CheckViolation):
        owner_connection.execute(
            "INSERT INTO budget_authorities (id, budget_id, account_id, authority, may,"
            " in_place_of_person, from_at) VALUES (gen_random_uuid(), %s, %s, 'appointee',"
            " '{see,promise}', false, '2026-01-01')",
            [budget.id, appointee.id],
        )


async def test_a_right_ends_at_its_end_by_the_time_that_the_transaction_was_told(
    maker: Maker, database: Database
) -> None:
    budget = await maker.budget(await maker.story())
    friend = await maker.account(budget.story.area)
    end = now() + timedelta(days=30)
    gone = (now() - timedelta(days=1)).isoformat()
    refused(await give(maker, budget, friend, until=gone), 422, "authority-ends-later")
    good(await give(maker, budget, friend, until=end.isoformat()))
    moment = timedelta(seconds=1)
    assert await acts_by(database, friend, budget, at=end - moment) == "own_say_so"
    assert await acts_by(database, friend, budget, at=end) == "unseen"


async def test_somebody_lays_their_own_right_down(maker: Maker, database: Database) -> None:
    budget = await maker.budget(await maker.story())
    friend = await maker.account(budget.story.area)
    told = good(await give(maker, budget, friend))
    path = f"/v1/budgets/{budget.id}/authorities/{told['who_may_act'][0]['id']}"
    good(await maker.client.delete(path, headers=friend.headers))
    assert await acts_by(database, friend, budget) == "unseen"


async def test_what_may_be_asked_of_a_budget_is_told_to_nobody_else(
    maker: Maker, database: Database
) -> None:
    story = await maker.story()
    holder = await maker.account(story.area)
    budget = await maker.budget(story, holder_account_id=str(holder.id))
    other = await maker.story(story.area)
    for actor in (Anonymous(), CodeHolder("person", other.id, other.id), holder.actor):
        if actor is holder.actor:
            assert (await facts(database, actor, budget)).acts_by is None
        else:
            with pytest.raises(NotFound):
                await facts(database, actor, budget)
    elsewhere = await maker.account(None, "manager", "finance")
    assert await acts_by(database, elsewhere, budget) == "unseen"


async def test_a_provider_that_looks_after_money_needs_the_persons_word_to_put_it_together(
    maker: Maker, database: Database
) -> None:
    budget = await maker.budget(await maker.story(), kind="individual_service_fund")
    assert budget.finance is not None
    path = f"/v1/budgets/{budget.id}/pooling-authority"
    answer = await maker.client.put(path, json={"given": True}, headers=budget.finance.headers)
    refused(answer, 403, "authority-needed")
    for given in (True, False):
        told = good(
            await maker.client.put(path, json={"given": given}, headers=budget.story.headers)
        )
        assert told["pooling_authority"] is given
    assert not (await facts(database, budget.finance.actor, budget)).pooling_authority


async def test_what_the_money_is_for_changes_with_the_plan_and_the_old_is_kept(
    maker: Maker, database: Database, owner_connection: psycopg.Connection
) -> None:
    budget = await maker.budget(await maker.story(), purposes=["dance", "meals"])
    assert budget.finance is not None
    path = f"/v1/budgets/{budget.id}/purposes"
    end = now() + timedelta(days=10)
    new = [
        {"code": "meals", "words": "For meals"},
        {"code": "swim", "words": "Swimming", "until": end.isoformat()},
    ]
    body = {"purposes": new}
    refused(await maker.client.put(path, json=body, headers=budget.story.headers), 403, "own-area")
    good(await maker.client.put(path, json=body, headers=budget.finance.headers))
    actor = budget.finance.actor
    assert (await facts(database, actor, budget)).purposes == {"meals", "swim"}
    assert (await facts(database, actor, budget, at=end)).purposes == {"meals"}
    rows = owner_connection.execute(
        "SELECT code, ended_at IS NULL FROM budget_purposes WHERE budget_id = %s ORDER BY code",
        [budget.id],
    ).fetchall()
    assert rows == [("dance", False), ("meals", True), ("swim", True)]
    twice = {"purposes": [new[0], new[0]]}
    answer = await maker.client.put(path, json=twice, headers=budget.finance.headers)
    refused(answer, 422, "purpose-once")


async def test_a_funders_rules_reach_every_budget_of_its_and_old_ones_are_kept(
    maker: Maker, database: Database, owner_connection: psycopg.Connection
) -> None:
    story = await maker.story()
    most = {"code": "most_per_promise", "params": {"pence": 5_000}}
    funder = await maker.funder(story.area, rules=[most])
    budget = await maker.budget(story, funder=funder)
    (standing,) = (await facts(database, funder.finance.actor, budget)).rules
    assert standing.params == {"pence": 5_000}
    told = {one["code"]: one for one in (await read(maker, budget))["rules"]}
    assert set(told) == {
        "most_per_promise",
        "plan_purpose",
        "not_oneself",
        "no_household_relative",
    }
    assert told["most_per_promise"]["words"] == "This is how we do it."
    assert all(one["who_can_change"] for one in told.values())
    own = await maker.budget(story, kind="own_money")
    assert (await read(maker, own))["rules"] == []
    path = f"/v1/funders/{funder.id}/rules"
    stale = {"version": 1, "rules": []}
    headers = funder.finance.headers
    refused(await maker.client.put(path, json=stale, headers=headers), 409, "version-moved-on")
    elsewhere = await maker.account(None, "manager")
    answer = await maker.client.put(path, json=stale, headers=elsewhere.headers)
    refused(answer, 403, "own-area")
    good(await maker.client.put(path, json=stale | {"version": 2}, headers=headers))
    assert (await facts(database, funder.finance.actor, budget)).rules == ()
    kept = owner_connection.execute(
        "SELECT code, ended_at IS NOT NULL FROM funder_rules WHERE funder_id = %s", [funder.id]
    ).fetchall()
    assert kept == [("most_per_promise", True)]
    body = {"area": story.area.slug, "body": "nhs", "name": funder.name}
    answer = await maker.client.post("/v1/funders", json=body, headers=headers)
    refused(answer, 409, "funder-once")
    listed = good(await maker.client.get("/v1/funders", params={"area": story.area.slug}))
    assert [one["name"] for one in listed["items"]] == [funder.name]


async def test_nobody_looks_after_public_money_of_their_own_or_that_they_act_for(
    maker: Maker,
) -> None:
    worker = await maker.account(None, "finance", "manager")
    story = await maker.story(account=worker)
    funder = await maker.funder(story.area)
    body = {
        "person_id": str(story.id),
        "kind": "direct_payment",
        "funder_id": str(funder.id),
        "holder_called": "The card",
        "starts_on": "2026-01-01",
    }
    answer = await maker.client.post("/v1/budgets", json=body, headers=worker.headers)
    refused(answer, 403, "own-area")
    own = await maker.budget(story, funder=funder)
    acted_for = await maker.budget(await maker.story(story.area), funder=funder)
    money = {"amount_pence": 100, "reference": "x"}
    path = f"/v1/budgets/{acted_for.id}/money-in"
    good(await maker.client.post(path, json=money, headers=worker.headers))
    good(await give(maker, acted_for, worker))
    state = {
        "to": "frozen",
        "reason": "review",
        "notice": "Long enough to be read.",
        "bridge": "Long enough to be read.",
    }
    for budget in (own, acted_for):
        path = f"/v1/budgets/{budget.id}"
        for part, asked in (("money-in", money | {"reference": "y"}), ("state", state)):
            answer = await maker.client.post(f"{path}/{part}", json=asked, headers=worker.headers)
            refused(answer, 403, "own-area")
        answer = await maker.client.put(
            f"{path}/purposes", json={"purposes": []}, headers=worker.headers
        )
        refused(answer, 403, "own-area")
        friend = await maker.account(story.area)
        answer = await give(maker, budget, friend, authority="deputy", headers=worker.headers)
        refused(answer, 403, "own-area")
