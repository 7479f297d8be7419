"""A budget's statement, in plain words and as CSV, in the order of the account's versions."""

import csv
import io
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from api.areas import service as areas
from api.budgets import queries
from api.budgets.books import facts
from api.budgets.rules import BudgetFacts
from api.budgets.schemas import StatementLine, StatementOut
from api.core import audit, pagination
from api.core.db import WriteSession
from api.identity.rules import Actor
from api.ledger import service as ledger
from api.ledger.schemas import StatementLine as Posting

MOST_PAGES = 100
_COLUMNS = ("number", "day", "what", "amount", "balance")
# A table program takes a cell that begins so for something to carry out.
_CARRIED_OUT = ("=", "+", "-", "@", "\t", "\r", "\n")


async def statement(
    tx: WriteSession, *, actor: Actor, now: datetime, budget_id: UUID, cursor: str | None = None
) -> StatementOut:
    """Return a page of what came in and went out, in plain words."""
    found = await facts(tx, budget_id=budget_id)
    await _receipt(tx, found, actor=actor, now=now)
    lines, following = await _page(tx, found, cursor=cursor)
    return StatementOut(items=lines, next=following)


async def statement_csv(
    tx: WriteSession, *, actor: Actor, now: datetime, budget_id: UUID, after: int = 0
) -> str:
    """Return the statement as CSV, from after a line's number; days are the area's own.

    Sums are pounds as plain numbers; a text that a table program would carry out is quoted.
    """
    found = await facts(tx, budget_id=budget_id)
    await _receipt(tx, found, actor=actor, now=now)
    area = await areas.get_area(tx, area_id=found.area_id)
    zone = ZoneInfo(area.settings.time_zone)
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)
    cursor = pagination.encode(after) if after else None
    for _ in range(MOST_PAGES):
        lines, cursor = await _page(tx, found, cursor=cursor)
        for line in lines:
            day = line.at.astimezone(zone).date().isoformat()
            sums = (pounds(line.amount_pence), pounds(line.balance_pence))
            writer.writerow([line.number, day, cell(line.words), *sums])
        if cursor is None:
            break
    return file.getvalue()


def pounds(pence: int) -> str:
    """Return pence as a plain number of pounds: 450 is "4.50", -5 "-0.05"."""
    whole, rest = divmod(abs(pence), 100)
    return f"{'-' if pence < 0 else ''}{whole}.{rest:02d}"


def cell(words: str) -> str:
    """Return a text so that no table program takes it for something to carry out."""
    return f"'{words}" if words.lstrip(" ").startswith(_CARRIED_OUT) else words


async def _receipt(tx: WriteSession, found: BudgetFacts, *, actor: Actor, now: datetime) -> None:
    await audit.receipt(
        tx,
        actor=actor,
        now=now,
        about_id=found.person_id,
        what="budget_statement",
        object_id=found.budget_id,
    )


async def _page(
    tx: WriteSession, found: BudgetFacts, *, cursor: str | None
) -> tuple[list[StatementLine], str | None]:
    page = await ledger.statement(tx, account_id=found.account_id, cursor=cursor)
    keys = sorted({one.other_owner_key for one in page.items if one.other_kind in _PAYEES})
    called = await queries.payees(tx, budget_id=found.budget_id, keys=keys) if keys else {}
    return _lines(page.items, found, called), page.next


_PAYEES = ("payable", "paid")


def _lines(
    postings: Sequence[Posting], found: BudgetFacts, called: dict[str, str]
) -> list[StatementLine]:
    return [
        StatementLine(
            number=one.version,
            at=one.at,
            words=_words(one, found, called),
            amount_pence=one.amount_pence,
            balance_pence=one.balance_pence,
        )
        for one in postings
    ]


def _words(one: Posting, found: BudgetFacts, called: dict[str, str]) -> str:
    """Return what happened in plain words (words.md): by where it came from or went."""
    came = one.amount_pence > 0
    giver = found.funder_called or "you"
    if one.other_kind == "source":
        return f"Money came in from {giver}" if came else f"Money back to {giver}"
    if one.other_kind == "pool_share":
        return "Money back from what you put together" if came else "Put together with others"
    if one.other_kind in _PAYEES:
        payee = called.get(one.other_owner_key, "whoever was paid")
        return f"{payee}: came back, it could not be paid" if came else f"{payee}: paid"
    return "Money came in" if came else "Money went out"
