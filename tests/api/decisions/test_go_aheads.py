"""Go-aheads: who gives them, on which grounds they may be refused, and the wish beside them."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from api.core.errors import Conflict, Invalid, NotAllowed, NotFound
from api.decisions import service
from api.decisions.rules import Subject
from api.decisions.schemas import NewWish
from api.identity.rules import Task
from tests.api.decisions.desk import WISH, no, open_desk
from tests.make import Account, Maker, good, key, now, refused

pytestmark = pytest.mark.anyio


async def listed(maker: Maker, reader: Account, **params: str) -> list[str]:
    """Return the ids of the go-aheads that somebody is told of, page by page."""
    ids: list[str] = []
    for _ in range(20):
        answer = await maker.client.get("/v1/sign-offs", params=params, headers=reader.headers)
        page = good(answer)
        ids += [one["id"] for one in page["items"]]
        if page["next"] is None:
            return ids
        params["cursor"] = page["next"]
    raise AssertionError("pages without end")


async def test_a_social_worker_who_works_with_the_person_gives_the_go_ahead(maker: Maker) -> None:
    desk = await open_desk(maker)
    subject = Subject("pool_use", uuid4())
    assert await desk.state(subject) is None
    asked = await desk.ask(subject=subject)
    assert await desk.state(subject) == "waiting"
    out = await desk.decide(asked)
    assert (out.state, out.decisions[0].outcome) == ("approved", "approved")
    assert out.ways_on == []
    assert await desk.state(subject) == "approved"


SIGNERS: list[tuple[Any, Any, bool]] = [
    ("council", "social_worker", True),
    ("council", "occupational_therapist", True),
    ("council", "nurse", False),
    ("council", "doctor", False),
    ("nhs", "nurse", True),
    ("nhs", "doctor", True),
    ("nhs", "psychologist", True),
    ("nhs", "social_worker", False),
    ("charity", "social_worker", False),
]


@pytest.mark.parametrize(("body", "profession", "may"), SIGNERS)
async def test_each_bodys_money_is_signed_for_by_its_own_people(
    maker: Maker, body: Any, profession: Any, may: bool
) -> None:
    desk = await open_desk(maker)
    worker = await maker.account(desk.area, "professional", profession=profession)
    await maker.assignment(desk.story, worker, manager=desk.manager, agreed=True)
    asked = await desk.ask(body=body)
    if may:
        assert (await desk.decide(asked, by=worker)).state == "approved"
        return
    with pytest.raises(NotFound):
        await desk.decide(asked, by=worker)


@pytest.mark.parametrize("body", ["council", "nhs", "charity"])
async def test_a_manager_of_the_area_decides_and_one_of_another_area_sees_nothing(
    maker: Maker, body: Any
) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask(body=body)
    elsewhere = await maker.account(None, "manager")
    with pytest.raises(NotFound):
        await desk.decide(asked, by=elsewhere)
    assert (await desk.decide(asked, by=desk.manager)).state == "approved"


async def test_a_charitys_commissioner_decides_for_the_charity_alone(maker: Maker) -> None:
    desk = await open_desk(maker)
    commissioner = await maker.account(desk.area, "commissioner")
    asked = await desk.ask(body="charity")
    assert (await desk.decide(asked, by=commissioner)).state == "approved"
    for body in ("council", "nhs"):
        with pytest.raises(NotFound):
            await desk.decide(await desk.ask(body=body), by=commissioner)


async def test_a_worker_whom_the_person_has_not_let_in_or_no_longer_sees_nothing(
    maker: Maker,
) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    for agreed, ended in ((False, False), (True, True)):
        worker = await maker.account(desk.area, "professional")
        await maker.assignment(desk.story, worker, manager=desk.manager, agreed=agreed, ended=ended)
        path = f"/v1/sign-offs/{asked}"
        refused(await maker.client.get(path, headers=worker.headers), 404)
        with pytest.raises(NotFound):
            await desk.decide(asked, by=worker)
        assert await listed(maker, worker) == []


async def test_nobody_decides_what_is_their_own_what_they_asked_for_or_are_paid_by(
    maker: Maker,
) -> None:
    area = (await open_desk(maker)).area
    own = await maker.account(area, "manager")
    story = await maker.story(account=own)
    desk = await open_desk(maker)
    author = await maker.account(desk.area, "manager")
    payee = await maker.account(desk.area, "manager")
    cases = [
        (own, await desk.ask(actor=own.actor, person_id=story.id, area_id=area.id)),
        (author, await desk.ask(actor=author.actor)),
        (payee, await desk.ask(not_by=[payee.id])),
    ]
    for account, asked in cases:
        for new in ({"outcome": "approved"}, no()):
            with pytest.raises(NotAllowed) as refusal:
                await desk.decide(asked, by=account, **new)
            assert refusal.value.rule == "somebody-else-decides"
        assert str(asked) not in await listed(maker, account, which="to_decide")


async def test_whoever_is_to_be_paid_or_asks_later_does_not_decide_either(maker: Maker) -> None:
    desk = await open_desk(maker)
    first, second, asker = [await maker.account(desk.area, "manager") for _ in range(3)]
    subject = Subject("pool_use", uuid4())
    asked = await desk.ask(subject=subject, not_by=[first.id])
    assert await desk.ask(subject=subject, not_by=[second.id]) == asked
    assert await desk.ask(subject=subject, actor=asker.actor) == asked
    for account in (first, second, asker):
        with pytest.raises(NotAllowed):
            await desk.decide(asked, by=account)
    await desk.decide(asked, by=desk.manager)
    assert await desk.ask(subject=subject) == asked
    assert await desk.ask(subject=subject, not_by=[desk.manager.id]) != asked
    assert await desk.state(subject) == "waiting"


async def test_the_database_too_lets_no_payee_and_no_author_decide(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    desk = await open_desk(maker)
    author = await maker.account(desk.area, "manager")
    asked = await desk.ask(actor=author.actor, not_by=[desk.manager.id])
    for account in (author, desk.manager):
        with pytest.raises(psycopg.errors.CheckViolation, match="not_ones_own"):
            owner_connection.execute(
                "UPDATE sign_offs SET state = 'approved', decided_at = now(), decided_by = %s"
                " WHERE id = %s",
                [account.id, asked],
            )


async def test_a_no_says_on_which_ground_why_who_can_change_it_and_by_when_somebody_rings(
    maker: Maker,
) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    for part in ("ground", "words", "who_can_change", "rings_by"):
        with pytest.raises(Invalid) as refusal:
            await desk.decide(asked, **no(**{part: None}))
        assert refusal.value.errors[0].field == part
    for days in (-1, 60):
        with pytest.raises(Invalid) as refusal:
            await desk.decide(asked, **no(rings_by=now().date() + timedelta(days=days)))
        assert refusal.value.rule == "rings-soon"
    with pytest.raises(Invalid):
        await desk.decide(asked, ground="law")
    out = await desk.decide(asked, by=desk.manager, **no())
    (decision,) = out.decisions
    assert (out.state, decision.ground, decision.decided_by) == (
        "declined",
        "plan_fit",
        "Mo Manager",
    )
    assert decision.who_rings == "Mo Manager"
    assert decision.ground_means


async def test_there_are_three_grounds_of_a_no_and_no_fourth(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    desk = await open_desk(maker)
    for ground in ("law", "safety", "plan_fit"):
        assert (await desk.decide(await desk.ask(), **no(ground=ground))).state == "declined"
    asked = await desk.ask()
    body = no(ground="too_dear") | {"rings_by": now().date().isoformat()}
    path = f"/v1/sign-offs/{asked}/decision"
    answer = await maker.client.post(path, json=body, headers=desk.manager.headers)
    assert "ground" in refused(answer, 400)["errors"][0]["field"]
    with pytest.raises(psycopg.errors.CheckViolation):
        owner_connection.execute(
            "INSERT INTO sign_off_decisions (id, sign_off_id, outcome, ground, words,"
            " who_can_change, who_rings, rings_by, decided_by, decided_by_called, at)"
            " VALUES (gen_random_uuid(), %s, 'declined', 'too_dear', 'x', 'x', 'x', now(), %s,"
            " 'x', now())",
            [asked, desk.manager.id],
        )


WAYS: list[tuple[Any, str]] = [
    ("council", "Local Government and Social Care Ombudsman"),
    ("nhs", "Parliamentary and Health Service Ombudsman"),
    ("charity", "trustees"),
]


@pytest.mark.parametrize(("body", "higher"), WAYS)
async def test_every_no_names_a_second_look_an_advocate_and_who_is_next(
    maker: Maker, body: Any, higher: str
) -> None:
    desk = await open_desk(maker)
    out = await desk.decide(await desk.ask(body=body), by=desk.manager, **no())
    ways = " ".join(out.ways_on)
    for way in ("Look again", "advocate", higher):
        assert way in ways


async def test_what_is_decided_is_not_decided_again(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    await desk.decide(asked, **no())
    for new in ({"outcome": "approved"}, no()):
        with pytest.raises(Conflict) as refusal:
            await desk.decide(asked, by=desk.manager, **new)
        assert refusal.value.rule == "decided-already"
        assert any("Ombudsman" in way for way in refusal.value.what_else)
    with pytest.raises(psycopg.errors.CheckViolation, match="taken once"):
        owner_connection.execute("UPDATE sign_offs SET state = 'approved' WHERE id = %s", [asked])
    with pytest.raises(psycopg.errors.RestrictViolation):
        owner_connection.execute(
            "UPDATE sign_off_decisions SET words = 'x' WHERE sign_off_id = %s", [asked]
        )


async def test_of_two_who_decide_at_the_same_moment_one_decides(maker: Maker) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    both = await asyncio.gather(
        desk.decide(asked),
        desk.decide(asked, by=desk.manager, **no()),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in both) == ["Conflict", "SignOffOut"]
    (done,) = (one for one in both if not isinstance(one, BaseException))
    assert len(done.decisions) == 1


async def test_the_wish_stands_beside_the_decision_in_the_persons_own_words(maker: Maker) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    path = f"/v1/sign-offs/{asked}"
    body = good(await maker.client.get(path, headers=desk.social_worker.headers))
    assert body["wish"]["words"] == WISH
    said = {"words": "Swimming on Tuesdays, please."}
    good(await maker.client.put(f"{path}/wish", json=said, headers=desk.story.headers))
    out = await desk.decide(asked, **no())
    assert out.wish is not None
    assert out.wish.words == said["words"]
    again = {"words": "I still want it."}
    body = good(await maker.client.put(f"{path}/wish", json=again, headers=desk.story.headers))
    assert (body["wish"]["words"], body["state"]) == (again["words"], "declined")
    assert [one["what"] for one in body["events"]] == ["asked", "wished", "declined", "wished"]


async def test_nobody_says_the_persons_wish_for_them(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    for worker in (desk.social_worker, desk.manager):
        path = f"/v1/sign-offs/{asked}/wish"
        answer = await maker.client.put(path, json={"words": "x"}, headers=worker.headers)
        refused(answer, 403, "own-words")
    stranger = (await maker.account()).actor
    with pytest.raises(NotFound):
        async with maker.database.write(actor=stranger, now=now()) as tx:
            await service.my_wish(
                tx, actor=stranger, now=now(), sign_off_id=asked, new=NewWish(words="x")
            )
    with pytest.raises(psycopg.errors.RestrictViolation):
        owner_connection.execute(
            "UPDATE sign_off_wishes SET words = 'x' WHERE sign_off_id = %s", [asked]
        )


async def test_asked_again_for_no_more_it_stands_and_for_more_it_is_asked_anew(
    maker: Maker,
) -> None:
    desk = await open_desk(maker)
    subject = Subject("pool_use", uuid4())
    first = await desk.ask(subject=subject, amount_pence=1000)
    assert await desk.ask(subject=subject, amount_pence=1000) == first
    await desk.decide(first)
    assert await desk.ask(subject=subject, amount_pence=900) == first
    second = await desk.ask(subject=subject, amount_pence=1001)
    assert second != first
    assert await desk.state(subject) == "waiting"
    with pytest.raises(Conflict):
        await desk.decide(first, by=desk.manager)
    await desk.decide(second, **no())
    assert await desk.state(subject) == "declined"
    third = await desk.ask(subject=subject, amount_pence=500)
    assert third not in (first, second)
    assert await desk.state(subject) == "waiting"


async def test_asked_for_by_two_at_the_same_moment_it_is_asked_once(maker: Maker) -> None:
    desk = await open_desk(maker)
    subject = Subject("pool_use", uuid4())
    ids = await asyncio.gather(*(desk.ask(subject=subject) for _ in range(4)))
    assert len(set(ids)) == 1


async def test_a_promise_let_go_takes_its_question_back_whoever_lets_it_go(maker: Maker) -> None:
    desk = await open_desk(maker)
    subject = Subject("pool_use", uuid4())
    asked = await desk.ask(subject=subject)
    task = Task("pools.close", uuid4())
    for _ in range(2):
        async with maker.database.write(actor=task, now=now()) as tx:
            await service.withdraw(tx, now=now(), actor=task, subject=subject)
    assert await desk.state(subject) == "withdrawn"
    with pytest.raises(Conflict):
        await desk.decide(asked)
    assert await desk.ask(subject=subject) != asked


async def test_the_list_to_decide_comes_the_soonest_due_first_and_leaves_receipts(
    maker: Maker,
) -> None:
    desk = await open_desk(maker)
    start = now()
    asked = [await desk.ask(at=start - timedelta(days=(number * 5) % 7)) for number in range(8)]
    ids = await listed(maker, desk.social_worker)
    assert sorted(ids) == sorted(str(one) for one in asked)
    due = {
        one["id"]: one["due_at"]
        for one in good(await maker.client.get("/v1/sign-offs", headers=desk.manager.headers))[
            "items"
        ]
    }
    assert ids == sorted(ids, key=lambda one: (due[one], one))
    path = f"/v1/people/{desk.story.id}/receipts"
    receipts = good(await maker.client.get(path, headers=desk.story.headers))["items"]
    assert sum(one["what"] == "sign_off" for one in receipts) >= 16


async def test_a_person_sees_their_own_page_by_page_and_nobody_elses(maker: Maker) -> None:
    account = await maker.account()
    story = await maker.story(account=account)
    desk = await open_desk(maker)
    other = await desk.ask()
    asked = [
        str(
            await desk.ask(
                actor=account.actor, person_id=story.id, area_id=account.area.id, wish=None
            )
        )
        for _ in range(52)
    ]
    ids = await listed(maker, account)
    assert ids == asked[::-1]
    assert str(other) not in ids
    refused(await maker.client.get(f"/v1/sign-offs/{other}", headers=account.headers), 404)


async def test_what_was_decided_is_told_to_the_slice_that_asked_in_ids_alone(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    desk = await open_desk(maker)
    subject = Subject("pool_use", uuid4())
    asked = await desk.ask(subject=subject)
    await desk.decide(asked, **no())
    rows = owner_connection.execute(
        "SELECT payload FROM outbox WHERE task = 'decisions.decided'"
        " AND payload ->> 'sign_off_id' = %s",
        [str(asked)],
    ).fetchall()
    told = {"subject_type": "pool_use", "subject_id": str(subject.id), "sign_off_id": str(asked)}
    assert rows == [(told,)]


async def test_the_same_request_twice_decides_once_and_answers_twice(maker: Maker) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask()
    headers = desk.social_worker.headers | key()
    path, yes = f"/v1/sign-offs/{asked}/decision", {"outcome": "approved"}
    first = good(await maker.client.post(path, json=yes, headers=headers))
    assert good(await maker.client.post(path, json=yes, headers=headers)) == first
    refused(await maker.client.post(path, json=yes, headers=desk.manager.headers), 409)
