"""Promises: kept and not spent, once for each key, by whoever may, at their time."""

import asyncio
import json
import math
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.event import listen

from api.core.config import Settings
from api.core.db import Database
from api.identity.rules import CodeHolder
from api.pools import promises
from api.pools.schemas import NewPledge
from tests.api.pools.neighbours import MEANS, SMALL, Neighbours
from tests.groups import Member, Town
from tests.make import good, key, now, refused

pytestmark = pytest.mark.anyio


async def sent(group: Town, one: Any, body: Any, headers: dict[str, str] | None = None) -> Any:
    """Send a promise as it is; return the answer."""
    return await group.maker.client.post(
        f"{group.path}/pledges", json=body, headers=one.headers | (headers or key())
    )


def of(one: Member, pence: Any = 2_000) -> dict[str, Any]:
    """Return the body of a promise."""
    return {"budget_id": str(one.budget.id), "amount_pence": pence}


async def test_a_promise_is_kept_and_not_spent(home: Neighbours) -> None:
    group = await home.promising()
    one = group.members[0]
    before = await home.stands(one)
    made = good(await sent(group, one, of(one)))
    assert (made["state"], made["free_pence"]) == ("held", before["free"] - 2_000)
    after = await home.stands(one)
    assert after["promised"] == before["promised"] + 2_000
    assert (after["together"], after["paid"]) == (before["together"], before["paid"])
    seen = await group.get("", group.members[1])
    assert (seen["promised_pence"], seen["target_pence"]) == (2_000, 4_000)
    mine = await group.get("/mine", one)
    assert mine["in_words"].startswith("You have promised £20. It is kept for this, and not spent")
    gone = good(await group.send("DELETE", f"/pledges/{made['id']}", one, keyed=False))
    assert gone["state"] == "let_go"
    assert await home.stands(one) == before


async def test_the_same_key_repeated_promises_once_and_gives_the_first_answer(
    home: Neighbours,
) -> None:
    group = await home.promising()
    one, same = group.members[0], key()
    before = await home.stands(one)
    first = good(await sent(group, one, of(one), same))
    again = good(await sent(group, one, of(one), same))
    assert again["id"] == first["id"]
    assert (await home.stands(one))["promised"] == before["promised"] + 2_000
    # Even when it was let go since: a key is used up for ever.
    await group.send("DELETE", f"/pledges/{first['id']}", one, keyed=False)
    late = good(await sent(group, one, of(one), same))
    assert (late["id"], late["state"]) == (first["id"], "let_go")
    assert await home.stands(one) == before


async def test_the_same_key_with_a_changed_body_is_refused_and_keeps_nothing(
    home: Neighbours,
) -> None:
    group = await home.promising()
    one, same = group.members[0], key()
    good(await sent(group, one, of(one), same))
    before = await home.stands(one)
    refused(await sent(group, one, of(one, 2_001), same), 422, "idempotency-key-reused")
    assert await home.stands(one) == before


async def test_the_same_key_at_the_same_moment_promises_once(home: Neighbours) -> None:
    group = await home.promising()
    one = group.members[0]
    before = await home.stands(one)
    for _ in range(5):
        same = key()
        ways = await asyncio.gather(*(sent(group, one, of(one), same) for _ in range(3)))
        assert len({good(way)["id"] for way in ways}) == 1
    assert (await home.stands(one))["promised"] == before["promised"] + 2_000


async def test_a_second_promise_takes_the_place_of_the_first(home: Neighbours) -> None:
    group = await home.promising()
    one = group.members[0]
    before = await home.stands(one)
    good(await sent(group, one, of(one, MEANS // 2 + 1)))
    # More than half again: only possible since the first is let go with it.
    good(await sent(group, one, of(one, MEANS // 2 + 2)))
    assert (await home.stands(one))["promised"] == before["promised"] + MEANS // 2 + 2
    assert (await group.get("", one))["promised_pence"] == MEANS // 2 + 2
    await group.close()
    assert await home.stands(one) == before


async def test_two_promises_that_take_the_place_of_one_end_as_one(home: Neighbours) -> None:
    group = await home.promising()
    one = group.members[0]
    before = await home.stands(one)
    good(await sent(group, one, of(one)))
    for _ in range(5):
        ways = await asyncio.gather(*(sent(group, one, of(one, 100 + n)) for n in range(3)))
        assert {way.status_code for way in ways} == {201}
        kept = (await home.stands(one))["promised"] - before["promised"]
        assert kept in (100, 101, 102)
        assert (await group.get("", one))["promised_pence"] == kept


async def test_more_than_is_free_is_refused_and_what_was_promised_stays(home: Neighbours) -> None:
    group = await home.promising()
    one = group.members[0]
    good(await sent(group, one, of(one)))
    before = await home.stands(one)
    refused(await sent(group, one, of(one, MEANS + 1)), 409, "not-enough")
    assert await home.stands(one) == before
    assert (await group.get("", one))["promised_pence"] == 2_000


@pytest.mark.parametrize(
    "pence",
    [0, -1, 0.5, "10", "NaN", True, None, [], 10**11 + 1, 2**63, 1e30, float("nan"), float("inf")],
)
async def test_what_is_no_sum_of_whole_pence_is_refused(home: Neighbours, pence: Any) -> None:
    """NaN and Infinity are no JSON at all, and are sent all the same."""
    one, _ = await home.people("own", "own")
    before = await home.stands(one)
    answer = await home.town.maker.client.post(
        f"/v1/pools/{uuid4()}/pledges",
        content=json.dumps(of(one, pence)),
        headers=one.headers | key() | {"Content-Type": "application/json"},
    )
    problem = refused(answer, 400)
    no_json = isinstance(pence, float) and not math.isfinite(pence)
    fields = [error["field"] for error in problem["errors"]]
    assert fields == ([] if no_json else ["amount_pence"])
    assert await home.stands(one) == before


async def test_nine_figure_sums_are_kept_to_the_penny(home: Neighbours) -> None:
    town = home.town
    rich = await town.person(kind="own_money", pence=99_999_999_999)
    _, other = await home.people("own", "own")
    group = await home.group("own")
    await group.start([rich, other])
    await group.costed(**SMALL)
    await group.pledging()
    good(await sent(group, rich, of(rich, 99_999_999_998)))
    assert (await home.stands(rich))["free"] == 1
    assert (await group.get("", other))["promised_pence"] == 99_999_999_998
    assert "£999,999,999.98" in (await group.get("/mine", rich))["in_words"]


async def test_a_funders_rule_refuses_by_name_and_says_who_can_change_it(
    home: Neighbours,
) -> None:
    town = home.town
    limits = [
        {
            "code": "most_per_promise",
            "params": {"pence": 1_500},
            "words": "Small steps first.",
            "who_can_change": "The grants team.",
        }
    ]
    funder = await town.maker.funder(town.area, body="charity", rules=limits, finance=town.finance)
    story = await town.maker.story(town.area)
    budget = await town.maker.budget(story, kind="grant", pence=MEANS, funder=funder)
    group = await home.group()
    one = Member(story, budget)
    await group.join(one)
    await group.costed(**SMALL)
    await group.pledging()
    problem = refused(await sent(group, one, of(one)), 409, "most-per-promise")
    assert "£15 at most" in problem["detail"]
    assert "Small steps first." in problem["detail"]
    assert problem["who_can_change_it"] == "The grants team."
    assert "Use your own money." in problem["what_else"]
    good(await sent(group, one, of(one, 1_500)))


async def test_a_purpose_outside_the_plan_is_refused_and_own_money_asks_nobody(
    home: Neighbours,
) -> None:
    group = await home.promising(
        "own", "council", lines=[{"words": "Boat", "purpose": "sailing", "pence": 1_000}]
    )
    own, council = group.members
    problem = refused(await sent(group, council, of(council)), 409, "plan-purpose")
    assert council.budget.funder is not None
    assert council.budget.funder.name in problem["who_can_change_it"]
    good(await sent(group, own, of(own)))


async def test_a_nominee_promises_for_the_person_and_an_appointee_cannot(
    home: Neighbours, owner_connection: psycopg.Connection
) -> None:
    group = await home.promising()
    one = group.members[0]
    path = f"/v1/budgets/{one.budget.id}/authorities"
    acting = {}
    for authority, may in (("nominee", ["see", "promise"]), ("own_say_so", ["see"])):
        acting[authority] = who = await group.maker.account(group.area)
        body = {"account_id": str(who.id), "authority": authority, "may": may}
        good(await group.maker.client.post(path, json=body, headers=one.headers))
    # An appointee is recorded by the area, to see and no more.
    acting["appointee"] = who = await group.maker.account(group.area)
    body = {"account_id": str(who.id), "authority": "appointee", "may": ["see"]}
    answer = await group.maker.client.post(path, json=body, headers=one.headers)
    assert answer.status_code in (201, 403, 422), answer.text
    for name in ("own_say_so", "appointee"):
        assert (await sent(group, acting[name], of(one))).status_code in (403, 404)
    made = good(await sent(group, acting["nominee"], of(one)))
    row = owner_connection.execute(
        "SELECT g.person_id, m.person_id FROM pool_pledges g JOIN pool_members m"
        " ON m.id = g.member_id WHERE g.id = %s",
        [made["id"]],
    ).fetchone()
    assert row == (one.story.id, one.story.id)
    assert (await group.get("/mine", one))["money"][0]["promised_pence"] == 2_000
    # The worker, the staff and another member have no say over it.
    for other in (group.social_worker, group.manager, group.members[1]):
        assert (await sent(group, other, of(one))).status_code in (403, 404)


async def test_a_promise_after_its_last_day_in_a_pause_or_under_a_stop_keeps_nothing(
    home: Neighbours,
) -> None:
    group = await home.promising(days=0.000_012)
    one = group.members[0]
    before = await home.stands(one)
    await asyncio.sleep(1.1)
    assert (
        "not touched" in refused(await sent(group, one, of(one)), 409, "promise-in-time")["detail"]
    )
    group = await home.promising()
    good(await group.send("PUT", "/pause", group.manager, {"paused": True}, keyed=False))
    refused(await sent(group, one, of(one)), 409, "group-paused")
    good(await group.send("PUT", "/pause", group.manager, {"paused": False}, keyed=False))
    for kind, subject in (("pool", group.pool_id), ("budget", one.budget.id)):
        stop = {"subject_type": kind, "subject_id": str(subject), "area": group.area.slug}
        client = group.maker.client
        stop |= {"words": "Somebody leans on her."}
        raised = good(
            await client.post("/v1/safety-stops", json=stop, headers=group.members[1].headers)
        )
        problem = refused(await sent(group, one, of(one)), 409, "safety-stop")
        assert "leans" not in str(problem)
        answer = {"outcome": "lifted", "words": "All is well."}
        path = f"/v1/safety-stops/{raised['id']}/answers"
        good(await client.post(path, json=answer, headers=group.manager.headers | key()))
    assert await home.stands(one) == before
    good(await sent(group, one, of(one)))


async def test_a_promise_is_five_round_trips_at_most(home: Neighbours, settings: Settings) -> None:
    group = await home.promising("own", "own", "own")
    database = Database(settings.database_url, application_name="kith-test", pool_size=1)
    trips: list[str] = []

    async def promise(one: Member, pence: int) -> None:
        actor = CodeHolder("person", one.story.id, session_id=uuid4())
        new = NewPledge(budget_id=one.budget.id, amount_pence=pence)

        async def work(tx: Any) -> Any:
            assert group.pool_id is not None
            return await promises.promise(
                tx, actor=actor, now=now(), pool_id=group.pool_id, new=new, key=uuid4().hex
            )

        trips.clear()
        await database.run(work, actor=actor, now=now())

    async with database.engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        # The driver says BEGIN and COMMIT itself; what is asked in between, SQLAlchemy sends.
        raw.add_query_logger(lambda record: trips.append(record.query))
    listen(
        database.engine.sync_engine,
        "before_cursor_execute",
        lambda _c, _k, statement, *_: trips.append(statement),
    )
    first, second, third = group.members
    for one in (first, second):
        await promise(one, 100)
    await promise(third, 100)
    said = [one.split()[0].rstrip(";").upper() for one in trips]
    assert sorted(said) == ["BEGIN", "COMMIT", "SELECT", "SELECT", "WITH"]
    # One more ends the promise whose place a new one takes.
    await promise(third, 101)
    await promise(third, 102)
    assert len(trips) == 6
    await database.close()
