"""Signing: the vote, the named body, two others; never somebody who wrote it or is paid by it."""

from typing import Any

import psycopg
import pytest

from tests.api.pools.neighbours import SMALL, Neighbours, act_as
from tests.groups import OFFER, Member, Town
from tests.make import Account, good, refused

pytestmark = pytest.mark.anyio

BODY = {"called": "Bridgewater Neighbours, a charity"}


async def name_body(group: Town, who: Any, called: str = BODY["called"]) -> Any:
    """Name the body that signs; return the answer."""
    return await group.send("PUT", "/body", who, {"called": called}, keyed=False)


async def passes(group: Town, who: Account) -> Any:
    """Ask to pass the contract as somebody; return the answer."""
    return await group.send("POST", "/approvals", who)


async def approved(home: Neighbours, *more: Member, by: Account | None = None) -> Town:
    """Return a group in which everybody has a go-ahead; an offer of ``by``, else of Kay."""
    group = await home.group("own", "own", "own")
    for one in more:
        await group.join(one)
    who = by or group.provider
    seen = await group.post("/offers", who, OFFER | SMALL | {"code": await group.code()})
    await group.vote("choose_offer", seen["offers"][0]["id"])
    await group.pledging()
    for one in group.members[:3]:
        good(await group.promise(one, 2_000))
    await group.review()
    assert await group.state() == "approved"
    return group


def approval(connection: psycopg.Connection, group: Town, who: Account) -> None:
    """Write an approval past the service."""
    act_as(connection, "person", who.id)
    connection.execute(
        "INSERT INTO pool_approvals (id, pool_id, round, account_id, at)"
        " SELECT gen_random_uuid(), %s, max(version), %s, app_now() FROM pool_steps"
        " WHERE pool_id = %s AND what IN ('approved', 'body_named')",
        [group.pool_id, who.id, group.pool_id],
    )


def not_past_the_service(connection: psycopg.Connection, group: Town, who: Account) -> None:
    """Check that PostgreSQL refuses an approval too."""
    with (
        connection.transaction(force_rollback=True),
        pytest.raises(psycopg.errors.CheckViolation, match="neither author nor payee nor member"),
    ):
        approval(connection, group, who)


async def test_whoever_is_paid_does_not_pass_the_contract(
    home: Neighbours, app_connection: psycopg.Connection
) -> None:
    paid = await home.town.maker.account(home.town.area, "provider", "finance")
    group = await approved(home, by=paid)
    good(await name_body(group, group.commissioner))
    refused(await passes(group, paid), 403, "two-others-approve")
    not_past_the_service(app_connection, group, paid)
    refused(await passes(group, group.provider), 403, "role-needed")


async def test_a_member_does_not_pass_the_contract_even_one_who_wrote_the_offer(
    home: Neighbours, app_connection: psycopg.Connection
) -> None:
    town = home.town
    staff = await town.maker.account(town.area, "manager")
    one = Member(await town.maker.story(account=staff), (await home.people("own"))[0].budget)
    group = await approved(home, one)
    good(await name_body(group, group.commissioner))
    refused(await passes(group, staff), 403, "two-others-approve")
    not_past_the_service(app_connection, group, staff)
    # Nor once they have left it.
    await group.post("/leave", one, {})
    refused(await passes(group, staff), 403, "two-others-approve")


async def test_the_author_does_not_approve_their_own_expense(
    home: Neighbours, app_connection: psycopg.Connection
) -> None:
    group = await approved(home)
    good(await name_body(group, group.finance))
    refused(await passes(group, group.finance), 403, "two-others-approve")
    not_past_the_service(app_connection, group, group.finance)


async def test_one_who_passes_it_twice_is_one(
    home: Neighbours, app_connection: psycopg.Connection
) -> None:
    group = await approved(home)
    good(await name_body(group, group.commissioner))
    await group.vote("confirm", "yes")
    for _ in range(3):
        assert good(await passes(group, group.finance))["approvals"] == 1
    await group.advance()
    assert await group.state() == "approved"
    with (
        app_connection.transaction(force_rollback=True),
        pytest.raises(psycopg.errors.UniqueViolation),
    ):
        approval(app_connection, group, group.finance)
    good(await passes(group, group.manager))
    await group.advance()
    assert await group.state() == "contracted"


async def test_two_approvals_without_the_confirming_vote_sign_nothing(home: Neighbours) -> None:
    group = await approved(home)
    body = {"motion": "confirm", "words": "Shall we?", "easy_words": "Yes?"}
    answer = await group.send("POST", "/votes", group.members[0], body)
    refused(answer, 422, "body-named")
    refused(await name_body(group, group.provider), 403)
    good(await name_body(group, group.members[0]))
    for one in (group.finance, group.manager):
        good(await passes(group, one))
    await group.advance()
    assert await group.state() == "approved"
    assert (await group.vote("confirm", "no"))["outcome"] == "failed"
    assert await group.state() == "approved"
    assert (await group.vote("confirm", "yes"))["outcome"] == "passed"
    assert await group.state() == "contracted"
    books = await group.get("/books", group.members[0])
    assert (books["put_in_pence"], books["missing_pence"]) == (6_000, 0)


async def test_another_body_is_voted_on_and_passed_anew(home: Neighbours) -> None:
    group = await approved(home)
    good(await name_body(group, group.members[0]))
    await group.vote("confirm", "yes")
    good(await passes(group, group.finance))
    # The second to pass it names another body first: what was agreed was not that.
    seen = good(await name_body(group, group.manager, "Somebody Else Ltd"))
    assert seen["approvals"] == 0
    refused(await passes(group, group.manager), 403, "two-others-approve")
    for one in (group.finance, group.commissioner):
        good(await passes(group, one))
    await group.advance()
    assert await group.state() == "approved"
    await group.vote("confirm", "yes")
    assert await group.state() == "contracted"


async def test_leaving_between_approval_and_signing_sends_it_back_to_promises(
    home: Neighbours,
) -> None:
    group = await approved(home)
    good(await name_body(group, group.commissioner))
    await group.vote("confirm", "yes")
    good(await passes(group, group.finance))
    for one in group.members[1:]:
        await group.post("/leave", one, {})
    await group.advance()
    assert await group.state() == "pledging"
    refused(await passes(group, group.manager), 409, "promise-at-its-time")
    # Who comes back agrees to it anew, and so does everybody else.
    for one in group.members[1:]:
        await group.post("/members", one, {"called": "Back", "code": await group.code()})
        good(await group.promise(one, 2_000))
    await group.review()
    seen = await group.get("", group.members[0])
    assert (seen["state"], seen["approvals"]) == ("approved", 0)
    good(await passes(group, group.manager))
    good(await passes(group, group.finance))
    await group.advance()
    assert await group.state() == "approved"


async def test_a_stop_holds_signing_and_lets_it_go_on_when_it_is_lifted(home: Neighbours) -> None:
    group = await approved(home)
    client, one = group.maker.client, group.members[0]
    good(await name_body(group, group.commissioner))
    await group.vote("confirm", "yes")
    good(await passes(group, group.finance))
    stop = {"subject_type": "pool", "subject_id": str(group.pool_id), "area": group.area.slug}
    stop |= {"words": "I do not know this charity."}
    raised = good(await client.post("/v1/safety-stops", json=stop, headers=one.headers))
    refused(await passes(group, group.manager), 409, "safety-stop")
    answer = {"outcome": "lifted", "words": "I have rung them."}
    path = f"/v1/safety-stops/{raised['id']}/answers"
    good(await client.post(path, json=answer, headers=group.manager.headers))
    good(await passes(group, group.manager))
    await group.advance()
    assert await group.state() == "contracted"


@pytest.mark.parametrize(
    ("done", "said"),
    [
        ("UPDATE pools SET state = 'contracted', version = version + 1", "from costed there is no"),
        ("UPDATE pools SET state = 'pledging', version = version + 1", "each change of a group"),
        ("UPDATE pools SET promise_by = app_now()", "a version of their own"),
        ("DELETE FROM pools", "permission denied"),
        ("UPDATE pool_steps SET words = 'x'", "permission denied"),
        ("DELETE FROM pool_pledges", "permission denied"),
    ],
)
async def test_past_the_service_a_group_goes_no_way_that_it_may_not(
    home: Neighbours, app_connection: psycopg.Connection, done: str, said: str
) -> None:
    group = await home.group()
    await group.costed(**SMALL)
    column = "id" if " pools" in done else "pool_id"

    with pytest.raises(psycopg.Error, match=said), app_connection.transaction():  # noqa: PT012
        act_as(app_connection, "code_holder", group.members[0].story.id)
        app_connection.execute(f"{done} WHERE {column} = %s", [group.pool_id])
    assert await group.state() == "costed"
