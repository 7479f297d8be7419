"""People, what they say, what they have confirmed, and their practicalities."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from api.core.metadata import PERSONAL, Base, shared


class Person(Base):
    """Somebody with a story. No account, diagnosis or eligibility is needed."""

    __tablename__ = "people"
    __table_args__ = (
        UniqueConstraint("id", "area_id"),
        Index("ix_people_area_id", "area_id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    account_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("accounts.id"), unique=True, info=shared("row")
    )
    area_id: Mapped[UUID] = mapped_column(ForeignKey("areas.id"), info=shared("row"))
    called: Mapped[str] = mapped_column(Text, info=shared("row"))
    outward: Mapped[str | None] = mapped_column(Text, info=shared("row"))
    sector: Mapped[str | None] = mapped_column(Text, info=shared("row"))
    town: Mapped[str | None] = mapped_column(Text, info=shared("row"))
    easting: Mapped[int | None] = mapped_column(info=shared("row"))
    northing: Mapped[int | None] = mapped_column(info=shared("row"))
    not_asked_until: Mapped[datetime | None] = mapped_column(info=shared("row"))
    version: Mapped[int] = mapped_column(info=shared("row"))
    created_at: Mapped[datetime] = mapped_column(info=shared("row"))


class Practicalities(Base):
    """When a person is free, how far they travel, what they can spend. Empty means: not said."""

    __tablename__ = "practicalities"
    __table_args__ = (PERSONAL,)

    person_id: Mapped[UUID] = mapped_column(
        ForeignKey("people.id"), primary_key=True, info=shared("row")
    )
    free_times: Mapped[int | None] = mapped_column(info=shared("story"))
    travel_limit_metres: Mapped[int | None] = mapped_column(info=shared("story"))
    spend_limit_pence: Mapped[int | None] = mapped_column(info=shared("story"))
    matching_wanted: Mapped[bool] = mapped_column(server_default=text("true"), info=shared("row"))
    homes_wanted: Mapped[bool] = mapped_column(server_default=text("false"), info=shared("story"))


class Statement(Base):
    """One thing a person says, in their words. A change makes a new version; none is edited."""

    __tablename__ = "statements"
    __table_args__ = (Index("ix_statements_person_id_id", "person_id", "id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), info=shared("row"))
    kind: Mapped[str] = mapped_column(Text, info=shared("story"))
    words: Mapped[str] = mapped_column(Text, info=shared("story"))
    version: Mapped[int] = mapped_column(info=shared("row"))
    replaces_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("statements.id"), unique=True, info=shared("row")
    )
    created_at: Mapped[datetime] = mapped_column(info=shared("row"))
    ended_at: Mapped[datetime | None] = mapped_column(info=shared("row"))


class StatementFact(Base):
    """What a person has confirmed about something they avoid or need: yes, no or unknown."""

    __tablename__ = "statement_facts"
    __table_args__ = (
        CheckConstraint("wanted IN ('yes', 'no', 'unknown')", name="wanted"),
        Index("ix_statement_facts_person_id", "person_id"),
        PERSONAL,
    )

    statement_id: Mapped[UUID] = mapped_column(
        ForeignKey("statements.id"), primary_key=True, info=shared("row")
    )
    fact: Mapped[str] = mapped_column(Text, primary_key=True, info=shared("story"))
    person_id: Mapped[UUID] = mapped_column(ForeignKey("people.id"), info=shared("row"))
    wanted: Mapped[str] = mapped_column(Text, info=shared("story"))
    confirmed_at: Mapped[datetime] = mapped_column(info=shared("row"))
