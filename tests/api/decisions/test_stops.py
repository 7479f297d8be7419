"""Stop, I'm worried: it holds at once, waits for nobody's leave, and silence keeps it held."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from api.core.errors import Conflict, NotAllowed, NotFound
from api.decisions import service, stops
from api.decisions.rules import StopAnswer, Subject
from api.decisions.schemas import NewStop, NewStopAnswer, StopOut
from api.identity.rules import Actor, CodeHolder, Person
from tests.api.decisions.desk import no, open_desk
from tests.make import Account, Maker, good, key, now, refused

pytestmark = pytest.mark.anyio

WORDS = "He takes her card."


async def say_stop(
    maker: Maker, actor: Person | CodeHolder, area: str, subject: Subject
) -> StopOut:
    """Say stop."""
    new = NewStop(subject_type=subject.type, subject_id=subject.id, area=area, words=WORDS)
    async with maker.database.write(actor=actor, now=now()) as tx:
        return await service.raise_stop(tx, actor=actor, now=now(), new=new)


async def answered(maker: Maker, by: Account, stop_id: UUID, outcome: StopAnswer) -> StopOut:
    """Answer a stop."""
    new = NewStopAnswer(outcome=outcome, words="I rang her.")
    async with maker.database.write(actor=by.actor, now=now()) as tx:
        return await service.answer_stop(tx, actor=by.actor, now=now(), stop_id=stop_id, new=new)


async def held(maker: Maker, actor: Actor, *subjects: Subject) -> bool:
    """Try whether a change of these subjects is held."""
    refusal: Conflict | None = None
    try:
        async with maker.database.write(actor=actor, now=now()) as tx:
            await service.guard(tx, subjects=subjects)
    except Conflict as held_back:
        refusal = held_back
    if refusal is not None:
        assert refusal.rule == "safety-stop"
        assert WORDS not in refusal.detail + " ".join(refusal.what_else)
    return refusal is not None


async def test_anybody_holds_a_change_at_once_and_no_other_change(maker: Maker) -> None:
    area = await maker.area()
    raisers: list[Person | CodeHolder] = [
        (await maker.account(area)).actor,
        (await maker.account(None, "provider")).actor,
        CodeHolder("person", (await maker.story(area)).id, session_id=uuid4()),
        CodeHolder("enquiry", (await maker.enquiry(area)).id, session_id=uuid4()),
    ]
    stranger = (await maker.account()).actor
    for actor in raisers:
        subject, other = Subject("pool", uuid4()), Subject("pool", uuid4())
        assert not await held(maker, stranger, subject, other)
        await say_stop(maker, actor, area.slug, subject)
        assert await held(maker, stranger, other, subject)
        assert not await held(maker, stranger, other, Subject("pool_stage", subject.id))


async def test_a_guard_of_nothing_lets_go_on(maker: Maker) -> None:
    assert not await held(maker, (await maker.account()).actor)


async def test_a_stop_waits_for_the_change_under_way_and_then_nothing_passes(maker: Maker) -> None:
    """Real connections: a transaction past its guard, a stop, and more guards behind it."""
    area = await maker.area()
    worried, changer = (await maker.account(area)).actor, (await maker.account(area)).actor
    subject, other = Subject("pool", uuid4()), Subject("pool", uuid4())
    async with maker.database.write(actor=changer, now=now()) as tx:
        await service.guard(tx, subjects=[subject])
        stopping = asyncio.create_task(say_stop(maker, worried, area.slug, subject))
        await asyncio.sleep(0.3)
        assert not stopping.done()
        # Whoever comes now queues behind the stop; a change of something else does not.
        behind = asyncio.create_task(held(maker, changer, other, subject))
        await asyncio.sleep(0.1)
        assert not behind.done()
        assert not await held(maker, changer, other)
    await stopping
    assert await behind
    assert await held(maker, changer, subject)


async def test_two_changes_pass_their_guards_side_by_side(maker: Maker) -> None:
    actor = (await maker.account()).actor
    subjects = [Subject("pool", uuid4()), Subject("budget", uuid4())]
    async with maker.database.write(actor=actor, now=now()) as tx:
        await service.guard(tx, subjects=subjects)
        async with asyncio.timeout(1):
            assert not await held(maker, actor, *reversed(subjects))


async def test_many_changes_and_a_stop_at_once_leave_no_change_after_the_stop(
    maker: Maker,
) -> None:
    area = await maker.area()
    actor = (await maker.account(area)).actor
    subject = Subject("pool", uuid4())
    stopped = False

    async def change() -> None:
        for _ in range(12):
            began_after = stopped
            if began_after:
                assert await held(maker, actor, subject)
            else:
                await held(maker, actor, subject)

    async def stop() -> None:
        nonlocal stopped
        await asyncio.sleep(0.02)
        await say_stop(maker, actor, area.slug, subject)
        stopped = True

    await asyncio.gather(change(), change(), stop())
    assert await held(maker, actor, subject)


async def test_a_stop_is_not_lost_to_a_change_that_takes_too_long(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stops, "WAIT_MS", 100)
    area = await maker.area()
    actor = (await maker.account(area)).actor
    subject = Subject("pool", uuid4())
    async with maker.database.write(actor=actor, now=now()) as tx:
        await service.guard(tx, subjects=[subject])
        await say_stop(maker, actor, area.slug, subject)
        assert await held(maker, actor, subject)


async def test_a_lifted_stop_lets_go_and_an_upheld_one_does_not(maker: Maker) -> None:
    area = await maker.area()
    actor = (await maker.account(area)).actor
    manager = await maker.account(area, "manager")
    subject = Subject("budget", uuid4())
    stop = await say_stop(maker, actor, area.slug, subject)
    out = await answered(maker, manager, stop.id, "upheld")
    assert out.held
    assert await held(maker, actor, subject)
    out = await answered(maker, manager, stop.id, "lifted")
    assert not out.held
    assert [one.outcome for one in out.answers] == ["upheld", "lifted"]
    assert not await held(maker, actor, subject)
    with pytest.raises(Conflict):
        await answered(maker, manager, stop.id, "lifted")
    await say_stop(maker, actor, area.slug, subject)
    assert await held(maker, actor, subject)


async def test_each_of_two_stops_holds_until_both_are_let_go(maker: Maker) -> None:
    area = await maker.area()
    actor, another = (await maker.account(area)).actor, (await maker.account(area)).actor
    manager = await maker.account(area, "manager")
    subject = Subject("pool", uuid4())
    first = await say_stop(maker, actor, area.slug, subject)
    second = await say_stop(maker, another, area.slug, subject)
    await answered(maker, manager, first.id, "lifted")
    assert await held(maker, actor, subject)
    await answered(maker, manager, second.id, "lifted")
    assert not await held(maker, actor, subject)


async def test_a_stop_is_answered_by_those_who_protect_and_never_by_whoever_said_it(
    maker: Maker,
) -> None:
    area = await maker.area()
    raiser = await maker.account(area, "manager")
    subject = Subject("listing", uuid4())
    stop = await say_stop(maker, raiser.actor, area.slug, subject)
    with pytest.raises(NotAllowed) as refusal:
        await answered(maker, raiser, stop.id, "lifted")
    assert refusal.value.rule == "somebody-else-answers"
    for account in (
        await maker.account(area, "professional", profession="nurse"),
        await maker.account(area, "area_admin"),
        await maker.account(area, "commissioner"),
        await maker.account(None, "manager"),
    ):
        with pytest.raises(NotFound):
            await answered(maker, account, stop.id, "lifted")
    assert await held(maker, raiser.actor, subject)
    social_worker = await maker.account(area, "professional")
    assert not (await answered(maker, social_worker, stop.id, "lifted")).held


async def test_nobody_lifts_a_stop_about_their_own_story(maker: Maker) -> None:
    manager = await maker.account(None, "manager")
    story = await maker.story(account=manager)
    raiser = (await maker.account()).actor
    stop = await say_stop(maker, raiser, manager.area.slug, Subject("person", story.id))
    with pytest.raises(NotAllowed):
        await answered(maker, manager, stop.id, "lifted")


async def test_the_database_too_lets_go_of_no_hold_without_somebody_elses_answer(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    area = await maker.area()
    actor = (await maker.account(area)).actor
    stop = await say_stop(maker, actor, area.slug, Subject("pool", uuid4()))
    with pytest.raises(psycopg.errors.CheckViolation, match="somebody's answer"):
        owner_connection.execute(
            "UPDATE safety_stops SET lifted_at = now() WHERE id = %s", [stop.id]
        )


async def seen(maker: Maker, reader: Account | Any) -> dict[str, Any]:
    """Return the stops that somebody is told of, by id."""
    answer = await maker.client.get("/v1/safety-stops", headers=reader.headers)
    return {one["id"]: one for one in good(answer)["items"]}


async def test_the_words_are_read_by_whoever_said_them_and_those_who_protect(maker: Maker) -> None:
    area = await maker.area()
    raiser, story = await maker.account(area), await maker.story(area)
    body = {
        "subject_type": "person",
        "subject_id": str(story.id),
        "area": area.slug,
        "ground": "harm",
        "words": WORDS,
    }
    path = "/v1/safety-stops"
    made = good(await maker.client.post(path, json=body, headers=raiser.headers))
    assert made["held"]
    assert any("999" in one for one in made["do_now"])
    manager = await maker.account(area, "manager")
    readers = (raiser, manager, await maker.account(area, "professional"))
    for reader in readers:
        assert (await seen(maker, reader))[made["id"]]["words"] == WORDS
    worker = await maker.account(area, "supporter")
    await maker.assignment(story, worker, agreed=True)
    for other in (
        story,
        worker,
        await maker.account(area),
        await maker.account(area, "area_admin"),
        await maker.account(area, "professional", profession="doctor"),
        await maker.account(None, "manager"),
    ):
        assert await seen(maker, other) == {}
    answer = {"outcome": "lifted", "words": "She is safe."}
    good(
        await maker.client.post(
            f"{path}/{made['id']}/answers", json=answer, headers=manager.headers
        )
    )
    assert made["id"] not in await seen(maker, manager)
    mine = (await seen(maker, raiser))[made["id"]]
    assert (mine["held"], mine["answers"][0]["words"]) == (False, "She is safe.")
    refused(await maker.client.post(path, json=body), 401)


async def test_what_waits_for_an_answer_comes_before_what_has_one_page_by_page(
    maker: Maker,
) -> None:
    area = await maker.area()
    actor = (await maker.account(area)).actor
    manager = await maker.account(area, "manager")
    made = [await say_stop(maker, actor, area.slug, Subject("pool", uuid4())) for _ in range(52)]
    await answered(maker, manager, made[0].id, "upheld")
    first = good(await maker.client.get("/v1/safety-stops", headers=manager.headers))
    params = {"cursor": first["next"]}
    last = good(await maker.client.get("/v1/safety-stops", params=params, headers=manager.headers))
    ids = [one["id"] for one in first["items"] + last["items"]]
    assert ids == [str(one.id) for one in [*made[1:], made[0]]]
    assert last["next"] is None


async def test_the_same_request_twice_is_one_stop(maker: Maker) -> None:
    raiser = await maker.account()
    headers = raiser.headers | key()
    body = {
        "subject_type": "pool",
        "subject_id": str(uuid4()),
        "area": raiser.area.slug,
        "words": WORDS,
    }
    first, second = [
        good(await maker.client.post("/v1/safety-stops", json=body, headers=headers))
        for _ in range(2)
    ]
    assert first["id"] == second["id"]
    assert list(await seen(maker, raiser)) == [first["id"]]
    unknown = body | {"subject_type": "dream"}
    refused(await maker.client.post("/v1/safety-stops", json=unknown, headers=raiser.headers), 400)


@pytest.mark.parametrize("kind", ["sign_off", "pool_use", "person"])
async def test_a_stop_holds_a_yes_and_never_a_no(maker: Maker, kind: str) -> None:
    desk = await open_desk(maker)
    subject = Subject("pool_use", uuid4())
    asked = await desk.ask(subject=subject)
    about = {"sign_off": asked, "pool_use": subject.id, "person": desk.story.id}[kind]
    await say_stop(maker, desk.social_worker.actor, desk.area.slug, Subject(kind, about))
    with pytest.raises(Conflict) as refusal:
        await desk.decide(asked)
    assert refusal.value.rule == "safety-stop"
    assert await desk.state(subject) == "waiting"
    assert (await desk.decide(asked, **no())).state == "declined"


async def test_no_word_of_a_stop_is_in_the_outbox_the_audit_or_the_log(
    maker: Maker, owner_connection: psycopg.Connection, logged: Any
) -> None:
    raiser = await maker.account()
    await say_stop(maker, raiser.actor, raiser.area.slug, Subject("pool", uuid4()))
    for table in ("outbox", "audit_entries", "read_receipts", "decision_events"):
        found = owner_connection.execute(
            f"SELECT count(*) FROM {table} t WHERE to_jsonb(t)::text LIKE %s", [f"%{WORDS}%"]
        ).fetchone()
        assert found == (0,)
    assert WORDS not in logged.text
