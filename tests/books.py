"""Books for tests: funded accounts under fresh names, and posting in a transaction of its own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest

from api.core.db import Database, WriteSession
from api.core.errors import Refusal
from api.identity.rules import Service
from api.ledger import service
from api.ledger.rules import Hold, NewAccount, PostHold, ReleaseHold, Reverse, Step, Transfer
from api.ledger.schemas import AccountOut, Posted

T = TypeVar("T")

TESTS = Service("tests")
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TABLES = (
    "ledger_accounts",
    "ledger_operations",
    "ledger_transfers",
    "ledger_holds",
    "ledger_hold_ends",
)
_HASH = "SELECT " + ", ".join(
    f"(SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t)"
    for table in (*TABLES, "audit_entries", "outbox")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """Accounts of one source: money in, a budget, somebody to pay, a share of something."""

    source_key: str
    source: UUID
    budget: UUID
    provider: UUID
    share: UUID


class Books:
    """Does one thing a transaction, as a request would. ``now`` stands still unless moved."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = NOW

    async def run(self, work: Callable[[WriteSession], Awaitable[T]]) -> T:
        """Do ``work`` in one transaction, repeated when it clashed."""
        return await self.database.run(work, actor=TESTS, now=self.now)

    async def purse(self, pence: int = 0) -> Purse:
        """Open a source with its accounts, and put so many pence into the budget."""
        name = f"s:{uuid4().hex[:12]}"
        kinds = ("source", "budget", "provider", "pool_share")
        new = [
            NewAccount(kind=kind, owner_key=name, source_key=name, may_go_negative=kind == "source")
            for kind in kinds
        ]
        ids = await self.run(
            lambda tx: service.open_accounts(tx, actor=TESTS, now=self.now, new=new)
        )
        made = Purse(source_key=name, source=ids[0], budget=ids[1], provider=ids[2], share=ids[3])
        if pence:
            await self.move(made.source, made.budget, pence)
        return made

    async def post(
        self, *steps: Step, key: str | None = None, code: str = "test.post", **about: Any
    ) -> Posted:
        """Carry out a batch in a transaction of its own, under a fresh key unless one is given."""
        key = key or uuid4().hex
        return await self.run(
            lambda tx: service.post(
                tx, actor=TESTS, now=self.now, key=key, code=code, steps=steps, **about
            )
        )

    async def move(self, debit: UUID, credit: UUID, pence: int, key: str | None = None) -> UUID:
        """Transfer; return the transfer's id."""
        step = Transfer(debit_id=debit, credit_id=credit, amount_pence=pence)
        return (await self.post(step, key=key)).id

    async def hold(
        self, account: UUID, pence: int, *, lasts: timedelta | None = None, key: str | None = None
    ) -> UUID:
        """Hold; return the hold's id."""
        until = self.now + lasts if lasts is not None else None
        step = Hold(account_id=account, amount_pence=pence, expires_at=until)
        return (await self.post(step, key=key)).id

    async def pay(
        self, hold: UUID, credit: UUID, pence: int | None = None, key: str | None = None
    ) -> UUID:
        """Pay out a hold; return the transfer's id."""
        step = PostHold(hold_id=hold, credit_id=credit, amount_pence=pence)
        return (await self.post(step, key=key)).id

    async def release(self, hold: UUID, key: str | None = None) -> None:
        """Let a hold go."""
        await self.post(ReleaseHold(hold_id=hold), key=key)

    async def reverse(self, transfer: UUID, key: str | None = None) -> UUID:
        """Reverse a transfer; return the reversal's id."""
        return (await self.post(Reverse(transfer_id=transfer), key=key)).id

    async def expire(self, *, key: str | None = None, limit: int = 100) -> int:
        """Free what is due; return how many."""
        key = key or uuid4().hex
        return await self.run(
            lambda tx: service.expire_holds(tx, actor=TESTS, now=self.now, key=key, limit=limit)
        )

    async def close(self, account: UUID) -> datetime:
        """Close an account."""
        return await self.run(
            lambda tx: service.close_account(tx, actor=TESTS, now=self.now, account_id=account)
        )

    async def stands(self, account: UUID) -> AccountOut:
        """Return how an account stands."""
        return await self.run(lambda tx: service.account(tx, account_id=account))

    async def pence(self, account: UUID) -> tuple[int, int]:
        """Return an account's balance and what of it is available."""
        found = await self.stands(account)
        return found.balance_pence, found.available_pence


async def refused(work: Awaitable[object]) -> str:
    """Return the rule of the refusal that ``work`` ends with, after checking that it is whole."""
    with pytest.raises(Refusal) as caught:
        await work
    refusal = caught.value
    assert refusal.detail
    assert refusal.who_can_change_it
    assert refusal.what_else
    return refusal.rule


def fingerprint(owner: psycopg.Connection) -> Any:
    """Return a hash of every table that a posting writes to."""
    return owner.execute(_HASH).fetchone()
