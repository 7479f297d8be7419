"""Vectors, match runs, suggestions with their history, and unmet wants."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Date,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from api.core.metadata import PERSONAL, Base, shared


class StatementVector(Base):
    """What a statement means, as 384 signed bytes of one model."""

    __tablename__ = "statement_vectors"
    __table_args__ = (Index("ix_statement_vectors_person_id", "person_id"), PERSONAL)

    statement_id: Mapped[UUID] = mapped_column(
        ForeignKey("statements.id"), primary_key=True, info=shared("row")
    )
    model_id: Mapped[str] = mapped_column(Text, primary_key=True, info=shared("row"))
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), info=shared("row"))
    vector: Mapped[bytes] = mapped_column(LargeBinary, info=shared("derived"))


class OfferVectors(Base):
    """What a listing means: its passages' vectors one after the other, 384 bytes each."""

    __tablename__ = "offer_vectors"
    __table_args__ = (PERSONAL,)

    listing_id: Mapped[UUID] = mapped_column(
        ForeignKey("listings.id"), primary_key=True, info=shared("row")
    )
    model_id: Mapped[str] = mapped_column(Text, primary_key=True, info=shared("row"))
    words_hash: Mapped[bytes] = mapped_column(LargeBinary, info=shared("derived"))
    vectors: Mapped[bytes] = mapped_column(LargeBinary, info=shared("derived"))


class MatchRun(Base):
    """One look for one person, so that it can be done again and compared."""

    __tablename__ = "match_runs"
    __table_args__ = (Index("ix_match_runs_person_id_id", "person_id", "id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), info=shared("row"))
    outbox_id: Mapped[UUID] = mapped_column(unique=True, info=shared("row"))
    model_id: Mapped[str] = mapped_column(Text, info=shared("row"))
    rule_version: Mapped[str] = mapped_column(Text, info=shared("row"))
    snapshot_hash: Mapped[bytes] = mapped_column(LargeBinary, info=shared("row"))
    looked_at: Mapped[int] = mapped_column(info=shared("row"))
    people_looked_at: Mapped[int] = mapped_column(info=shared("row"))
    suggested: Mapped[int] = mapped_column(info=shared("row"))
    unmet: Mapped[int] = mapped_column(info=shared("row"))
    at: Mapped[datetime] = mapped_column(info=shared("row"))


class SuggestionRow(Base):
    """One idea for one person, once for ever; its reasons are codes and ids, never words."""

    __tablename__ = "suggestions"
    __table_args__ = (
        UniqueConstraint("person_id", "listing_id"),
        Index("ix_suggestions_listing_id", "listing_id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), info=shared("row"))
    listing_id: Mapped[UUID] = mapped_column(ForeignKey("listings.id"), info=shared("row"))
    run_id: Mapped[UUID] = mapped_column(ForeignKey("match_runs.id"), info=shared("row"))
    state: Mapped[str] = mapped_column(Text, info=shared("row"))
    rank: Mapped[int] = mapped_column(SmallInteger, info=shared("derived"))
    points: Mapped[int] = mapped_column(info=shared("derived"))
    components: Mapped[dict[str, Any]] = mapped_column(info=shared("derived"))
    reasons: Mapped[list[Any]] = mapped_column(info=shared("story"))
    created_at: Mapped[datetime] = mapped_column(info=shared("row"))
    changed_at: Mapped[datetime] = mapped_column(info=shared("row"))


class SuggestionEvent(Base):
    """What became of a suggestion: who, when, and why where the person wished to say. Grows."""

    __tablename__ = "suggestion_events"
    __table_args__ = (
        Index("ix_suggestion_events_suggestion_id_id", "suggestion_id", "id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    suggestion_id: Mapped[UUID] = mapped_column(ForeignKey("suggestions.id"), info=shared("row"))
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), info=shared("row"))
    state: Mapped[str] = mapped_column(Text, info=shared("row"))
    why: Mapped[str | None] = mapped_column(Text, info=shared("self"))
    at: Mapped[datetime] = mapped_column(info=shared("row"))
    actor_kind: Mapped[str] = mapped_column(Text, info=shared("row"))
    actor_id: Mapped[UUID | None] = mapped_column(info=shared("row"))


class UnmetWant(Base):
    """A wish that nothing meets yet: typed, with a date for the next look (S25)."""

    __tablename__ = "unmet_wants"
    __table_args__ = (
        Index(
            "ix_unmet_wants_next_look_on",
            "next_look_on",
            postgresql_where=text("met_at IS NULL"),
        ),
        Index("ix_unmet_wants_person_id", "person_id"),
        PERSONAL,
    )

    statement_id: Mapped[UUID] = mapped_column(
        ForeignKey("statements.id"), primary_key=True, info=shared("row")
    )
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), info=shared("row"))
    kind: Mapped[str] = mapped_column(Text, info=shared("story"))
    counts: Mapped[dict[str, Any]] = mapped_column(info=shared("story"))
    run_id: Mapped[UUID] = mapped_column(ForeignKey("match_runs.id"), info=shared("row"))
    first_at: Mapped[datetime] = mapped_column(info=shared("row"))
    looked_at: Mapped[datetime] = mapped_column(info=shared("row"))
    next_look_on: Mapped[date] = mapped_column(Date, info=shared("row"))
    met_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
