"""What the parts of the slice share: the facts of a budget, its history, who looks after it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from api.budgets.models import Budget, BudgetEvent, BudgetPurpose
from api.budgets.rules import RUN_BUDGETS, BudgetFacts, decode_facts
from api.budgets.schemas import NewPurpose
from api.core import audit
from api.core.db import WriteSession
from api.core.errors import NotAllowed, RefusedRead, invalid, not_found
from api.core.ids import new_id
from api.identity.rules import Actor, Person

_FACTS_OF = text(
    "SELECT budget_facts(id) AS facts FROM unnest(CAST(:ids AS uuid[])) AS wanted (id)"
)


def has_role_in(actor: Actor, area_id: UUID, *roles: str) -> bool:
    """Return whether the actor holds one of these roles in the area."""
    return isinstance(actor, Person) and any(
        held.role in roles and held.area_id == area_id for held in actor.roles
    )


def looks_after(actor: Actor, found: BudgetFacts) -> bool:
    """Return whether the actor looks after it for the area: never one of theirs or acted for."""
    return has_role_in(actor, found.area_id, *RUN_BUDGETS) and actor.id not in found.acting_accounts


async def facts(tx: AsyncSession, *, budget_id: UUID) -> BudgetFacts:
    """Return all that a rule needs to know of a budget. NotFound unless the actor may see it."""
    value = (await tx.execute(select(func.budget_facts(budget_id)))).scalar_one()
    if value is None:
        raise not_found("money", leaves=RefusedRead(about_id=budget_id, what="budget"))
    return decode_facts(value)


async def facts_of(tx: AsyncSession, *, budget_ids: Sequence[UUID]) -> dict[UUID, BudgetFacts]:
    """Return the facts of several budgets in one look; those the actor may not see are absent."""
    rows = await tx.execute(_FACTS_OF, {"ids": list(budget_ids)})
    found = [decode_facts(row.facts) for row in rows if row.facts is not None]
    return {one.budget_id: one for one in found}


async def add_purposes(
    tx: WriteSession, *, now: datetime, budget_id: UUID, new: list[NewPurpose]
) -> None:
    """Add what the money is for from now on; Invalid for one that stands twice or is over."""
    codes = [one.code for one in new]
    if len(set(codes)) != len(codes):
        raise invalid("purpose-once", "purposes", "Each purpose stands once.")
    for number, one in enumerate(new):
        if one.until is not None and one.until <= now:
            raise invalid("purpose-ends-later", f"purposes[{number}].until", "That time is over.")
    rows = [
        {
            "id": new_id(),
            "budget_id": budget_id,
            "code": one.code,
            "words": one.words,
            "from_at": now,
            "until_at": one.until,
        }
        for one in new
    ]
    if rows:
        await tx.execute(insert(BudgetPurpose).values(rows))


async def happened(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    budget_id: UUID,
    what: str,
    audited: bool = True,
    **told: Any,
) -> None:
    """Add to a budget's history, and to the audit unless a posting did so already."""
    await tx.execute(
        insert(BudgetEvent).values(
            id=new_id(),
            budget_id=budget_id,
            what=what,
            at=now,
            actor_kind=actor.kind,
            actor_id=actor.id,
            **told,
        )
    )
    if audited:
        await audit.record(
            tx,
            actor=actor,
            now=now,
            action=f"budget.{what}",
            subject_type="budget",
            subject_id=budget_id,
            why=told.get("reason"),
        )


async def bump(tx: WriteSession, *, budget_id: UUID, **values: Any) -> None:
    """Change a budget's own row, and its version with it."""
    await tx.execute(
        update(Budget).where(Budget.id == budget_id).values(version=Budget.version + 1, **values)
    )


def not_yours(detail: str) -> NotAllowed:
    return NotAllowed(
        rule="own-area",
        detail=detail,
        who_can_change_it="The area's admin gives and takes roles.",
        what_else=["Ask somebody who looks after money in the area."],
    )
