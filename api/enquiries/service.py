"""Asking, and being answered by a person in time (S14)."""

from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import insert, select, update

from api.areas import service as areas
from api.core import audit, db, pagination
from api.core.db import ActorContext, WriteSession
from api.core.errors import RefusedRead, not_found
from api.core.ids import new_id
from api.decisions.rules import AboutType
from api.enquiries import queries
from api.enquiries.models import Enquiry, EnquiryEvent, EnquiryMessage
from api.enquiries.rules import DO_NOW, WHO_READS, Kind, LeadStep, due_at
from api.enquiries.schemas import (
    About,
    EnquiryAsked,
    EnquiryLine,
    EnquiryList,
    EnquiryOut,
    EventOut,
    LeadNoteOut,
    MessageOut,
    NewAnswer,
    NewEnquiry,
)
from api.identity import service as identity
from api.identity.rules import FRONT_DOOR, Actor, CodeHolder, Person
from api.people.rules import ALWAYS_OPEN

A_PAGE = 50
SWEEP_AT_ONCE = 500


async def ask(tx: WriteSession, *, actor: Actor, now: datetime, new: NewEnquiry) -> EnquiryAsked:
    """Take in what somebody asks; the clock starts. Never refused for a missing strength.

    The words go in under the code that is made here, so that a worry about safety which was
    raised from a shared account is not shown to that account (law.md 3).
    """
    area = await areas.area_named(tx, slug=new.area)
    enquiry_id = new_id()
    due = due_at(new.kind, asked_at=now, settings=area.settings)
    await tx.execute(
        insert(Enquiry).values(
            id=enquiry_id,
            area_id=area.id,
            kind=new.kind,
            account_id=actor.id if actor.kind == "person" else None,
            asked_at=now,
            due_at=due,
            about_type=new.about.type if new.about is not None else None,
            about_id=new.about.id if new.about is not None else None,
        )
    )
    holder = _holder(enquiry_id)
    await db.tell(tx, actor=holder, now=now)
    await _add_message(
        tx, enquiry_id=enquiry_id, by="asker", actor=holder, now=now, words=new.words
    )
    await _happened(tx, enquiry_id=enquiry_id, what="asked", actor=holder, now=now)
    code = await identity.issue_code(tx, now=now, subject_type="enquiry", subject_id=enquiry_id)
    await audit.record(
        tx,
        actor=holder,
        now=now,
        action="enquiry.asked",
        subject_type="enquiry",
        subject_id=enquiry_id,
    )
    return EnquiryAsked(
        id=enquiry_id,
        code=code,
        front_door=area.settings.front_door_name,
        asked_at=now,
        due_at=due,
        who_reads_this=WHO_READS,
        do_now=DO_NOW.get(new.kind, []),
        always_open=list(ALWAYS_OPEN),
    )


async def ask_again(tx: WriteSession, first: EnquiryAsked, *, now: datetime) -> EnquiryAsked:
    """Answer a repeated asking: the same enquiry, with one more code to it."""
    await db.tell(tx, actor=_holder(first.id), now=now)
    first.code = await identity.issue_code(tx, now=now, subject_type="enquiry", subject_id=first.id)
    await audit.record(
        tx,
        actor=_holder(first.id),
        now=now,
        action="code.renewed",
        subject_type="enquiry",
        subject_id=first.id,
    )
    return first


async def waiting(tx: WriteSession, *, actor: Person, cursor: str | None) -> EnquiryList:
    """Return what waits at the front doors where the actor works, the soonest due first."""
    after = pagination.decode(cursor, tuple[datetime, UUID]) if cursor is not None else None
    area_ids = sorted({held.area_id for held in actor.roles if held.role in FRONT_DOOR})
    rows = await queries.waiting(tx, area_ids=area_ids, after=after, limit=A_PAGE + 1)
    page = rows[:A_PAGE]
    last = page[-1] if len(rows) > A_PAGE else None
    return EnquiryList(
        items=[
            EnquiryLine(
                id=row.id,
                kind=cast(Kind, row.kind),
                area=row.area,
                asked_at=row.asked_at,
                due_at=row.due_at,
                answered_at=row.answered_at,
                overdue=row.overdue_at is not None,
            )
            for row in page
        ],
        next=pagination.encode((last.due_at, last.id)) if last is not None else None,
    )


async def read(tx: WriteSession, *, actor: Actor, now: datetime, enquiry_id: UUID) -> EnquiryOut:
    """Return one enquiry with its words and times; the front door's first look is an event."""
    row = await visible(tx, enquiry_id=enquiry_id)
    if _is_front_door(actor, row):
        row = await _seen(tx, row, actor=actor, now=now)
    await audit.receipt(tx, actor=actor, now=now, about_id=enquiry_id, what="enquiry")
    return EnquiryOut(
        id=row.id,
        kind=cast(Kind, row.kind),
        area=row.area,
        asked_at=row.asked_at,
        due_at=row.due_at,
        seen_at=row.seen_at,
        answered_at=row.answered_at,
        overdue=row.overdue_at is not None,
        about=_about(row),
        messages=[
            MessageOut(by=message.by, at=message.at, words=message.words)
            for message in await queries.messages(tx, enquiry_id=enquiry_id)
        ],
        events=[
            EventOut(what=event.what, at=event.at)
            for event in await queries.events(tx, enquiry_id=enquiry_id)
        ],
        lead_notes=[
            LeadNoteOut(step=cast(LeadStep, note.step), words=note.words, at=note.at)
            for note in await queries.lead_notes(tx, enquiry_id=enquiry_id)
        ],
    )


async def answer(
    tx: WriteSession, *, actor: Actor, now: datetime, enquiry_id: UUID, new: NewAnswer
) -> EnquiryOut:
    """Answer as the front door, which stops the clock; or add a word as whoever asked."""
    row = await visible(tx, enquiry_id=enquiry_id)
    front_door = _is_front_door(actor, row)
    if front_door:
        row = await _seen(tx, row, actor=actor, now=now)
    await _add_message(
        tx,
        enquiry_id=enquiry_id,
        by="front_door" if front_door else "asker",
        actor=actor,
        now=now,
        words=new.words,
    )
    if front_door and row.answered_at is None:
        await tx.execute(update(Enquiry).where(Enquiry.id == enquiry_id).values(answered_at=now))
    what = "answered" if front_door else "asked_more"
    await _happened(tx, enquiry_id=enquiry_id, what=what, actor=actor, now=now)
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action=f"enquiry.{what}",
        subject_type="enquiry",
        subject_id=enquiry_id,
    )
    return await read(tx, actor=actor, now=now, enquiry_id=enquiry_id)


async def sweep_overdue(tx: WriteSession, *, actor: ActorContext, now: datetime) -> int:
    """Mark what was not answered in time; return how many. Silence goes up, never away."""
    late = list(
        await tx.scalars(
            select(Enquiry.id)
            .where(
                Enquiry.due_at < now, Enquiry.answered_at.is_(None), Enquiry.overdue_at.is_(None)
            )
            .order_by(Enquiry.due_at)
            .limit(SWEEP_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
    )
    for enquiry_id in late:
        await tx.execute(update(Enquiry).where(Enquiry.id == enquiry_id).values(overdue_at=now))
        await _happened(tx, enquiry_id=enquiry_id, what="overdue", actor=actor, now=now)
    return len(late)


async def answer_again(tx: WriteSession, first: EnquiryOut, *, enquiry_id: UUID) -> EnquiryOut:
    """Give the first answer again, to whoever may still see the enquiry."""
    await visible(tx, enquiry_id=enquiry_id)
    return first


def _about(row: queries.EnquiryRow) -> About | None:
    if row.about_type is None or row.about_id is None:
        return None
    return About(type=cast(AboutType, row.about_type), id=row.about_id)


def _is_front_door(actor: Actor, row: queries.EnquiryRow) -> bool:
    """Return whether the actor answers here. Nobody is the front door of their own question."""
    if isinstance(actor, Person) and actor.id == row.account_id:
        return False
    return actor.has_role(*FRONT_DOOR, area=row.area)


async def _seen(
    tx: WriteSession, row: queries.EnquiryRow, *, actor: Actor, now: datetime
) -> queries.EnquiryRow:
    """Note the front door's first look, once."""
    if row.seen_at is not None:
        return row
    await tx.execute(update(Enquiry).where(Enquiry.id == row.id).values(seen_at=now))
    await _happened(tx, enquiry_id=row.id, what="seen", actor=actor, now=now)
    return row._replace(seen_at=now)


def _holder(enquiry_id: UUID) -> CodeHolder:
    return CodeHolder("enquiry", enquiry_id, session_id=enquiry_id)


async def visible(tx: WriteSession, *, enquiry_id: UUID) -> queries.EnquiryRow:
    """Return an enquiry that the actor may see, locked; NotFound otherwise."""
    row = await queries.one(tx, enquiry_id=enquiry_id)
    if row is None:
        raise not_found("enquiry", leaves=RefusedRead(about_id=enquiry_id, what="enquiry"))
    return row


async def _add_message(
    tx: WriteSession, *, enquiry_id: UUID, by: str, actor: Actor, now: datetime, words: str
) -> None:
    await tx.execute(
        insert(EnquiryMessage).values(
            id=new_id(),
            enquiry_id=enquiry_id,
            by=by,
            account_id=actor.id if actor.kind == "person" else None,
            words=words,
            at=now,
        )
    )


async def _happened(
    tx: WriteSession, *, enquiry_id: UUID, what: str, actor: ActorContext, now: datetime
) -> None:
    await tx.execute(
        insert(EnquiryEvent).values(
            id=new_id(),
            enquiry_id=enquiry_id,
            what=what,
            at=now,
            actor_kind=actor.kind,
            actor_id=actor.id,
        )
    )
