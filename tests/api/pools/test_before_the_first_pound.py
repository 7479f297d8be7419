"""Six rules are agreed before any money; PostgreSQL takes no promise without them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from api.pools import rules
from tests.api.pools.neighbours import SMALL, Neighbours, act_as
from tests.groups import Member, Town
from tests.make import good, now, refused

pytestmark = pytest.mark.anyio


async def test_the_six_rules_stand_at_plain_defaults_before_the_first_pound(
    home: Neighbours,
) -> None:
    group = await home.group()
    await group.costed(**SMALL)
    seen = await group.get("", group.members[0])
    assert [(one["topic"], one["version"]) for one in seen["choices"]] == [
        (topic, 0) for topic in rules.TOPICS
    ]
    body = {"choices": {"leaving": "no_notice", "joining": "closed"}}
    one = group.members[1]
    good(await group.send("PUT", "/choices", one, body, keyed=False))
    unknown = {"choices": {"leaving": "whenever"}}
    refused(await group.send("PUT", "/choices", one, unknown, keyed=False), 422, "choice-known")
    refused(await group.send("PUT", "/choices", group.provider, body, keyed=False), 403)
    await group.pledging()
    seen = await group.get("", group.members[0])
    assert {one["topic"]: (one["choice"], one["version"]) for one in seen["choices"]} == {
        "illness": ("place_kept", 1),
        "holiday": ("place_kept", 1),
        "leaving": ("no_notice", 1),
        "joining": ("closed", 1),
        "unhappiness": ("say_first", 1),
        "closing": ("back_to_source", 1),
    }
    answer = await group.send("PUT", "/choices", one, body, keyed=False)
    refused(answer, 409, "rules-before-money")


async def test_past_the_service_postgresql_takes_no_promise_before_the_six_rules(
    home: Neighbours, app_connection: psycopg.Connection
) -> None:
    group = await home.group()
    offer = await group.costed(**SMALL)
    one = group.members[0]
    with app_connection.transaction(force_rollback=True):
        act_as(app_connection, "code_holder", one.story.id)
        step_to_promises(app_connection, group)
        with pytest.raises(psycopg.errors.CheckViolation, match="six rules are chosen before"):
            write_promise(app_connection, group, one, offer)


async def test_past_the_service_postgresql_takes_no_promise_of_who_left_or_in_a_pause(
    home: Neighbours, app_connection: psycopg.Connection
) -> None:
    group = await home.group("own", "own", "own")
    offer = await group.costed(**SMALL)
    await group.pledging()
    one, left, _ = group.members
    await group.post("/leave", left, {})

    def attempt(who: Member, said: str, **at: Any) -> None:
        with app_connection.transaction(force_rollback=True):
            act_as(app_connection, "code_holder", who.story.id, **at)
            with pytest.raises(psycopg.errors.CheckViolation, match=said):
                write_promise(app_connection, group, who, offer)

    attempt(left, "a promise is of somebody in the group")
    attempt(one, "a promise has its time", at=now() + timedelta(days=15))
    good(await group.send("PUT", "/pause", group.manager, {"paused": True}, keyed=False))
    attempt(one, "a promise has its time")


def step_to_promises(connection: psycopg.Connection, group: Town) -> None:
    """Open promises past the service, without the rules."""
    connection.execute(
        "INSERT INTO pool_steps (id, pool_id, version, what, state, role, reason, actor_kind,"
        " actor_id, at) SELECT gen_random_uuid(), id, version + 1, 'promises_opened', 'pledging',"
        " 'member', 'x', 'code_holder', app_actor_id(), app_now() FROM pools WHERE id = %s",
        [group.pool_id],
    )
    connection.execute(
        "UPDATE pools SET state = 'pledging', version = version + 1,"
        " promise_by = app_now() + interval '1 day' WHERE id = %s",
        [group.pool_id],
    )


def write_promise(connection: psycopg.Connection, group: Town, one: Member, offer: UUID) -> None:
    """Write a promise past the service."""
    connection.execute(
        "INSERT INTO pool_pledges (id, pool_id, member_id, person_id, budget_id, offer_id, use_id,"
        " kind, amount_pence, hold_id, budget_account_id, source_key, state, key, request_hash,"
        " made_at) SELECT gen_random_uuid(), m.pool_id, m.id, m.person_id, %s, %s,"
        " gen_random_uuid(), 'own_money', 5, gen_random_uuid(), %s, 'x', 'held', 'k', 'x',"
        " app_now() FROM pool_members m WHERE m.pool_id = %s AND m.person_id = %s",
        [one.budget.id, offer, one.budget.account_id, group.pool_id, one.story.id],
    )
