"""Payments: paid in the books, and waiting until whoever holds the money says that it was made.

Kith holds and moves no money (law.md 7). Whoever asked for a payment, or gets it, never confirms
it: looked at here, and by a constraint beneath.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, update
from sqlalchemy.dialects.postgresql import insert

from api.areas import service as areas
from api.budgets import queries
from api.budgets.confirmations import Said, read_file
from api.budgets.models import Payment
from api.budgets.queries import PaymentRead
from api.budgets.schemas import (
    BadLine,
    Confirmations,
    ConfirmationsOut,
    PaymentList,
    PaymentOut,
)
from api.core import audit, outbox, pagination
from api.core.db import WriteSession
from api.core.ids import new_id
from api.core.money import in_words
from api.identity.rules import Actor
from api.ledger import service as ledger
from api.ledger.rules import NewAccount, Reverse, Step, Subject, Transfer

A_PAGE = 50
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_HOME = ZoneInfo("Europe/London")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRow:
    """A payment that the books have made already: ``transfer_id`` moved it to a payable account.

    That account has the kind "payable", ``payee_key`` as its owner and the budget's source.
    ``from_account_id`` is what it was taken from, and where it goes back to if it fails.
    ``instructed_by`` is the account of whoever asked for it, where a task carries it out.
    """

    budget_id: UUID
    area_id: UUID
    amount_pence: int
    payee_key: str
    payee_called: str
    payee_account_id: UUID | None = None
    for_type: str
    for_id: UUID
    purpose: str
    from_account_id: UUID
    transfer_id: UUID
    instructed_by: UUID | None = None


async def record_payments(
    tx: WriteSession, *, actor: Actor, now: datetime, rows: Sequence[PaymentRow]
) -> dict[UUID, str]:
    """Record payments made in the books; return the reference of each by its transfer.

    A transfer stands for one payment: recording it again finds the first.
    """
    if not rows:
        return {}
    values = [
        {
            "id": new_id(),
            "area_id": row.area_id,
            "budget_id": row.budget_id,
            "amount_pence": row.amount_pence,
            "payee_key": row.payee_key,
            "payee_called": row.payee_called,
            "payee_account_id": row.payee_account_id,
            "for_type": row.for_type,
            "for_id": row.for_id,
            "purpose": row.purpose,
            "state": "instructed",
            "reference": reference_of(row.transfer_id),
            "from_account_id": row.from_account_id,
            "transfer_id": row.transfer_id,
            "instructed_at": now,
            "instructed_by": row.instructed_by or (actor.id if actor.kind == "person" else None),
        }
        for row in rows
    ]
    await tx.execute(
        insert(Payment).values(values).on_conflict_do_nothing(index_elements=[Payment.transfer_id])
    )
    return await queries.references(tx, transfer_ids=[row.transfer_id for row in rows])


async def payments_waiting(tx: WriteSession, *, for_type: str, for_id: UUID) -> int:
    """Return how many payments for something still wait for their holder, as the actor sees."""
    return await queries.waiting(tx, for_type=for_type, for_id=for_id)


async def failed_payments(tx: WriteSession, *, for_type: str, for_id: UUID) -> list[Payment]:
    """Return the payments for something that failed, as far as the actor sees them."""
    return await queries.failed(tx, for_type=for_type, for_id=for_id)


def reference_of(transfer_id: UUID) -> str:
    """Return the reference of the payment that a transfer stands for, to be read aloud."""
    digest = int.from_bytes(hashlib.sha256(transfer_id.bytes).digest()[:8], "big")
    signs = "".join(_ALPHABET[(digest >> (5 * place)) & 31] for place in range(12))
    return "-".join(signs[start : start + 4] for start in (0, 4, 8))


async def list_payments(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    area: str,
    state: str | None = None,
    cursor: str | None = None,
) -> PaymentList:
    """Return the payments of an area that the actor may see, the oldest first."""
    found = await areas.area_named(tx, slug=area)
    after = pagination.decode(cursor, UUID) if cursor is not None else None
    rows = await queries.payments(tx, area_id=found.id, state=state, after=after, limit=A_PAGE + 1)
    page = rows[:A_PAGE]
    for one in sorted({row.person_id for row in page}):
        await audit.receipt(tx, actor=actor, now=now, about_id=one, what="payments")
    return PaymentList(
        items=[
            PaymentOut(
                id=row.id,
                budget_id=row.budget_id,
                reference=row.reference,
                amount_pence=row.amount_pence,
                payee=row.payee_called,
                purpose=row.purpose,
                state=cast(Literal["instructed", "confirmed", "failed"], row.state),
                instructed_at=row.instructed_at,
                paid_on=row.paid_on,
            )
            for row in page
        ],
        next=pagination.encode(page[-1].id) if len(rows) > A_PAGE else None,
    )


async def confirm_payments_csv(
    tx: WriteSession, *, actor: Actor, now: datetime, new: Confirmations
) -> ConfirmationsOut:
    """Take a file of what was paid and what failed from whoever holds the money, in one posting.

    By the holder's own account or the area's finance. Good lines go in, bad ones are named. The
    same file again changes nothing. What failed goes back to where it was taken from.
    """
    said, bad = read_file(new.csv)
    rows = await queries.to_confirm(tx, references=[one.reference for one in said])
    closed = await _closed(tx, said, rows)
    good: list[tuple[Said, PaymentRead]] = []
    known = 0
    for one in said:
        row = rows.get(one.reference)
        why = _wrong(one, row, actor=actor, today=now.astimezone(_HOME).date(), closed=closed)
        if why is not None:
            bad.append(BadLine(line=one.line, field=why[0], rule=why[1], why=why[2]))
        elif row is not None and row.state == "instructed":
            good.append((one, row))
        else:
            known += 1
    if good:
        await _settle(tx, good, actor=actor, now=now)
    return ConfirmationsOut(
        confirmed=sum(one.outcome == "paid" for one, _ in good),
        failed=sum(one.outcome == "failed" for one, _ in good),
        known_already=known,
        bad=sorted(bad, key=lambda one: one.line),
    )


def _wrong(
    one: Said, row: PaymentRead | None, *, actor: Actor, today: date, closed: set[UUID]
) -> tuple[str, str, str] | None:
    """Return the field, the rule and the reason for which a line is not taken; None if it is."""
    if row is None:
        return "reference", "payment-yours", "There is no payment like that for you to confirm."
    if row.amount_pence != one.amount_pence:
        field, is_ = "amount", in_words(row.amount_pence)
        return field, "amount-differs", f"This payment is {is_}. A part of it cannot be confirmed."
    if row.state != "instructed":
        if row.state == {"paid": "confirmed", "failed": "failed"}[one.outcome]:
            return None
        return "outcome", "settled-once", "It was said before that this came out otherwise."
    if actor.id in (row.instructed_by, row.payee_account_id):
        why = "Whoever asked for a payment, or gets it, does not confirm it: somebody else does."
        return "reference", "by-another", why
    if one.paid_on is not None and one.paid_on > today:
        return "paid_on", "paid-by-today", "This day is still to come."
    if one.paid_on is not None and one.paid_on < row.instructed_at.astimezone(_HOME).date():
        return "paid_on", "paid-after-asked", "On this day the payment had not been asked for yet."
    if one.outcome == "failed" and row.from_account_id in closed:
        why = "Where this came from is closed: the finance people put it right by hand."
        return "outcome", "way-back-open", why
    return None


async def _closed(
    tx: WriteSession, said: Sequence[Said], rows: dict[str, PaymentRead]
) -> set[UUID]:
    """Return which accounts money would go back to and cannot."""
    failed = [one.reference for one in said if one.outcome == "failed"]
    ids = {rows[one].from_account_id for one in failed if one in rows}
    stands = await ledger.accounts(tx, ids=list(ids)) if ids else {}
    return {one for one in ids if one not in stands or stands[one].closed_at is not None}


async def _settle(
    tx: WriteSession, good: Sequence[tuple[Said, PaymentRead]], *, actor: Actor, now: datetime
) -> None:
    """Post all that the good lines say at once, and mark the payments."""
    pairs = sorted({(row.payee_key, row.source_key) for one, row in good if one.outcome == "paid"})
    kinds = [(kind, *pair) for pair in pairs for kind in ("payable", "paid")]
    new = [NewAccount(kind=kind, owner_key=owner, source_key=key) for kind, owner, key in kinds]
    ids = await ledger.open_accounts(tx, actor=actor, now=now, new=new)
    by_kind = dict(zip(kinds, ids, strict=True))
    steps: list[Step] = []
    for one, row in good:
        if one.outcome == "failed":
            steps.append(Reverse(transfer_id=row.transfer_id))
            continue
        steps.append(
            Transfer(
                debit_id=by_kind["payable", row.payee_key, row.source_key],
                credit_id=by_kind["paid", row.payee_key, row.source_key],
                amount_pence=row.amount_pence,
            )
        )
    told = "|".join(sorted(f"{row.id}:{one.outcome}" for one, row in good))
    digest = hashlib.sha256(told.encode()).hexdigest()
    posted = await ledger.post(
        tx,
        actor=actor,
        now=now,
        key=f"payments:{digest}",
        code="payments.confirmed",
        steps=steps,
        subject=Subject(type="payment", id=good[0][1].id),
    )
    values: list[dict[str, Any]] = [
        {
            "payment": row.id,
            "state": "confirmed" if one.outcome == "paid" else "failed",
            "settled_transfer_id": transfer_id,
            "paid_on": one.paid_on,
            "confirmed_at": now,
            "confirmed_by": actor.id,
        }
        for (one, row), transfer_id in zip(good, posted.ids, strict=True)
    ]
    for for_type, for_id in sorted({(row.for_type, row.for_id) for _, row in good}):
        await outbox.enqueue(
            tx,
            task="budgets.settled",
            payload={"for_type": for_type, "for_id": for_id},
            now=now,
            coalesce_key=f"settled:{for_id}",
        )
    connection = await tx.connection()
    await connection.execute(update(Payment).where(Payment.id == bindparam("payment")), values)
