"""Funders and their rules, budgets with purposes, authorities and events, and payments."""

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
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from api.core.metadata import NOT_PERSONAL, PERSONAL, Base, shared


class Funder(Base):
    """Who gives money in an area: a council, a part of the NHS, a charity."""

    __tablename__ = "funders"
    __table_args__ = (
        UniqueConstraint("area_id", "name"),
        UniqueConstraint("id", "area_id"),
        NOT_PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    area_id: Mapped[UUID] = mapped_column(ForeignKey("areas.id"))
    body: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    created_at: Mapped[datetime]


class FunderRule(Base):
    """One rule of a funder, while it stands. Replaced as a set; none is edited."""

    __tablename__ = "funder_rules"
    __table_args__ = (
        Index(
            "uq_funder_rules_standing",
            "funder_id",
            "code",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        NOT_PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    funder_id: Mapped[UUID] = mapped_column(ForeignKey("funders.id"))
    code: Mapped[str] = mapped_column(Text)
    params: Mapped[dict[str, Any]]
    words: Mapped[str] = mapped_column(Text)
    who_can_change: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    from_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Budget(Base):
    """Money for one person out of one source; where it stands is in the ledger."""

    __tablename__ = "budgets"
    __table_args__ = (
        ForeignKeyConstraint(["person_id", "area_id"], ["people.id", "people.area_id"]),
        ForeignKeyConstraint(["funder_id", "area_id"], ["funders.id", "funders.area_id"]),
        Index("ix_budgets_person_id", "person_id"),
        Index("ix_budgets_area_id", "area_id"),
        Index("ix_budgets_holder_account_id", "holder_account_id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    person_id: Mapped[UUID] = mapped_column(info=shared("row"))
    area_id: Mapped[UUID] = mapped_column(ForeignKey("areas.id"), info=shared("row"))
    kind: Mapped[str] = mapped_column(Text, info=shared("money"))
    funder_id: Mapped[UUID | None] = mapped_column(info=shared("money"))
    holder_called: Mapped[str] = mapped_column(Text, info=shared("money"))
    holder_account_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("accounts.id"), info=shared("row")
    )
    pays_net_or_gross: Mapped[str | None] = mapped_column(Text, info=shared("money"))
    pooling_authority_at: Mapped[datetime | None] = mapped_column(info=shared("money"))
    account_id: Mapped[UUID] = mapped_column(info=shared("row"))
    source_account_id: Mapped[UUID] = mapped_column(info=shared("row"))
    source_key: Mapped[str] = mapped_column(Text, unique=True, info=shared("row"))
    state: Mapped[str] = mapped_column(Text, info=shared("money"))
    starts_on: Mapped[date] = mapped_column(info=shared("money"))
    ends_on: Mapped[date | None] = mapped_column(info=shared("money"))
    version: Mapped[int] = mapped_column(info=shared("row"))
    created_at: Mapped[datetime] = mapped_column(info=shared("row"))


class BudgetPurpose(Base):
    """What the plan says the money is for. Only its end is ever added."""

    __tablename__ = "budget_purposes"
    __table_args__ = (Index("ix_budget_purposes_budget_id", "budget_id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    budget_id: Mapped[UUID] = mapped_column(ForeignKey("budgets.id"), info=shared("row"))
    code: Mapped[str] = mapped_column(Text, info=shared("money"))
    words: Mapped[str] = mapped_column(Text, info=shared("money"))
    from_at: Mapped[datetime] = mapped_column(info=shared("row"))
    until_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    ended_at: Mapped[datetime | None] = mapped_column(info=shared("row"))


class BudgetAuthority(Base):
    """Who may act for this money, by what authority, until when. Only its end is ever added."""

    __tablename__ = "budget_authorities"
    __table_args__ = (
        Index("ix_budget_authorities_budget_id", "budget_id"),
        Index("ix_budget_authorities_account_id", "account_id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    budget_id: Mapped[UUID] = mapped_column(ForeignKey("budgets.id"), info=shared("row"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), info=shared("row"))
    authority: Mapped[str] = mapped_column(Text, info=shared("money"))
    may: Mapped[list[str]] = mapped_column(ARRAY(Text), info=shared("money"))
    in_place_of_person: Mapped[bool] = mapped_column(info=shared("money"))
    from_at: Mapped[datetime] = mapped_column(info=shared("row"))
    until_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    ended_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    given_by: Mapped[UUID | None] = mapped_column(info=shared("row"))


class BudgetEvent(Base):
    """What happened to a budget, with the notice that was given. Only grows."""

    __tablename__ = "budget_events"
    __table_args__ = (Index("ix_budget_events_budget_id_id", "budget_id", "id"), PERSONAL)

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    budget_id: Mapped[UUID] = mapped_column(ForeignKey("budgets.id"), info=shared("row"))
    what: Mapped[str] = mapped_column(Text, info=shared("money"))
    reason: Mapped[str | None] = mapped_column(Text, info=shared("money"))
    words: Mapped[str | None] = mapped_column(Text, info=shared("money"))
    bridge: Mapped[str | None] = mapped_column(Text, info=shared("money"))
    amount_pence: Mapped[int | None] = mapped_column(info=shared("money"))
    at: Mapped[datetime] = mapped_column(info=shared("row"))
    actor_kind: Mapped[str] = mapped_column(Text, info=shared("row"))
    actor_id: Mapped[UUID | None] = mapped_column(info=shared("row"))


class Payment(Base):
    """Money on its way to a payee: paid in the books, and waiting for its holder's word."""

    __tablename__ = "payments"
    __table_args__ = (
        Index("ix_payments_area_id_state_id", "area_id", "state", "id"),
        Index("ix_payments_budget_id", "budget_id"),
        Index("ix_payments_for_id", "for_id"),
        PERSONAL,
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, info=shared("row"))
    area_id: Mapped[UUID] = mapped_column(ForeignKey("areas.id"), info=shared("row"))
    budget_id: Mapped[UUID] = mapped_column(ForeignKey("budgets.id"), info=shared("row"))
    amount_pence: Mapped[int] = mapped_column(info=shared("money"))
    payee_key: Mapped[str] = mapped_column(Text, info=shared("row"))
    payee_called: Mapped[str] = mapped_column(Text, info=shared("money"))
    payee_account_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("accounts.id"), info=shared("row")
    )
    for_type: Mapped[str] = mapped_column(Text, info=shared("row"))
    for_id: Mapped[UUID] = mapped_column(info=shared("row"))
    purpose: Mapped[str] = mapped_column(Text, info=shared("money"))
    state: Mapped[str] = mapped_column(Text, info=shared("row"))
    reference: Mapped[str] = mapped_column(Text, unique=True, info=shared("row"))
    from_account_id: Mapped[UUID] = mapped_column(info=shared("row"))
    transfer_id: Mapped[UUID] = mapped_column(unique=True, info=shared("row"))
    settled_transfer_id: Mapped[UUID | None] = mapped_column(info=shared("row"))
    instructed_at: Mapped[datetime] = mapped_column(info=shared("row"))
    instructed_by: Mapped[UUID | None] = mapped_column(info=shared("row"))
    paid_on: Mapped[date | None] = mapped_column(info=shared("money"))
    confirmed_at: Mapped[datetime | None] = mapped_column(info=shared("row"))
    confirmed_by: Mapped[UUID | None] = mapped_column(info=shared("row"))
