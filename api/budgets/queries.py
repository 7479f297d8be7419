"""Reads of budgets. Row-level policies decide which rows come back."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.budgets.models import Budget, Funder
from api.budgets.rules import Body
from api.people.models import Person


class FunderRow(NamedTuple):
    """A funder without its rules."""

    id: UUID
    area_id: UUID
    body: Body
    name: str
    version: int


_FUNDER = select(Funder.id, Funder.area_id, Funder.body, Funder.name, Funder.version)


async def funder(tx: AsyncSession, *, funder_id: UUID, lock: bool = False) -> FunderRow | None:
    """Return one funder, or None; locked where asked for."""
    statement = _FUNDER.where(Funder.id == funder_id)
    if lock:
        statement = statement.with_for_update()
    row = (await tx.execute(statement)).one_or_none()
    return FunderRow._make(row) if row is not None else None


async def own_area(tx: AsyncSession, *, person_id: UUID) -> UUID | None:
    """Return the area of a person for whom the actor speaks, or None."""
    mine = text("people.id = ANY (ARRAY(SELECT app_speaking_people()))")
    found = await tx.execute(select(Person.area_id).where(Person.id == person_id, mine))
    return found.scalar_one_or_none()


async def is_holder(tx: AsyncSession, *, budget_id: UUID, actor_id: UUID | None) -> bool:
    """Return whether the actor is whoever holds the money of a budget."""
    found = await tx.execute(
        select(Budget.id).where(Budget.id == budget_id, Budget.holder_account_id == actor_id)
    )
    return actor_id is not None and found.scalar_one_or_none() is not None
