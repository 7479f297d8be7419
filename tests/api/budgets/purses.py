"""What tests of budgets do again and again: facts as somebody, payments, and whole books."""

from typing import Any
from uuid import UUID, uuid4

from api.budgets import service
from api.budgets.rules import BudgetFacts
from api.budgets.service import PaymentRow
from api.core.db import Database
from api.identity.rules import Actor, Task
from api.ledger import invariants
from api.ledger import service as ledger
from api.ledger.rules import NewAccount, Transfer
from tests.make import TESTS, Account, Budget, Maker, good, now


async def facts(database: Database, actor: Actor, budget: Budget, **at: Any) -> BudgetFacts:
    """Return a budget's facts as an actor sees them."""
    async with database.write(actor=actor, now=at.get("at") or now()) as tx:
        return await service.facts(tx, budget_id=budget.id)


async def read(maker: Maker, budget: Budget, headers: Any = None) -> dict[str, Any]:
    """Return a budget as the person reads it, or whoever has these headers."""
    path = f"/v1/budgets/{budget.id}"
    answer = await maker.client.get(path, headers=headers or budget.story.headers)
    body: dict[str, Any] = good(answer)
    return body


async def pay(
    database: Database,
    budget: Budget,
    pence: int,
    *,
    called: str = "Choir",
    payee: Account | None = None,
    by: Account | None = None,
) -> str:
    """Pay out of a budget in the books, as a task does; return the payment's reference."""
    actor = Task("tests.pay", uuid4())
    owner = f"payee:{uuid4().hex[:12]}"
    async with database.write(actor=actor, now=now()) as tx:
        account = NewAccount(kind="payable", owner_key=owner, source_key=budget.source_key)
        payable = await ledger.open_account(tx, actor=actor, now=now(), new=account)
        step = Transfer(debit_id=budget.account_id, credit_id=payable, amount_pence=pence)
        posted = await ledger.post(
            tx, actor=actor, now=now(), key=uuid4().hex, code="test.paid", steps=[step]
        )
        row = PaymentRow(
            budget_id=budget.id,
            area_id=budget.story.area.id,
            amount_pence=pence,
            payee_key=owner,
            payee_called=called,
            payee_account_id=payee.id if payee is not None else None,
            for_type="test",
            for_id=uuid4(),
            purpose="dance",
            from_account_id=budget.account_id,
            transfer_id=posted.id,
            instructed_by=by.id if by is not None else None,
        )
        first = await service.record_payments(tx, actor=actor, now=now(), rows=[row])
        again = await service.record_payments(tx, actor=actor, now=now(), rows=[row])
    assert first == again
    return first[posted.id]


async def hold(database: Database, budget: Budget, pence: int) -> UUID:
    """Keep some of a budget for a promise; return the hold."""
    async with database.write(actor=TESTS, now=now()) as tx:
        held = await ledger.hold(
            tx,
            account_id=budget.account_id,
            amount_pence=pence,
            actor=TESTS,
            now=now(),
            key=uuid4().hex,
            code="test.promised",
        )
    return held.id


async def whole(database: Database, budget: Budget) -> dict[str, int]:
    """Return where the money of a budget's source is, after counting that no rule is broken."""
    async with database.write(actor=TESTS, now=now()) as tx:
        assert await invariants.look(tx) == []
        totals = (await ledger.source_totals(tx, source_keys=[budget.source_key]))[
            budget.source_key
        ]
    assert totals.missing_pence == 0
    return {kind: pence for kind, pence in totals.by_kind.items() if pence} | {
        "in": totals.in_pence
    }
