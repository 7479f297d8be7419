"""Look again: the person asks, somebody else decides, and PostgreSQL insists on it too."""

import asyncio
from uuid import UUID, uuid4

import psycopg
import pytest

from api.core.errors import Conflict, NotAllowed, NotFound
from api.decisions import service
from api.decisions.rules import SecondLook, Subject
from api.decisions.schemas import NewChallenge, NewChallengeDecision, SignOffOut
from api.identity.rules import Actor
from tests.api.decisions.desk import Desk, no, open_desk
from tests.make import Account, Maker, good, now, refused

pytestmark = pytest.mark.anyio


async def challenge(desk: Desk, asked: UUID, *, actor: Actor | None = None) -> SignOffOut:
    """Ask for a second look, by default as the person."""
    actor = actor or desk.person
    new = NewChallenge(words="Swimming is in my plan, on page 3.")
    async with desk.maker.database.write(actor=actor, now=now()) as tx:
        return await service.challenge(tx, actor=actor, now=now(), sign_off_id=asked, new=new)


async def look(desk: Desk, challenge_id: UUID, by: Account, outcome: SecondLook) -> SignOffOut:
    """Look again as somebody."""
    new = NewChallengeDecision(outcome=outcome, words="I read page 3.")
    async with desk.maker.database.write(actor=by.actor, now=now()) as tx:
        return await service.decide_challenge(
            tx, actor=by.actor, now=now(), challenge_id=challenge_id, new=new
        )


async def test_somebody_else_looks_again_and_changes_a_no_into_a_yes(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    desk = await open_desk(maker)
    subject = Subject("pool_use", uuid4())
    asked = await desk.ask(subject=subject)
    await desk.decide(asked, **no())
    raised = await challenge(desk, asked)
    assert raised.look_again_due_at is not None
    out = await look(desk, raised.challenges[0].id, desk.manager, "changed")
    assert (out.state, out.ways_on) == ("approved", [])
    assert [one.outcome for one in out.decisions] == ["declined", "approved"]
    assert out.challenges[0].answer == "I read page 3."
    assert [one.what for one in out.events] == [
        "asked",
        "declined",
        "challenged",
        "looked_again_changed",
        "approved",
    ]
    assert await desk.state(subject) == "approved"
    told = owner_connection.execute(
        "SELECT count(*) FROM outbox WHERE task = 'decisions.decided'"
        " AND payload ->> 'sign_off_id' = %s",
        [str(asked)],
    ).fetchone()
    assert told == (2,)


async def test_a_no_that_stands_says_why_and_names_the_ombudsman(maker: Maker) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    await desk.decide(asked, **no())
    raised = await challenge(desk, asked)
    out = await look(desk, raised.challenges[0].id, desk.manager, "stands")
    assert out.state == "declined"
    assert out.challenges[0].outcome == "stands"
    assert any("Ombudsman" in way for way in out.ways_on)


async def test_whoever_decided_does_not_look_again_and_neither_does_whoever_looked_before(
    maker: Maker,
) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    await desk.decide(asked, **no())
    first = (await challenge(desk, asked)).challenges[0].id
    with pytest.raises(NotAllowed) as refusal:
        await look(desk, first, desk.social_worker, "changed")
    assert refusal.value.rule == "somebody-else-looks"
    await look(desk, first, desk.manager, "stands")
    second = (await challenge(desk, asked)).challenges[1].id
    for account in (desk.social_worker, desk.manager):
        with pytest.raises(NotAllowed):
            await look(desk, second, account, "changed")
    third = await maker.account(desk.area, "manager")
    assert (await look(desk, second, third, "changed")).state == "approved"


async def test_the_database_too_has_somebody_else_look_again(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    author = await maker.account(None, "manager")
    desk = await open_desk(maker)
    payee = await maker.account(desk.area, "manager")
    asked = await desk.ask(actor=author.actor, not_by=[payee.id])
    await desk.decide(asked, **no())
    await challenge(desk, asked, actor=author.actor)
    update = (
        "UPDATE challenges SET outcome = 'changed', answer = 'x', decided_by = %s,"
        " decided_by_called = 'x', decided_at = now() WHERE sign_off_id = %s"
    )
    for account in (desk.social_worker, author, payee):
        with pytest.raises(psycopg.errors.CheckViolation):
            owner_connection.execute(update, [account.id, asked])
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        owner_connection.execute(
            "UPDATE challenges SET challenged_decider = %s WHERE sign_off_id = %s",
            [desk.manager.id, asked],
        )
    constraint = owner_connection.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conname = 'ck_challenges_somebody_else'"
    ).fetchone()
    assert constraint == ("CHECK ((decided_by <> challenged_decider))",)


async def test_the_application_cannot_look_again_as_whoever_decided(maker: Maker) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    await desk.decide(asked, **no())
    raised = (await challenge(desk, asked)).challenges[0].id
    for account, rows in ((desk.social_worker, 0), (desk.manager, 1)):
        async with maker.database.write(actor=account.actor, now=now()) as tx:
            found = await (await tx.connection()).exec_driver_sql(
                "UPDATE challenges SET outcome = outcome WHERE id = $1", (raised,)
            )
            assert found.rowcount == rows


async def test_one_second_look_at_a_time_and_only_at_a_no(maker: Maker) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    with pytest.raises(Conflict) as refusal:
        await challenge(desk, asked)
    assert refusal.value.rule == "no-to-look-at"
    await desk.decide(asked, **no())
    await challenge(desk, asked)
    with pytest.raises(Conflict) as refusal:
        await challenge(desk, asked)
    assert refusal.value.rule == "looking-again-already"


async def test_a_second_look_is_decided_once_also_by_two_at_the_same_moment(maker: Maker) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    await desk.decide(asked, **no())
    raised = (await challenge(desk, asked)).challenges[0].id
    others = [desk.manager, await maker.account(desk.area, "manager")]
    both = await asyncio.gather(
        look(desk, raised, others[0], "stands"),
        look(desk, raised, others[1], "changed"),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in both) == ["Conflict", "SignOffOut"]


async def test_only_the_person_or_whoever_asked_for_them_asks_for_a_second_look(
    maker: Maker,
) -> None:
    desk = await open_desk(maker)
    nominee = await maker.account(desk.area, "supporter")
    asked = await desk.ask(actor=nominee.actor)
    await desk.decide(asked, **no())
    for account in (desk.social_worker, desk.manager):
        with pytest.raises(NotAllowed):
            await challenge(desk, asked, actor=account.actor)
    with pytest.raises(NotFound):
        await challenge(desk, asked, actor=(await maker.account()).actor)
    assert (await challenge(desk, asked, actor=nominee.actor)).look_again_due_at is not None


async def test_a_second_look_waits_in_the_list_of_those_who_may_look(maker: Maker) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    await desk.decide(asked, **no())
    raised = await challenge(desk, asked)
    lists = {
        account.id: [
            one["id"]
            for one in good(await maker.client.get("/v1/sign-offs", headers=account.headers))[
                "items"
            ]
        ]
        for account in (desk.manager, desk.social_worker)
    }
    assert lists == {desk.manager.id: [str(asked)], desk.social_worker.id: []}
    path = f"/v1/challenges/{raised.challenges[0].id}/decision"
    body = {"outcome": "changed", "words": "It is in the plan."}
    stranger = await maker.account(None, "manager")
    refused(await maker.client.post(path, json=body, headers=stranger.headers), 404)
    refused(await maker.client.post(path, json=body, headers=desk.story.headers), 403)
    assert good(await maker.client.post(path, json=body, headers=desk.manager.headers))


async def test_what_was_asked_anew_for_less_is_overtaken_by_a_changed_no(maker: Maker) -> None:
    desk = await open_desk(maker)
    subject = Subject("pool_use", uuid4())
    first = await desk.ask(subject=subject, amount_pence=1000)
    await desk.decide(first, **no())
    raised = (await challenge(desk, first)).challenges[0].id
    second = await desk.ask(subject=subject, amount_pence=800)
    await look(desk, raised, desk.manager, "changed")
    assert await desk.state(subject) == "approved"
    with pytest.raises(Conflict):
        await desk.decide(second, **no())
