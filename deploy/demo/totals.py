"""The demo's money by kind of source, added up from the ledger itself, and its rules counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from api.budgets.rules import KIND_WORDS
from api.core import clock
from api.core.db import Database
from api.identity.rules import Service
from api.ledger import invariants
from api.ledger import service as ledger
from api.ledger.models import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of source: how many, and the pence put in, used, gone back and still there."""

    called: str
    sources: int
    put_in_pence: int
    used_pence: int
    returned_pence: int
    left_pence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The table, what is nowhere (it is 0), and which rules of the books do not hold."""

    kinds: list[Kind]
    put_in_pence: int
    used_pence: int
    returned_pence: int
    missing_pence: int
    accounts: int
    rules: int
    broken: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the books' figures for a program."""
        return {
            "conserved_by_source": invariants.CONSERVED not in self.broken,
            "derived_equals_stored": "derived-is-stored" not in self.broken,
            "missing_pence": self.missing_pence,
            "rules_counted": self.rules,
            "rules_broken": len(self.broken),
            "accounts": self.accounts,
        }


async def count(
    database: Database, *, pool_id: str, budgets: Mapping[str, Mapping[str, Any]]
) -> Totals:
    """Add up one group's money from the postings, and count every rule of the books.

    ``budgets``: as POST /v1/budgets answered. All in one snapshot.
    """
    kind_of = {one["source_key"]: one["kind"] for one in budgets.values()}
    async with database.read(actor=Service("demo"), now=clock.now()) as session:
        shares = (
            await session.execute(
                select(Account.id, Account.source_key, Account.balance_pence).where(
                    Account.kind == "pool_share", Account.owner_key.startswith(f"pool:{pool_id}:")
                )
            )
        ).all()
        flows = await ledger.flows(session, ids=[one.id for one in shares])
        sources = await ledger.source_totals(session, source_keys=sorted(kind_of))
        broken = await invariants.look(session)
        accounts = (await session.execute(select(func.count()).select_from(Account))).scalar_one()
    moved = [(kind_of[one.source_key], one.balance_pence, flows[one.id]) for one in shares]
    kinds = [
        _kind(kind, [(left, flow) for found, left, flow in moved if found == kind])
        for kind in KIND_WORDS
        if any(found == kind for found, _, _ in moved)
    ]
    put_in, used = sum(one.put_in_pence for one in kinds), sum(one.used_pence for one in kinds)
    returned, left = (
        sum(one.returned_pence for one in kinds),
        sum(one.left_pence for one in kinds),
    )
    nowhere = sum(one.missing_pence for one in sources.values())
    return Totals(
        kinds=kinds,
        put_in_pence=put_in,
        used_pence=used,
        returned_pence=returned,
        missing_pence=put_in - used - returned - left + nowhere,
        accounts=accounts,
        rules=len(invariants.RULES),
        broken=[one.rule for one in broken],
    )


def _kind(kind: str, moved: list[tuple[int, dict[str, int]]]) -> Kind:
    def total(*ways: str) -> int:
        return sum(flow.get(way, 0) for _, flow in moved for way in ways)

    return Kind(
        called=KIND_WORDS[kind],
        sources=len(moved),
        put_in_pence=total("budget:in"),
        used_pence=-total("payable:out", "payable:in"),
        returned_pence=-total("budget:out"),
        left_pence=sum(left for left, _ in moved),
    )
