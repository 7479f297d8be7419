"""Reading budgets, each with a receipt for the person."""

from datetime import datetime
from typing import cast
from uuid import UUID

from api.budgets import queries
from api.budgets.books import facts
from api.budgets.rules import AUTHORITY_WORDS, KIND_WORDS, May, in_words, ways_on
from api.budgets.schemas import (
    AuthorityOut,
    BudgetLine,
    BudgetList,
    BudgetOut,
    EventOut,
    PurposeOut,
)
from api.core import audit, pagination
from api.core.db import WriteSession
from api.core.errors import not_found
from api.identity.rules import Actor
from api.ledger import service as ledger

A_PAGE = 50


async def list_mine(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    person_id: UUID | None = None,
    cursor: str | None = None,
) -> BudgetList:
    """Return one's own budgets, those one acts for or holds; or a person's that one may see."""
    after = pagination.decode(cursor, UUID) if cursor is not None else None
    rows = await queries.budgets(tx, person_id=person_id, after=after, limit=A_PAGE + 1)
    page = rows[:A_PAGE]
    stands = await ledger.accounts(tx, ids=[row.account_id for row in page])
    for one in sorted({row.person_id for row in page}):
        await audit.receipt(tx, actor=actor, now=now, about_id=one, what="budgets")
    return BudgetList(
        items=[
            BudgetLine(
                id=row.id,
                person_id=row.person_id,
                kind=row.kind,
                called=KIND_WORDS[row.kind],
                funder=row.funder,
                state=row.state,
                free_pence=stands[row.account_id].available_pence,
                promised_pence=stands[row.account_id].held_pence,
            )
            for row in page
        ],
        next=pagination.encode(page[-1].id) if len(rows) > A_PAGE else None,
    )


async def read(tx: WriteSession, *, actor: Actor, now: datetime, budget_id: UUID) -> BudgetOut:
    """Return a budget: what stands in it, what it is for, its rules, who may act, its history."""
    found = await facts(tx, budget_id=budget_id)
    rows = await queries.budgets(tx, budget_id=budget_id, limit=1)
    if not rows:
        raise not_found("money")
    row = rows[0]
    account = await ledger.account(tx, account_id=found.account_id)
    totals = await ledger.source_totals(tx, source_keys=[found.source_key])
    by_kind = totals[found.source_key].by_kind if found.source_key in totals else {}
    await audit.receipt(
        tx,
        actor=actor,
        now=now,
        about_id=found.person_id,
        what="budget",
        object_id=budget_id,
        version=row.version,
    )
    return BudgetOut(
        id=budget_id,
        person_id=found.person_id,
        kind=found.kind,
        called=KIND_WORDS[found.kind],
        funder=found.funder_called,
        holder_called=found.holder_called,
        pays_net_or_gross=row.pays_net_or_gross,
        state=found.state,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        version=row.version,
        free_pence=account.available_pence,
        promised_pence=account.held_pence,
        together_pence=by_kind.get("pool_share", 0),
        waiting_pence=by_kind.get("payable", 0),
        paid_pence=by_kind.get("paid", 0),
        you_act_by=found.acts_by,
        pooling_authority=found.pooling_authority,
        purposes=[
            PurposeOut(code=one.code, words=one.words, until=one.until_at)
            for one in await queries.purposes(tx, budget_id=budget_id)
            if one.until_at is None or one.until_at > now
        ],
        rules=in_words(found),
        who_may_act=await _who_may_act(tx, budget_id=budget_id, now=now),
        events=[
            EventOut(
                what=one.what,
                at=one.at,
                reason=one.reason,
                words=one.words,
                bridge=one.bridge,
                amount_pence=one.amount_pence,
            )
            for one in await queries.events(tx, budget_id=budget_id)
        ],
        look_again=ways_on(found.body),
    )


async def _who_may_act(tx: WriteSession, *, budget_id: UUID, now: datetime) -> list[AuthorityOut]:
    return [
        AuthorityOut(
            id=one.id,
            account_id=one.account_id,
            authority=one.authority,
            words=AUTHORITY_WORDS[one.authority],
            may=cast(list[May], list(one.may)),
            in_place_of_person=one.in_place_of_person,
            from_at=one.from_at,
            until=one.until_at,
        )
        for one in await queries.authorities(tx, budget_id=budget_id, now=now)
    ]
