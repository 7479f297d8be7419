"""Go-aheads with wishes and decisions beside them, second looks, stops, and what happened when."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from api.core.metadata import PERSONAL, Base, shared

_WAITING = text("state = 'waiting'")
_HELD = text("lifted_at IS NULL")


class SignOff(Base):
    """A go-ahead that was asked for, and its clock. Its subject is a slice's above."""

    __tablename__ = "sign_offs"
    __table_args__ = (
        # By name: people stand above decisions.
        ForeignKeyConstraint(["person_id", "area_id"], ["people.id", "people.area_id"]),
        Index(
            "uq_sign_offs_waiting",
            "subject_type",
            "subject_id",
            unique=True,
            postgresql_where=_WAITING,
        ),
        Index("ix_sign_offs_subject_type_subject_id", "subject_type", "subject_id"),
        Index("ix_sign_offs_person_id_id", "person_id", "id"),
        Index("ix_sign_offs_asked_by", "asked_by"),
        Index("ix_sign_offs_area_id_due_at", "area_id", "due_at", postgresql_where=_WAITING),
        Index(
            "ix_sign_offs_unheard",
            "due_at",
            postgresql_where=text("state = 'waiting' AND escalated_at IS NULL"),
        ),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    subject_type: Mapped[str] = mapped_column(Text, info=shared("row"))
    subject_id: Mapped[UUID] = mapped_column(info=shared("row"))
    person_id: Mapped[UUID] = mapped_column(info=shared("row"))
    area_id: Mapped[UUID] = mapped_column(ForeignKey("areas.id"), info=shared("row"))
    body: Mapped[str] = mapped_column(Text, info=shared("row"))
    about: Mapped[dict[str, Any]] = mapped_column(info=shared("decided"))
    amount_pence: Mapped[int] = mapped_column(info=shared("decided"))
    not_by: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), info=shared("row"))
    asked_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    asked_at: Mapped[datetime] = mapped_column(info=shared("row"))
    due_at: Mapped[datetime] = mapped_column(info=shared("row"))
    state: Mapped[str] = mapped_column(Text, info=shared("row"))
    escalated_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    decided_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))


class SignOffWish(Base):
    """What the person wants, in their own words, beside the decision. All are kept."""

    __tablename__ = "sign_off_wishes"
    __table_args__ = (Index("ix_sign_off_wishes_sign_off_id_id", "sign_off_id", "id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    sign_off_id: Mapped[UUID] = mapped_column(ForeignKey("sign_offs.id"), info=shared("row"))
    said_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    words: Mapped[str] = mapped_column(Text, info=shared("decided"))
    at: Mapped[datetime] = mapped_column(info=shared("row"))


class SignOffDecision(Base):
    """One decision, with its ground and reason where it is a no. Never changed."""

    __tablename__ = "sign_off_decisions"
    __table_args__ = (
        UniqueConstraint(
            "id",
            "sign_off_id",
            "decided_by",
            name="uq_sign_off_decisions_id_sign_off_id_decided_by",
        ),
        Index("ix_sign_off_decisions_sign_off_id_id", "sign_off_id", "id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    sign_off_id: Mapped[UUID] = mapped_column(ForeignKey("sign_offs.id"), info=shared("row"))
    outcome: Mapped[str] = mapped_column(Text, info=shared("decided"))
    ground: Mapped[str | None] = mapped_column(Text, info=shared("decided"))
    words: Mapped[str | None] = mapped_column(Text, info=shared("decided"))
    who_can_change: Mapped[str | None] = mapped_column(Text, info=shared("decided"))
    who_rings: Mapped[str | None] = mapped_column(Text, info=shared("decided"))
    rings_by: Mapped[date | None] = mapped_column(info=shared("decided"))
    decided_by: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    decided_by_called: Mapped[str] = mapped_column(Text, info=shared("decided"))
    at: Mapped[datetime] = mapped_column(info=shared("row"))


class Challenge(Base):
    """Somebody asks that somebody else looks again, and what came of it."""

    __tablename__ = "challenges"
    __table_args__ = (
        ForeignKeyConstraint(
            ["decision_id", "sign_off_id", "challenged_decider"],
            [
                "sign_off_decisions.id",
                "sign_off_decisions.sign_off_id",
                "sign_off_decisions.decided_by",
            ],
            name="fk_challenges_decision_id_sign_off_id_challenged_decider",
        ),
        Index(
            "uq_challenges_open",
            "sign_off_id",
            unique=True,
            postgresql_where=text("outcome IS NULL"),
        ),
        Index("ix_challenges_sign_off_id_id", "sign_off_id", "id"),
        Index(
            "ix_challenges_unheard",
            "due_at",
            postgresql_where=text("outcome IS NULL AND escalated_at IS NULL"),
        ),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    sign_off_id: Mapped[UUID] = mapped_column(ForeignKey("sign_offs.id"), info=shared("row"))
    decision_id: Mapped[UUID] = mapped_column(info=shared("row"))
    challenged_decider: Mapped[UUID] = mapped_column(info=shared("row"))
    raised_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    words: Mapped[str] = mapped_column(Text, info=shared("decided"))
    raised_at: Mapped[datetime] = mapped_column(info=shared("row"))
    due_at: Mapped[datetime] = mapped_column(info=shared("row"))
    escalated_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    outcome: Mapped[str | None] = mapped_column(Text, info=shared("decided"))
    answer: Mapped[str | None] = mapped_column(Text, info=shared("decided"))
    decided_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    decided_by_called: Mapped[str | None] = mapped_column(Text, info=shared("decided"))
    decided_at: Mapped[datetime | None] = mapped_column(info=shared("row"))


class SafetyStop(Base):
    """A change held at once because somebody is worried. Silence keeps it held."""

    __tablename__ = "safety_stops"
    __table_args__ = (
        Index("ix_safety_stops_held", "subject_type", "subject_id", postgresql_where=_HELD),
        Index(
            "ix_safety_stops_area_id_reply_due_at",
            "area_id",
            "reply_due_at",
            postgresql_where=_HELD,
        ),
        Index("ix_safety_stops_raised_by_id", "raised_by", "id"),
        Index(
            "ix_safety_stops_unheard",
            "reply_due_at",
            postgresql_where=text("answered_at IS NULL AND escalated_at IS NULL"),
        ),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    subject_type: Mapped[str] = mapped_column(Text, info=shared("row"))
    subject_id: Mapped[UUID] = mapped_column(info=shared("row"))
    area_id: Mapped[UUID] = mapped_column(ForeignKey("areas.id"), info=shared("row"))
    ground: Mapped[str] = mapped_column(Text, info=shared("worry"))
    words: Mapped[str] = mapped_column(Text, info=shared("worry"))
    raised_by_kind: Mapped[str] = mapped_column(Text, info=shared("worry"))
    raised_by: Mapped[UUID] = mapped_column(info=shared("worry"))
    raised_at: Mapped[datetime] = mapped_column(info=shared("row"))
    reply_due_at: Mapped[datetime] = mapped_column(info=shared("row"))
    answered_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    escalated_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    lifted_at: Mapped[datetime | None] = mapped_column(info=shared("row"))


class SafetyStopAnswer(Base):
    """What somebody who protects people found: it stays held, or it is let go. Never changed."""

    __tablename__ = "safety_stop_answers"
    __table_args__ = (
        Index("ix_safety_stop_answers_stop_id_id", "stop_id", "id"),
        Index(
            "uq_safety_stop_answers_lifted",
            "stop_id",
            unique=True,
            postgresql_where=text("outcome = 'lifted'"),
        ),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    stop_id: Mapped[UUID] = mapped_column(ForeignKey("safety_stops.id"), info=shared("row"))
    outcome: Mapped[str] = mapped_column(Text, info=shared("worry"))
    words: Mapped[str] = mapped_column(Text, info=shared("worry"))
    answered_by: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    at: Mapped[datetime] = mapped_column(info=shared("row"))


class DecisionEvent(Base):
    """What happened to a go-ahead or a stop, and when. Only grows."""

    __tablename__ = "decision_events"
    __table_args__ = (
        Index("ix_decision_events_sign_off_id", "sign_off_id"),
        Index("ix_decision_events_stop_id", "stop_id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    sign_off_id: Mapped[UUID | None] = mapped_column(ForeignKey("sign_offs.id"), info=shared("row"))
    stop_id: Mapped[UUID | None] = mapped_column(ForeignKey("safety_stops.id"), info=shared("row"))
    what: Mapped[str] = mapped_column(Text, info=shared("row"))
    at: Mapped[datetime] = mapped_column(info=shared("row"))
    actor_kind: Mapped[str] = mapped_column(Text, info=shared("row"))
    actor_id: Mapped[UUID | None] = mapped_column(info=shared("row"))
