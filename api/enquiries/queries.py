"""Reads of enquiries. Row-level policies decide which rows come back."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Boolean, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from api.areas.models import Area
from api.enquiries.models import Enquiry, EnquiryEvent, EnquiryLeadNote, EnquiryMessage


class EnquiryRow(NamedTuple):
    """An enquiry with its area's slug."""

    id: UUID
    area_id: UUID
    area: str
    kind: str
    asked_at: datetime
    due_at: datetime
    seen_at: datetime | None
    answered_at: datetime | None
    overdue_at: datetime | None
    account_id: UUID | None
    about_type: str | None
    about_id: UUID | None
    protects: bool


_SELECT = select(
    Enquiry.id,
    Enquiry.area_id,
    Area.slug,
    Enquiry.kind,
    Enquiry.asked_at,
    Enquiry.due_at,
    Enquiry.seen_at,
    Enquiry.answered_at,
    Enquiry.overdue_at,
    Enquiry.account_id,
    Enquiry.about_type,
    Enquiry.about_id,
    literal_column("enquiries.area_id = ANY (ARRAY(SELECT app_safeguarding_areas()))", Boolean()),
).join(Area, Area.id == Enquiry.area_id)


async def one(tx: AsyncSession, *, enquiry_id: UUID) -> EnquiryRow | None:
    """Return one enquiry, locked, or None when there is none that the actor may see."""
    statement = _SELECT.where(Enquiry.id == enquiry_id).with_for_update(of=Enquiry)
    row = (await tx.execute(statement)).one_or_none()
    return EnquiryRow._make(row) if row is not None else None


async def waiting(
    tx: AsyncSession, *, area_ids: list[UUID], after: tuple[datetime, UUID] | None, limit: int
) -> list[EnquiryRow]:
    """Return unanswered enquiries of areas that the actor may see, the soonest due first."""
    statement = _SELECT.where(Enquiry.answered_at.is_(None), Enquiry.area_id.in_(area_ids))
    if after is not None:
        statement = statement.where(tuple_(Enquiry.due_at, Enquiry.id) > tuple_(*after))
    rows = await tx.execute(statement.order_by(Enquiry.due_at, Enquiry.id).limit(limit))
    return [EnquiryRow._make(row) for row in rows]


async def messages(tx: AsyncSession, *, enquiry_id: UUID) -> list[EnquiryMessage]:
    """Return what was said, in order."""
    found = await tx.scalars(
        select(EnquiryMessage)
        .where(EnquiryMessage.enquiry_id == enquiry_id)
        .order_by(EnquiryMessage.id)
    )
    return list(found)


async def events(tx: AsyncSession, *, enquiry_id: UUID) -> list[EnquiryEvent]:
    """Return what happened, in order."""
    found = await tx.scalars(
        select(EnquiryEvent).where(EnquiryEvent.enquiry_id == enquiry_id).order_by(EnquiryEvent.id)
    )
    return list(found)


async def lead_notes(tx: AsyncSession, *, enquiry_id: UUID) -> list[EnquiryLeadNote]:
    """Return what was done for the adult at risk, in order, to whoever may know."""
    found = await tx.scalars(
        select(EnquiryLeadNote)
        .where(EnquiryLeadNote.enquiry_id == enquiry_id)
        .order_by(EnquiryLeadNote.id)
    )
    return list(found)
