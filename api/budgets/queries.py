"""Reads of budgets. Row-level policies decide which rows come back."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.budgets.models import (
    Budget,
    BudgetAuthority,
    BudgetEvent,
    BudgetPurpose,
    Funder,
    FunderRule,
    Payment,
)
from api.budgets.rules import Authority, Body, Kind, State
from api.budgets.rules import FunderRule as Rule
from api.people.models import Person

EVENTS_SHOWN = 100


class FunderRow(NamedTuple):
    """A funder without its rules."""

    id: UUID
    area_id: UUID
    body: Body
    name: str
    version: int


class BudgetRow(NamedTuple):
    """A budget's own row, with the name of its funder."""

    id: UUID
    person_id: UUID
    kind: Kind
    funder: str | None
    account_id: UUID
    state: State
    pays_net_or_gross: str | None
    starts_on: date
    ends_on: date | None
    version: int


class AuthorityRow(NamedTuple):
    """A right that stands."""

    id: UUID
    account_id: UUID
    authority: Authority
    may: list[str]
    in_place_of_person: bool
    from_at: datetime
    until_at: datetime | None


class PaymentRead(NamedTuple):
    """A payment, with whose money it is and what it was taken from."""

    id: UUID
    budget_id: UUID
    person_id: UUID
    amount_pence: int
    payee_key: str
    payee_called: str
    payee_account_id: UUID | None
    purpose: str
    state: str
    reference: str
    from_account_id: UUID
    transfer_id: UUID
    instructed_at: datetime
    instructed_by: UUID | None
    paid_on: date | None
    source_key: str
    for_type: str
    for_id: UUID


_FUNDER = select(Funder.id, Funder.area_id, Funder.body, Funder.name, Funder.version)
_PAYMENT = select(
    Payment.id,
    Payment.budget_id,
    Budget.person_id,
    Payment.amount_pence,
    Payment.payee_key,
    Payment.payee_called,
    Payment.payee_account_id,
    Payment.purpose,
    Payment.state,
    Payment.reference,
    Payment.from_account_id,
    Payment.transfer_id,
    Payment.instructed_at,
    Payment.instructed_by,
    Payment.paid_on,
    Budget.source_key,
    Payment.for_type,
    Payment.for_id,
).join(Budget, Budget.id == Payment.budget_id)

_MINE = (
    "budgets.id = ANY (ARRAY(SELECT app_budgets_as('see')))"
    " OR (app_actor_kind() = 'person' AND budgets.holder_account_id = app_actor_id())"
)


async def funder(tx: AsyncSession, *, funder_id: UUID, lock: bool = False) -> FunderRow | None:
    """Return one funder, or None; locked where asked for."""
    statement = _FUNDER.where(Funder.id == funder_id)
    if lock:
        statement = statement.with_for_update()
    row = (await tx.execute(statement)).one_or_none()
    return FunderRow._make(row) if row is not None else None


async def funders(tx: AsyncSession, *, area_id: UUID) -> list[FunderRow]:
    """Return the funders of an area by name."""
    rows = await tx.execute(_FUNDER.where(Funder.area_id == area_id).order_by(Funder.name))
    return [FunderRow._make(row) for row in rows]


async def rules(tx: AsyncSession, *, funder_ids: Sequence[UUID]) -> dict[UUID, list[Rule]]:
    """Return the rules that stand, by funder."""
    found = await tx.scalars(
        select(FunderRule)
        .where(FunderRule.funder_id.in_(funder_ids), FunderRule.ended_at.is_(None))
        .order_by(FunderRule.code)
    )
    by_funder: dict[UUID, list[Rule]] = {}
    for one in found:
        rule = Rule(
            code=one.code, params=one.params, words=one.words, who_can_change=one.who_can_change
        )
        by_funder.setdefault(one.funder_id, []).append(rule)
    return by_funder


async def own_area(tx: AsyncSession, *, person_id: UUID) -> UUID | None:
    """Return the area of a person for whom the actor speaks, or None."""
    mine = text("people.id = ANY (ARRAY(SELECT app_speaking_people()))")
    found = await tx.execute(select(Person.area_id).where(Person.id == person_id, mine))
    return found.scalar_one_or_none()


async def is_own(tx: AsyncSession, *, budget_id: UUID) -> bool:
    """Return whether it is the actor's own money, and nobody decides in their place."""
    mine = text("budgets.id = ANY (ARRAY(SELECT app_budgets_own()))")
    found = await tx.execute(select(Budget.id).where(Budget.id == budget_id, mine))
    return found.scalar_one_or_none() is not None


async def is_holder(tx: AsyncSession, *, budget_id: UUID, actor_id: UUID | None) -> bool:
    """Return whether the actor is whoever holds the money of a budget."""
    found = await tx.execute(
        select(Budget.id).where(Budget.id == budget_id, Budget.holder_account_id == actor_id)
    )
    return actor_id is not None and found.scalar_one_or_none() is not None


async def lock(tx: AsyncSession, *, budget_id: UUID) -> None:
    """Lock a budget's own row, where the actor may change it."""
    await tx.execute(select(Budget.id).where(Budget.id == budget_id).with_for_update())


async def budgets(
    tx: AsyncSession,
    *,
    budget_id: UUID | None = None,
    person_id: UUID | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[BudgetRow]:
    """Return one budget, a person's, or those that the actor has to do with; by id."""
    statement = select(
        Budget.id,
        Budget.person_id,
        Budget.kind,
        Funder.name,
        Budget.account_id,
        Budget.state,
        Budget.pays_net_or_gross,
        Budget.starts_on,
        Budget.ends_on,
        Budget.version,
    ).outerjoin(Funder, Funder.id == Budget.funder_id)
    if budget_id is not None:
        statement = statement.where(Budget.id == budget_id)
    elif person_id is not None:
        statement = statement.where(Budget.person_id == person_id)
    else:
        statement = statement.where(text(f"({_MINE})"))
    if after is not None:
        statement = statement.where(Budget.id > after)
    rows = await tx.execute(statement.order_by(Budget.id).limit(limit))
    return [BudgetRow._make(row) for row in rows]


async def purposes(tx: AsyncSession, *, budget_id: UUID) -> list[BudgetPurpose]:
    """Return what a budget is for, by code; what has run out by itself too."""
    found = await tx.scalars(
        select(BudgetPurpose)
        .where(BudgetPurpose.budget_id == budget_id, BudgetPurpose.ended_at.is_(None))
        .order_by(BudgetPurpose.code, BudgetPurpose.id)
    )
    return list(found)


async def authorities(tx: AsyncSession, *, budget_id: UUID, now: datetime) -> list[AuthorityRow]:
    """Return the rights that stand now, the oldest first."""
    rows = await tx.execute(
        select(
            BudgetAuthority.id,
            BudgetAuthority.account_id,
            BudgetAuthority.authority,
            BudgetAuthority.may,
            BudgetAuthority.in_place_of_person,
            BudgetAuthority.from_at,
            BudgetAuthority.until_at,
        )
        .where(
            BudgetAuthority.budget_id == budget_id,
            BudgetAuthority.ended_at.is_(None),
            or_(BudgetAuthority.until_at.is_(None), BudgetAuthority.until_at > now),
        )
        .order_by(BudgetAuthority.id)
    )
    return [AuthorityRow._make(row) for row in rows]


async def events(tx: AsyncSession, *, budget_id: UUID) -> list[BudgetEvent]:
    """Return what happened to a budget lately, the newest first."""
    found = await tx.scalars(
        select(BudgetEvent)
        .where(BudgetEvent.budget_id == budget_id)
        .order_by(BudgetEvent.id.desc())
        .limit(EVENTS_SHOWN)
    )
    return list(found)


async def payees(tx: AsyncSession, *, budget_id: UUID, keys: Sequence[str]) -> dict[str, str]:
    """Return what the payees of a budget are called, by key."""
    rows = await tx.execute(
        select(Payment.payee_key, Payment.payee_called)
        .where(Payment.budget_id == budget_id, Payment.payee_key.in_(keys))
        .order_by(Payment.id)
    )
    return {row[0]: row[1] for row in rows}


async def payments(
    tx: AsyncSession, *, area_id: UUID, state: str | None, after: UUID | None, limit: int
) -> list[PaymentRead]:
    """Return payments of an area that the actor may see, the oldest first."""
    statement = _PAYMENT.where(Payment.area_id == area_id)
    if state is not None:
        statement = statement.where(Payment.state == state)
    if after is not None:
        statement = statement.where(Payment.id > after)
    rows = await tx.execute(statement.order_by(Payment.id).limit(limit))
    return [PaymentRead._make(row) for row in rows]


async def to_confirm(tx: AsyncSession, *, references: Sequence[str]) -> dict[str, PaymentRead]:
    """Return, locked in one order, the payments that the actor may confirm, by reference."""
    rows = await tx.execute(
        _PAYMENT.where(Payment.reference.in_(references))
        .order_by(Payment.id)
        .with_for_update(of=Payment)
    )
    return {row.reference: PaymentRead._make(row) for row in rows}


async def waiting(tx: AsyncSession, *, for_type: str, for_id: UUID) -> int:
    """Return how many payments for something wait for their holder's word."""
    found = select(func.count()).where(
        Payment.for_type == for_type, Payment.for_id == for_id, Payment.state == "instructed"
    )
    return int((await tx.execute(found)).scalar_one())


async def failed(tx: AsyncSession, *, for_type: str, for_id: UUID) -> list[Payment]:
    """Return the payments for something that their holder said had failed, the first first.

    Without whose money it is: a task that asks sees payments, and no budget.
    """
    found = select(Payment).where(
        Payment.for_type == for_type, Payment.for_id == for_id, Payment.state == "failed"
    )
    return list(await tx.scalars(found.order_by(Payment.id)))


async def references(tx: AsyncSession, *, transfer_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the references of payments by the transfer that they stand for."""
    rows = await tx.execute(
        select(Payment.transfer_id, Payment.reference).where(Payment.transfer_id.in_(transfer_ids))
    )
    return {row[0]: row[1] for row in rows}
