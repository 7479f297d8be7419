"""Enquiries, their words and their event times."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from api.core.metadata import PERSONAL, Base, shared


class Enquiry(Base):
    """Something asked, and its clock. The words stand apart."""

    __tablename__ = "enquiries"
    __table_args__ = (
        Index("ix_enquiries_area_id_due_at", "area_id", "due_at"),
        Index("ix_enquiries_account_id", "account_id"),
        Index(
            "ix_enquiries_waiting",
            "due_at",
            postgresql_where=text("answered_at IS NULL AND overdue_at IS NULL"),
        ),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    area_id: Mapped[UUID] = mapped_column(ForeignKey("areas.id"), info=shared("row"))
    kind: Mapped[str] = mapped_column(Text, info=shared("asked"))
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    asked_at: Mapped[datetime] = mapped_column(info=shared("row"))
    due_at: Mapped[datetime] = mapped_column(info=shared("row"))
    seen_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    answered_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    overdue_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    about_type: Mapped[str | None] = mapped_column(Text, info=shared("asked"))
    about_id: Mapped[UUID | None] = mapped_column(info=shared("asked"))


class EnquiryMessage(Base):
    """What was asked, and what was answered. Never changed."""

    __tablename__ = "enquiry_messages"
    __table_args__ = (Index("ix_enquiry_messages_enquiry_id_id", "enquiry_id", "id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    enquiry_id: Mapped[UUID] = mapped_column(ForeignKey("enquiries.id"), info=shared("row"))
    by: Mapped[str] = mapped_column(Text, info=shared("row"))
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    words: Mapped[str] = mapped_column(Text, info=shared("asked"))
    at: Mapped[datetime] = mapped_column(info=shared("row"))


class EnquiryEvent(Base):
    """What happened when: later evaluation starts here. Only grows."""

    __tablename__ = "enquiry_events"
    __table_args__ = (Index("ix_enquiry_events_enquiry_id_id", "enquiry_id", "id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    enquiry_id: Mapped[UUID] = mapped_column(ForeignKey("enquiries.id"), info=shared("row"))
    what: Mapped[str] = mapped_column(Text, info=shared("row"))
    at: Mapped[datetime] = mapped_column(info=shared("row"))
    actor_kind: Mapped[str] = mapped_column(Text, info=shared("row"))
    actor_id: Mapped[UUID | None] = mapped_column(info=shared("row"))


class EnquiryLeadNote(Base):
    """That the adult at risk was asked and told, or why not (law.md 3). Never changed."""

    __tablename__ = "enquiry_lead_notes"
    __table_args__ = (Index("ix_enquiry_lead_notes_enquiry_id_id", "enquiry_id", "id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    enquiry_id: Mapped[UUID] = mapped_column(ForeignKey("enquiries.id"), info=shared("row"))
    step: Mapped[str] = mapped_column(Text, info=shared("lead"))
    words: Mapped[str | None] = mapped_column(Text, info=shared("lead"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    at: Mapped[datetime] = mapped_column(info=shared("row"))
