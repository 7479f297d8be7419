"""Budgets: opened for a person, filled by their funder. The slice's other parts are told here.

A change of a budget's own row locks that row; money itself is locked by the ledger.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from api.budgets import queries
from api.budgets.books import (
    add_purposes,
    facts,
    facts_of,
    happened,
    has_role_in,
    looks_after,
    not_yours,
)
from api.budgets.changes import (
    change_state,
    end_authority,
    give_authority,
    set_pooling_authority,
    set_purposes,
)
from api.budgets.funders import create_funder, list_funders, set_rules
from api.budgets.models import Budget
from api.budgets.payments import (
    PaymentRow,
    confirm_payments_csv,
    failed_payments,
    list_payments,
    payments_waiting,
    record_payments,
)
from api.budgets.reading import list_mine, read
from api.budgets.rules import (
    OPEN_BUDGETS,
    BudgetFacts,
    PayeeFacts,
    check,
    check_kind,
    must_act,
)
from api.budgets.schemas import BudgetMade, MoneyIn, MoneyInOut, NewBudget
from api.budgets.statements import statement, statement_csv
from api.core.db import WriteSession, constraint
from api.core.errors import invalid
from api.core.ids import new_id
from api.identity.rules import Actor
from api.ledger import service as ledger
from api.ledger.rules import NewAccount, Subject, Transfer


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
        or looks_after(actor, found)
        or await queries.is_holder(tx, budget_id=budget_id, actor_id=actor.id)
    ):
        raise not_yours("Money is put in by whoever gives it or holds it.")
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


async def _area_for(tx: WriteSession, *, actor: Actor, new: NewBudget) -> UUID:
    """Return the area of a new budget: its funder's, or for own money the person's."""
    if new.funder_id is None:
        check_kind(new.kind, None)
        mine = await queries.own_area(tx, person_id=new.person_id)
        if mine is None:
            raise not_yours("Only the person opens a budget of their own money.")
        return mine
    funder = await queries.funder(tx, funder_id=new.funder_id)
    if funder is None:
        raise invalid("funder-known", "funder_id", "There is no such funder.")
    check_kind(new.kind, funder.body)
    own = await queries.own_area(tx, person_id=new.person_id) is not None
    if own or not has_role_in(actor, funder.area_id, *OPEN_BUDGETS):
        raise not_yours("A budget is opened by the finance people or a manager of its area.")
    return funder.area_id


def _unknown(error: IntegrityError) -> Exception:
    name = constraint(error)
    if name == "fk_budgets_person_id_area_id":
        return invalid("person-of-area", "person_id", "Nobody like that in the funder's area.")
    if name == "fk_budgets_holder_account_id":
        return invalid("account-known", "holder_account_id", "There is no such account.")
    if name == "ck_budgets_dates":
        return invalid("dates-in-order", "ends_on", "The last day is not before the first.")
    return error


__all__ = [
    "BudgetFacts",
    "PayeeFacts",
    "PaymentRow",
    "change_state",
    "check",
    "confirm_payments_csv",
    "create_funder",
    "end_authority",
    "facts",
    "facts_of",
    "failed_payments",
    "give_authority",
    "list_funders",
    "list_mine",
    "list_payments",
    "must_act",
    "open_budget",
    "payments_waiting",
    "put_money_in",
    "read",
    "record_payments",
    "set_pooling_authority",
    "set_purposes",
    "set_rules",
    "statement",
    "statement_csv",
]
