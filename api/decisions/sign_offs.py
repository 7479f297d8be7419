"""Go-aheads: asked for, with the person's wish beside them, and decided by somebody who may."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from sqlalchemy import insert, update

from api.areas import service as areas
from api.areas.clocks import add_working_days
from api.areas.rules import AreaSettings
from api.core import audit, outbox
from api.core.db import WriteSession
from api.core.errors import Conflict, NotAllowed, invalid
from api.core.ids import new_id
from api.decisions import queries
from api.decisions.events import happened
from api.decisions.holds import guard
from api.decisions.models import SignOff, SignOffDecision, SignOffWish
from api.decisions.rules import (
    Body,
    Outcome,
    State,
    Subject,
    sign_off_due,
    ways_on,
)
from api.decisions.schemas import (
    AskSignOff,
    NewDecision,
    NewWish,
    SignOffOut,
    SignOffState,
)
from api.decisions.showing import read, visible
from api.identity.rules import Actor, Person


async def ask_sign_off(tx: WriteSession, *, actor: Actor, now: datetime, ask: AskSignOff) -> UUID:
    """Ask for a go-ahead and return its id; the clock starts.

    Asked again for the same subject and no more money, what is asked or given stands. For more
    money it is asked anew, and what stood for less is over. The caller has settled that the actor
    may ask for this person.
    """
    sign_off_id = new_id()
    found = await queries.ask(
        tx,
        id=sign_off_id,
        subject_type=ask.subject.type,
        subject_id=ask.subject.id,
        person_id=ask.person_id,
        area_id=ask.area_id,
        body=ask.body,
        about=msgspec.to_builtins(ask.about),
        amount_pence=ask.amount_pence,
        due_at=sign_off_due(asked_at=now, settings=ask.settings),
        not_by=sorted(set(ask.not_by)),
        wish=ask.wish,
    )
    if found == sign_off_id:
        await audit.record(
            tx,
            actor=actor,
            now=now,
            action="sign_off.asked",
            subject_type="sign_off",
            subject_id=found,
        )
    return found


async def sign_off_states(
    tx: WriteSession, *, subjects: Sequence[Subject]
) -> dict[UUID, SignOffState]:
    """Return, by subject id, how the latest go-ahead stands; nothing for a subject without one."""
    return {
        row.subject_id: SignOffState(
            subject_id=row.subject_id,
            sign_off_id=row.sign_off_id,
            state=cast(State, row.state),
            amount_pence=row.amount_pence,
            decided_at=row.decided_at,
        )
        for row in await queries.states(tx, subjects=subjects)
    }


async def withdraw(tx: WriteSession, *, now: datetime, actor: Actor, subject: Subject) -> None:
    """Take back what is asked or given for a subject. A no stays: it can be looked at again."""
    for sign_off_id in await queries.withdraw(tx, subject=subject):
        await audit.record(
            tx,
            actor=actor,
            now=now,
            action="sign_off.withdrawn",
            subject_type="sign_off",
            subject_id=sign_off_id,
        )


async def decide(
    tx: WriteSession, *, actor: Person, now: datetime, sign_off_id: UUID, new: NewDecision
) -> SignOffOut:
    """Give the go-ahead, or say no on one of three grounds (J3.8, law.md 6).

    Raises NotFound for whoever may not see it, NotAllowed for whoever may not decide it,
    Conflict when it was decided already, or for a yes that a stop holds.
    """
    row = await visible(tx, sign_off_id=sign_off_id)
    require_signer(row, actor=actor)
    area = await areas.get_area(tx, area_id=row.area_id)
    who = await queries.called(tx, account_id=actor.id)
    _check(new, now=now, settings=area.settings)
    if row.state == "waiting" and new.outcome == "approved":
        await guard(tx, subjects=held_with(row))
    if row.state != "waiting" or not await _settle(
        tx, actor=actor, now=now, row=row, outcome=new.outcome
    ):
        raise _decided_already(row)
    no = new.outcome == "declined"
    await add_decision(
        tx,
        row=row,
        actor=actor,
        now=now,
        new=new,
        who=who,
        who_rings=(new.who_rings or who) if no else None,
    )
    return await read(tx, actor=actor, now=now, sign_off_id=sign_off_id)


async def my_wish(
    tx: WriteSession, *, actor: Actor, now: datetime, sign_off_id: UUID, new: NewWish
) -> SignOffOut:
    """Say, as the person, what one wants. The latest is shown beside the decision, all are kept.

    NotAllowed for anybody else, however well they mean it.
    """
    row = await visible(tx, sign_off_id=sign_off_id)
    if not row.mine:
        raise NotAllowed(
            rule="own-words",
            detail="What somebody wants is said by themselves.",
            who_can_change_it="The person.",
            what_else=["Ask them, and let them write it or say it."],
        )
    await tx.execute(
        insert(SignOffWish).values(
            id=new_id(),
            sign_off_id=sign_off_id,
            said_by=actor.id if actor.kind == "person" else None,
            words=new.words,
            at=now,
        )
    )
    await happened(tx, actor=actor, now=now, what="wished", sign_off_id=sign_off_id)
    return await read(tx, actor=actor, now=now, sign_off_id=sign_off_id)


def require_signer(row: queries.SignOffRow, *, actor: Person) -> None:
    """Raise NotAllowed unless the actor may decide this (the policies say the same)."""
    if row.may_sign:
        return
    if row.mine or actor.id == row.asked_by or actor.id in row.not_by:
        raise NotAllowed(
            rule="somebody-else-decides",
            detail="Nobody decides what is their own, what they asked for, or what they would be "
            "paid by.",
            who_can_change_it="Somebody else who may decide it.",
            what_else=["A manager of the area can decide it."],
        )
    raise NotAllowed(
        rule="signer-of-the-body",
        detail="This is decided by people of the body whose money it is, who work with the person.",
        who_can_change_it="The area's admin gives and takes roles.",
        what_else=["A manager of the area can decide it."],
    )


def held_with(row: queries.SignOffRow) -> list[Subject]:
    """Return what a stop may hold a yes by: the go-ahead, what it is for, the person."""
    return [
        Subject("sign_off", row.id),
        Subject(row.subject_type, row.subject_id),
        Subject("person", row.person_id),
    ]


async def add_decision(
    tx: WriteSession,
    *,
    row: queries.SignOffRow,
    actor: Person,
    now: datetime,
    new: NewDecision,
    who: str,
    who_rings: str | None = None,
) -> None:
    """Keep a decision for good, and tell the slice that asked, once this is committed."""
    await tx.execute(
        insert(SignOffDecision).values(
            id=new_id(),
            sign_off_id=row.id,
            outcome=new.outcome,
            ground=new.ground,
            words=new.words,
            who_can_change=new.who_can_change,
            who_rings=who_rings,
            rings_by=new.rings_by,
            decided_by=actor.id,
            decided_by_called=who,
            at=now,
        )
    )
    await happened(tx, actor=actor, now=now, what=new.outcome, sign_off_id=row.id)
    await outbox.enqueue(
        tx,
        task="decisions.decided",
        payload={
            "subject_type": row.subject_type,
            "subject_id": row.subject_id,
            "sign_off_id": row.id,
        },
        now=now,
    )


async def _settle(
    tx: WriteSession, *, actor: Person, now: datetime, row: queries.SignOffRow, outcome: Outcome
) -> bool:
    """Write the state, unless somebody else did at the same moment."""
    settled = await tx.execute(
        update(SignOff)
        .where(SignOff.id == row.id, SignOff.state == "waiting")
        .values(state=outcome, decided_at=now, decided_by=actor.id)
        .returning(SignOff.id)
    )
    return settled.scalar_one_or_none() is not None


def _check(new: NewDecision, *, now: datetime, settings: AreaSettings) -> None:
    """Raise Invalid for a no without its four parts, or a yes with them."""
    parts = {
        "ground": new.ground,
        "words": new.words,
        "who_can_change": new.who_can_change,
        "rings_by": new.rings_by,
    }
    if new.outcome == "declined":
        for field, value in parts.items():
            if value is None:
                raise invalid(
                    "a-no-says-why",
                    field,
                    "A no says on which ground, why in plain words, who can change it, and by "
                    "when somebody rings.",
                )
        latest = add_working_days(
            now,
            settings.sign_off_working_days,
            calendar=settings.calendar,
            time_zone=settings.time_zone,
        ).date()
        assert new.rings_by is not None, "one of the parts"
        if not now.date() <= new.rings_by <= latest:
            raise invalid(
                "rings-soon", "rings_by", f"Somebody rings today at the earliest, by {latest}."
            )
        return
    if any(parts[field] is not None for field in ("ground", "who_can_change", "rings_by")):
        raise invalid("a-yes-is-a-yes", "outcome", "A ground, a ring and a change belong to a no.")


def _decided_already(row: queries.SignOffRow) -> Conflict:
    return Conflict(
        rule="decided-already",
        detail="This is decided, or nobody asks for it any more.",
        who_can_change_it="The person can ask that somebody else looks again.",
        what_else=ways_on(cast(Body, row.body)),
    )
