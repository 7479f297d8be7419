"""Reads of the ledger: how accounts stand, statements by version, holds, a source's totals."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.ledger.models import Account, Held, HoldEnd

Rows = Sequence[Row[*tuple[Any, ...]]]

_ACCOUNT = (
    Account.id,
    Account.kind,
    Account.owner_key,
    Account.source_key,
    Account.balance_pence,
    Account.held_pence,
    Account.version,
    Account.closed_at,
)
# Each page is cut out of the index by the account's version before anything is joined to it.
_STATEMENT = {
    newest_first: text(
        "SELECT p.version, p.at, o.code, p.amount_pence, p.previous_pence, p.balance_pence,"
        " p.transfer_id, p.other_id, a.kind AS other_kind, a.owner_key AS other_owner_key"
        " FROM (SELECT * FROM ledger_postings WHERE account_id = :account_id"
        f" AND version {'<' if newest_first else '>'} :after"
        f" ORDER BY version {'DESC' if newest_first else ''} LIMIT :limit) AS p"
        " JOIN ledger_operations o ON o.id = p.operation_id"
        " JOIN ledger_accounts a ON a.id = p.other_id"
        f" ORDER BY p.version {'DESC' if newest_first else ''}"
    )
    for newest_first in (False, True)
}
_TOTALS = text(
    "SELECT source_key, kind, may_go_negative, sum(balance_pence)::bigint AS balance_pence,"
    " sum(held_pence)::bigint AS held_pence FROM ledger_accounts"
    " WHERE source_key = ANY (:source_keys) GROUP BY source_key, kind, may_go_negative"
    " ORDER BY source_key, kind"
)


_FLOWS = text(
    "SELECT p.account_id, o.kind, p.amount_pence > 0 AS came, sum(p.amount_pence)::bigint AS pence"
    " FROM ledger_postings p JOIN ledger_accounts o ON o.id = p.other_id"
    " WHERE p.account_id = ANY (:ids) GROUP BY 1, 2, 3"
)


async def flows(session: AsyncSession, *, ids: Sequence[UUID]) -> Rows:
    """Return what came into accounts and went out, by kind of the other account."""
    return (await session.execute(_FLOWS, {"ids": list(ids)})).all()


async def accounts(session: AsyncSession, *, ids: Sequence[UUID]) -> Rows:
    """Return the accounts with these ids, as they stand."""
    found = select(*_ACCOUNT).where(Account.id.in_(ids))
    return (await session.execute(found)).all()


async def accounts_of(session: AsyncSession, *, kind: str, owner_keys: Sequence[str]) -> Rows:
    """Return the open accounts of one kind and these owners, by owner and source."""
    found = select(*_ACCOUNT).where(
        Account.kind == kind, Account.owner_key.in_(owner_keys), Account.closed_at.is_(None)
    )
    return (await session.execute(found.order_by(Account.owner_key, Account.source_key))).all()


async def statement(
    session: AsyncSession, *, account_id: UUID, after: int, limit: int, newest_first: bool
) -> Rows:
    """Return up to ``limit`` postings of an account beyond the version ``after``."""
    values = {"account_id": account_id, "after": after, "limit": limit}
    return (await session.execute(_STATEMENT[newest_first], values)).all()


async def open_holds(session: AsyncSession, *, account_id: UUID, after: UUID, limit: int) -> Rows:
    """Return up to ``limit`` holds that stand on an account, by id."""
    mine = (Held.account_id == account_id, Held.ended_at.is_(None), Held.id > after)
    return (await session.execute(_holds(*mine).order_by(Held.id).limit(limit))).all()


async def holds(session: AsyncSession, *, ids: Sequence[UUID]) -> Rows:
    """Return holds with how they ended, if they did."""
    return (await session.execute(_holds(Held.id.in_(ids)))).all()


async def totals(session: AsyncSession, *, source_keys: Sequence[str]) -> Rows:
    """Return what stands in the accounts of each source, by kind."""
    return (await session.execute(_TOTALS, {"source_keys": list(source_keys)})).all()


def _holds(*where: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Held.id,
            Held.account_id,
            Held.amount_pence,
            Held.at,
            Held.expires_at,
            HoldEnd.kind.label("ended"),
            HoldEnd.amount_pence.label("ended_pence"),
            HoldEnd.transfer_id,
        )
        .outerjoin(HoldEnd, HoldEnd.hold_id == Held.id)
        .where(*where)
    )
