"""Moving money: every change is one call of the posting function, in the caller's transaction.

A transaction posts once: whatever belongs together goes into one batch (``post``), which locks
all its accounts once, in one order. Two batches in one transaction may meet another's two in the
opposite order; ``Database.run`` would then repeat one of them.

``key`` names the effect, for ever and over the whole ledger ("pool:<id>:contract"); a key that
comes from outside belongs together with whoever sent it. The same key with the same steps gets
the first answer; with other steps it is refused. So the steps may depend on what is stored and on
what was asked, never on the moment of asking.

Who acts and what time it is are those that the transaction was told. Refusals are in
``rules``; any of them leaves the ledger as it was.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, NotRequired, TypedDict, Unpack
from uuid import UUID

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    DateTime,
    Text,
    TextClause,
    Uuid,
    bindparam,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from api.core import pagination, trace
from api.core.db import ActorContext, WriteSession, sqlstate
from api.core.errors import Refusal, not_found
from api.core.ids import new_id
from api.ledger import queries
from api.ledger.rules import (
    LINES_AT_ONCE,
    SQLSTATE_CLASS,
    Also,
    Hold,
    Later,
    NewAccount,
    PostHold,
    ReleaseHold,
    Reverse,
    Step,
    Subject,
    Transfer,
    check_code,
    check_key,
    lines,
    refusal,
    request_hash,
)
from api.ledger.schemas import AccountOut, HoldOut, Posted, SourceTotals, Statement, StatementLine

A_PAGE = 100
EXPIRE_AT_ONCE = 200
_BEYOND_ALL = 2**63 - 1
Version = Annotated[int, msgspec.Meta(ge=0, le=_BEYOND_ALL)]

_POST = (
    "SELECT again, ids, available_pence FROM ledger_post(:p_key, :p_hash, :p_code, :p_correlation,"
    " :p_subject_type, :p_subject_id, :p_task, CAST(:p_payload AS jsonb), :p_kinds, :p_starts,"
    " :p_ends, :p_pence, :p_until)"
)
_ALSO = (
    "WITH posted AS MATERIALIZED ({post}), also AS ({also})"
    " SELECT again, ids, available_pence FROM posted"
)
_OPEN = text("SELECT ledger_open(:ids, :kinds, :owners, :sources, :negative)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid())),
    bindparam("kinds", type_=ARRAY(Text())),
    bindparam("owners", type_=ARRAY(Text())),
    bindparam("sources", type_=ARRAY(Text())),
    bindparam("negative", type_=ARRAY(Boolean())),
)
_CLOSE = text("SELECT ledger_close(:account_id)").bindparams(bindparam("account_id", type_=Uuid()))
_EXPIRE = text("SELECT ledger_expire(:key, :code, :correlation, :limit)").bindparams(
    bindparam("correlation", type_=Uuid())
)


class About(TypedDict):
    """What every posting says about itself: see ``post``."""

    actor: ActorContext
    now: datetime
    key: str
    code: str
    subject: NotRequired[Subject | None]
    later: NotRequired[Later | None]
    also: NotRequired[Also | None]


async def open_accounts(
    tx: WriteSession, *, actor: ActorContext, now: datetime, new: Sequence[NewAccount]
) -> list[UUID]:
    """Open accounts, or find those that are open already; return their ids in the same order.

    A transaction opens before it posts: whoever opens the same at the same moment waits.
    """
    _told(actor, now)
    values = {
        "ids": [new_id() for _ in new],
        "kinds": [one.kind for one in new],
        "owners": [one.owner_key for one in new],
        "sources": [one.source_key for one in new],
        "negative": [one.may_go_negative for one in new],
    }
    if len({(one.kind, one.owner_key, one.source_key) for one in new}) != len(new):
        raise ValueError("an account is opened once in a batch")
    return list(await _call(tx, _OPEN, values)) if new else []


async def open_account(
    tx: WriteSession, *, actor: ActorContext, now: datetime, new: NewAccount
) -> UUID:
    """Open one account, or find it; return its id."""
    (account_id,) = await open_accounts(tx, actor=actor, now=now, new=[new])
    return account_id


async def close_account(
    tx: WriteSession, *, actor: ActorContext, now: datetime, account_id: UUID
) -> datetime:
    """Close an account at zero without holds, for good; return since when it is closed.

    A transaction that posts too closes afterwards, and only what its batch has touched.
    """
    _told(actor, now)
    closed: datetime = await _call(tx, _CLOSE, {"account_id": account_id})
    return closed


async def post(
    tx: WriteSession,
    *,
    actor: ActorContext,
    now: datetime,
    key: str,
    code: str,
    steps: Sequence[Step],
    subject: Subject | None = None,
    later: Later | None = None,
    also: Also | None = None,
) -> Posted:
    """Carry out all steps, in their order, or none. One round trip.

    Writes the audit entry (``code``, about ``subject``, else about the operation itself) and,
    where ``later`` says so, a row of the outbox; ``also`` is done in the same statement. Raises
    Conflict, Invalid or NotFound; DBAPIError for a constraint that ``also`` meets.
    """
    _told(actor, now)
    batch = lines(steps)
    values = {
        "p_key": check_key(key),
        "p_hash": request_hash(check_code(code), batch),
        "p_code": code,
        "p_correlation": trace.current(),
        "p_subject_type": subject.type if subject is not None else None,
        "p_subject_id": subject.id if subject is not None else None,
        "p_task": later.task if later is not None else None,
        "p_payload": msgspec.json.encode(later.payload).decode() if later is not None else None,
        "p_kinds": batch.kinds,
        "p_starts": batch.starts,
        "p_ends": batch.ends,
        "p_pence": batch.pence,
        "p_until": batch.until,
    }
    if also is not None:
        values |= also.values
    with _in_words():
        done = await tx.execute(_posting(also.sql if also is not None else None), values)
    again, ids, available = done.one()
    return Posted(again=again, ids=ids, available_pence=available)


async def transfer(
    tx: WriteSession,
    *,
    debit_id: UUID,
    credit_id: UUID,
    amount_pence: int,
    **about: Unpack[About],
) -> Posted:
    """Move pence from one account to another of the same source."""
    step = Transfer(debit_id=debit_id, credit_id=credit_id, amount_pence=amount_pence)
    return await post(tx, steps=[step], **about)


async def hold(
    tx: WriteSession,
    *,
    account_id: UUID,
    amount_pence: int,
    expires_at: datetime | None = None,
    **about: Unpack[About],
) -> Posted:
    """Keep pence of an account for later, until it is posted, released or ``expires_at``."""
    step = Hold(account_id=account_id, amount_pence=amount_pence, expires_at=expires_at)
    return await post(tx, steps=[step], **about)


async def post_hold(
    tx: WriteSession,
    *,
    hold_id: UUID,
    credit_id: UUID,
    amount_pence: int | None = None,
    **about: Unpack[About],
) -> Posted:
    """Pay out a hold, whole or in part; the rest of a part is free again. Once."""
    step = PostHold(hold_id=hold_id, credit_id=credit_id, amount_pence=amount_pence)
    return await post(tx, steps=[step], **about)


async def release_hold(tx: WriteSession, *, hold_id: UUID, **about: Unpack[About]) -> Posted:
    """Let a hold go. Once."""
    return await post(tx, steps=[ReleaseHold(hold_id=hold_id)], **about)


async def reverse(tx: WriteSession, *, transfer_id: UUID, **about: Unpack[About]) -> Posted:
    """Post the reverse of a transfer. Once; a reversal is not reversed."""
    return await post(tx, steps=[Reverse(transfer_id=transfer_id)], **about)


async def expire_holds(
    tx: WriteSession,
    *,
    actor: ActorContext,
    now: datetime,
    key: str,
    limit: int = EXPIRE_AT_ONCE,
) -> int:
    """Free up to ``limit`` holds whose time is over, the oldest first; return how many.

    Fewer than ``limit``: none is left, unless somebody ended one of them at the same moment. A
    hold that ended, or whose account is closed, is left as it is.
    """
    _told(actor, now)
    values = {
        "key": check_key(key),
        "code": "ledger.expired",
        "correlation": trace.current(),
        "limit": min(limit, LINES_AT_ONCE),
    }
    return int(await _call(tx, _EXPIRE, values))


async def accounts(session: AsyncSession, *, ids: Sequence[UUID]) -> dict[UUID, AccountOut]:
    """Return how accounts stand, by id. Unknown ids are absent."""
    return {row.id: _account(row) for row in await queries.accounts(session, ids=ids)}


async def flows(session: AsyncSession, *, ids: Sequence[UUID]) -> dict[UUID, dict[str, int]]:
    """Return by account what moved, added up from the postings: {"budget:in": 500}, say.

    The name is the kind of the other account and the way; what went out is negative.
    """
    found: dict[UUID, dict[str, int]] = {one: {} for one in ids}
    for row in await queries.flows(session, ids=ids) if ids else ():
        found[row.account_id][f"{row.kind}:{'in' if row.came else 'out'}"] = row.pence
    return found


async def account(session: AsyncSession, *, account_id: UUID) -> AccountOut:
    """Return how one account stands; raise NotFound."""
    found = await accounts(session, ids=[account_id])
    if account_id not in found:
        raise not_found("money")
    return found[account_id]


async def accounts_of(
    session: AsyncSession, *, kind: str, owner_keys: Sequence[str]
) -> list[AccountOut]:
    """Return the open accounts of one kind and these owners, by owner and source."""
    rows = await queries.accounts_of(session, kind=kind, owner_keys=owner_keys)
    return [_account(row) for row in rows]


async def statement(
    session: AsyncSession,
    *,
    account_id: UUID,
    cursor: str | None = None,
    newest_first: bool = False,
    limit: int = A_PAGE,
) -> Statement:
    """Return a page of an account's postings in the order of its versions."""
    start = _BEYOND_ALL if newest_first else 0
    after = pagination.decode(cursor, Version) if cursor is not None else start
    rows = await queries.statement(
        session,
        account_id=account_id,
        after=after,
        limit=limit + 1,
        newest_first=newest_first,
    )
    items = [StatementLine(**row._mapping) for row in rows[:limit]]
    more = len(rows) > limit
    return Statement(items=items, next=pagination.encode(items[-1].version) if more else None)


async def open_holds(
    session: AsyncSession, *, account_id: UUID, after: UUID | None = None, limit: int = A_PAGE
) -> list[HoldOut]:
    """Return up to ``limit`` holds that stand on an account, by id, beyond ``after``."""
    rows = await queries.open_holds(
        session, account_id=account_id, after=after or UUID(int=0), limit=limit
    )
    return [HoldOut(**row._mapping) for row in rows]


async def holds(session: AsyncSession, *, ids: Sequence[UUID]) -> dict[UUID, HoldOut]:
    """Return holds by id, with how they ended. Unknown ids are absent."""
    rows = await queries.holds(session, ids=ids)
    return {row.id: HoldOut(**row._mapping) for row in rows}


async def source_totals(
    session: AsyncSession, *, source_keys: Sequence[str]
) -> dict[str, SourceTotals]:
    """Return what came in from each source and where it is now, by kind of account."""
    found: dict[str, tuple[int, dict[str, int], int]] = {}
    for row in await queries.totals(session, source_keys=source_keys):
        came, by_kind, held = found.get(row.source_key, (0, {}, 0))
        if row.may_go_negative:
            came -= row.balance_pence
        else:
            by_kind[row.kind] = row.balance_pence
        found[row.source_key] = (came, by_kind, held + row.held_pence)
    return {
        key: SourceTotals(source_key=key, in_pence=came, by_kind=by_kind, held_pence=held)
        for key, (came, by_kind, held) in found.items()
    }


def _account(row: Any) -> AccountOut:
    return AccountOut(**row._mapping)


def _told(actor: ActorContext, now: datetime) -> None:
    if actor is None or now is None or now.tzinfo is None:
        raise ValueError("moving money needs an actor and an aware time")


@lru_cache(maxsize=256)
def _posting(also: str | None) -> TextClause:
    """Return the statement that posts, with what rides along: one for each."""
    sql = _POST if also is None else _ALSO.format(post=_POST, also=also)
    return text(sql).bindparams(
        bindparam("p_correlation", type_=Uuid()),
        bindparam("p_subject_type", type_=Text()),
        bindparam("p_subject_id", type_=Uuid()),
        bindparam("p_task", type_=Text()),
        bindparam("p_payload", type_=Text()),
        bindparam("p_kinds", type_=ARRAY(Text())),
        bindparam("p_starts", type_=ARRAY(Uuid())),
        bindparam("p_ends", type_=ARRAY(Uuid())),
        bindparam("p_pence", type_=ARRAY(BigInteger())),
        bindparam("p_until", type_=ARRAY(DateTime(timezone=True))),
    )


async def _call(tx: WriteSession, statement: Any, values: dict[str, Any]) -> Any:
    with _in_words():
        return (await tx.execute(statement, values)).scalar_one()


@contextmanager
def _in_words() -> Iterator[None]:
    """Raise the refusal that the database meant; its error itself for a bug or a clash."""
    try:
        yield
    except DBAPIError as error:
        known = _as_refusal(error)
        if known is None:
            raise
        raise known from error


def _as_refusal(error: DBAPIError) -> Refusal | None:
    if not (sqlstate(error) or "").startswith(SQLSTATE_CLASS):
        return None
    told: Any = error.orig.__cause__ if error.orig is not None else None
    rule, facts = str(told.args[0]), json.loads(told.detail or "{}")
    return refusal(rule, facts)
