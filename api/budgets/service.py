"""Budgets: opened for a person, filled by their funder, read with a receipt."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.budgets import queries
from api.budgets.models import Budget, BudgetEvent, BudgetPurpose
from api.budgets.rules import (
    OPEN_BUDGETS,
    RUN_BUDGETS,
    BudgetFacts,
    PayeeFacts,
    check,
    check_kind,
    decode_facts,
    must_act,
)
from api.budgets.schemas import BudgetMade, MoneyIn, MoneyInOut, NewBudget, NewPurpose
from api.core import audit
from api.core.db import WriteSession, constraint
from api.core.errors import NotAllowed, RefusedRead, invalid, not_found
from api.core.ids import new_id
from api.identity.rules import Actor, Person
from api.ledger import service as ledger
from api.ledger.rules import NewAccount, Subject, Transfer


def has_role_in(actor: Actor, area_id: UUID, *roles: str) -> bool:
    """Return whether the actor holds one of these roles in the area."""
    return isinstance(actor, Person) and any(
        held.role in roles and held.area_id == area_id for held in actor.roles
    )


async def facts(tx: AsyncSession, *, budget_id: UUID) -> BudgetFacts:
    """Return all that a rule needs to know of a budget. NotFound unless the actor may see it."""
    value = (await tx.execute(select(func.budget_facts(budget_id)))).scalar_one()
    if value is None:
        raise not_found("money", leaves=RefusedRead(about_id=budget_id, what="budget"))
    return decode_facts(value)


async def open_budget(
    tx: WriteSession, *, actor: Actor, now: datetime, new: NewBudget
) -> BudgetMade:
    """Open a budget with its two accounts in the books: where money comes from, and the money.

    Public money is opened by the area's finance, manager or admin; own money by the person alone.
    """
    budget_id = new_id()
    area_id = await _area_for(tx, actor=actor, new=new)
    source_key = f"budget:{budget_id}"
    owner = f"person:{new.person_id}" if new.funder_id is None else f"funder:{new.funder_id}"
    source_id, account_id = await ledger.open_accounts(
        tx,
        actor=actor,
        now=now,
        new=[
            NewAccount(kind="source", owner_key=owner, source_key=source_key, may_go_negative=True),
            NewAccount(kind="budget", owner_key=source_key, source_key=source_key),
        ],
    )
    row: dict[str, Any] = {
        "id": budget_id,
        "person_id": new.person_id,
        "area_id": area_id,
        "kind": new.kind,
        "funder_id": new.funder_id,
        "holder_called": new.holder_called,
        "holder_account_id": new.holder_account_id,
        "pays_net_or_gross": new.pays_net_or_gross,
        "account_id": account_id,
        "source_account_id": source_id,
        "source_key": source_key,
        "state": "active",
        "starts_on": new.starts_on,
        "ends_on": new.ends_on,
        "version": 1,
        "created_at": now,
    }
    try:
        await tx.execute(insert(Budget).values(row))
    except IntegrityError as error:
        raise _unknown(error) from None
    await add_purposes(tx, now=now, budget_id=budget_id, new=new.purposes)
    await happened(tx, actor=actor, now=now, budget_id=budget_id, what="made")
    return BudgetMade(
        id=budget_id,
        person_id=new.person_id,
        kind=new.kind,
        account_id=account_id,
        source_key=source_key,
        state="active",
    )


async def put_money_in(
    tx: WriteSession, *, actor: Actor, now: datetime, budget_id: UUID, new: MoneyIn
) -> MoneyInOut:
    """Put money into a budget from its source. The same reference counts once.

    By the area's finance or manager, whoever holds the money, or, into own money, whoever may
    promise it. The same reference with another sum is refused.
    """
    found = await facts(tx, budget_id=budget_id)
    if found.state == "ended":
        check(found, purposes=(), amount_pence=new.amount_pence, payee=None, now=now)
    mine = found.is_own and found.acts_by not in (None, "task")
    if not (
        mine
        or has_role_in(actor, found.area_id, *RUN_BUDGETS)
        or await queries.is_holder(tx, budget_id=budget_id, actor_id=actor.id)
    ):
        raise _not_yours("Money is put in by whoever gives it or holds it.")
    posted = await ledger.post(
        tx,
        actor=actor,
        now=now,
        key=f"budget:{budget_id}:in:{new.reference}",
        code="budget.money_in",
        steps=[
            Transfer(
                debit_id=found.source_account_id,
                credit_id=found.account_id,
                amount_pence=new.amount_pence,
            )
        ],
        subject=Subject(type="budget", id=budget_id),
    )
    if not posted.again:
        await happened(
            tx,
            actor=actor,
            now=now,
            budget_id=budget_id,
            what="money_in",
            amount_pence=new.amount_pence,
            audited=False,
        )
    return MoneyInOut(
        budget_id=budget_id,
        amount_pence=new.amount_pence,
        reference=new.reference,
        again=posted.again,
    )


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


async def _area_for(tx: WriteSession, *, actor: Actor, new: NewBudget) -> UUID:
    """Return the area of a new budget: its funder's, or for own money the person's."""
    if new.funder_id is None:
        check_kind(new.kind, None)
        mine = await queries.own_area(tx, person_id=new.person_id)
        if mine is None:
            raise _not_yours("Only the person opens a budget of their own money.")
        return mine
    funder = await queries.funder(tx, funder_id=new.funder_id)
    if funder is None:
        raise invalid("funder-known", "funder_id", "There is no such funder.")
    check_kind(new.kind, funder.body)
    if not has_role_in(actor, funder.area_id, *OPEN_BUDGETS):
        raise _not_yours("A budget is opened by the finance people or a manager of its area.")
    return funder.area_id


def _not_yours(detail: str) -> NotAllowed:
    return NotAllowed(
        rule="own-area",
        detail=detail,
        who_can_change_it="The area's admin gives and takes roles.",
        what_else=["Ask somebody who looks after money in the area."],
    )


def _unknown(error: IntegrityError) -> Exception:
    name = constraint(error)
    if name == "fk_budgets_person_id_area_id":
        return invalid("person-of-area", "person_id", "Nobody like that in the funder's area.")
    if name == "fk_budgets_holder_account_id":
        return invalid("account-known", "holder_account_id", "There is no such account.")
    if name == "ck_budgets_dates":
        return invalid("dates-in-order", "ends_on", "The last day is not before the first.")
    return error


__all__ = ["BudgetFacts", "PayeeFacts", "check", "facts", "must_act", "open_budget", "put_money_in"]
