"""What must hold in the books at every moment, counted after the posting function.

Each rule is looked at a page of accounts (or sources) at a time, every page in one snapshot, so
that no look takes long. ``workers.tasks.ledger`` looks regularly and sounds the alarm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import UUID as PgUuid
from sqlalchemy.ext.asyncio import AsyncSession

AT_ONCE = 200
_FIRST, _LAST = UUID(int=0), UUID(int=2**128 - 1)

# Each statement returns how many break the rule between :after and :last, and one of them.
_RULES: Mapping[str, str] = {
    # What the balance and version say is what the postings add up to.
    "derived-is-stored": """
        SELECT a.id FROM ledger_accounts a LEFT JOIN (
            SELECT account_id, sum(amount_pence) AS pence, max(version) AS version
            FROM ledger_postings WHERE account_id > :after AND account_id <= :last
            GROUP BY account_id) p ON p.account_id = a.id
        WHERE a.id > :after AND a.id <= :last AND (a.balance_pence, a.version)
            IS DISTINCT FROM (coalesce(p.pence, 0), coalesce(p.version, 0))""",
    # Versions are 1, 2, 3 and so on; each posting starts from where the one before it ended.
    "versions-without-gaps": """
        SELECT DISTINCT account_id AS id FROM (
            SELECT account_id, version, previous_pence, row_number() OVER w AS n,
                lag(balance_pence, 1, 0::bigint) OVER w AS before
            FROM ledger_postings WHERE account_id > :after AND account_id <= :last
            WINDOW w AS (PARTITION BY account_id ORDER BY version)) p
        WHERE version <> n OR previous_pence <> before""",
    # What is held is the sum of the holds that stand, and no more than there is.
    "held-within-posted": """
        SELECT a.id FROM ledger_accounts a LEFT JOIN (
            SELECT account_id, sum(amount_pence) AS pence FROM ledger_holds
            WHERE ended_at IS NULL AND account_id > :after AND account_id <= :last
            GROUP BY account_id) h ON h.account_id = a.id
        WHERE a.id > :after AND a.id <= :last AND (a.held_pence <> coalesce(h.pence, 0)
            OR a.held_pence < 0 OR (a.held_pence > a.balance_pence AND NOT a.may_go_negative))""",
    # A closed account holds nothing.
    "closed-is-empty": """
        SELECT a.id FROM ledger_accounts a WHERE a.id > :after AND a.id <= :last
            AND a.closed_at IS NOT NULL AND (a.balance_pence <> 0 OR a.held_pence <> 0)""",
    # Every transfer has its operation and two accounts of one source; a reversal mirrors one, and
    # a payment of a hold is what ended it.
    "no-orphan-transfer": """
        SELECT t.debit_id AS id FROM ledger_transfers t
        LEFT JOIN ledger_operations o ON o.id = t.operation_id AND t.id = ANY (o.ids)
        LEFT JOIN ledger_accounts d ON d.id = t.debit_id
        LEFT JOIN ledger_accounts c ON c.id = t.credit_id AND c.source_key = d.source_key
        LEFT JOIN ledger_transfers r ON r.id = t.reverses_id AND r.amount_pence = t.amount_pence
            AND r.debit_id = t.credit_id AND r.credit_id = t.debit_id
        LEFT JOIN ledger_hold_ends e ON e.hold_id = t.hold_id AND e.transfer_id = t.id
        WHERE t.debit_id > :after AND t.debit_id <= :last AND (o.id IS NULL OR d.id IS NULL
            OR c.id IS NULL OR (t.reverses_id IS NOT NULL AND r.id IS NULL)
            OR (t.hold_id IS NOT NULL AND e.hold_id IS NULL))""",
    # Every hold has its operation and account; it ended if and only if there is a row of its end,
    # by an operation too, and what was paid of it is a transfer out of that account, no more than
    # was held.
    "holds-end-once": """
        SELECT h.account_id AS id FROM ledger_holds h
        LEFT JOIN ledger_operations o ON o.id = h.operation_id AND h.id = ANY (o.ids)
        LEFT JOIN ledger_accounts a ON a.id = h.account_id
        LEFT JOIN ledger_hold_ends e ON e.hold_id = h.id
        LEFT JOIN ledger_transfers t ON t.id = e.transfer_id AND t.hold_id = h.id
            AND t.debit_id = h.account_id AND t.amount_pence = e.amount_pence
        LEFT JOIN ledger_operations eo ON eo.id = e.operation_id
            AND coalesce(e.transfer_id, e.hold_id) = ANY (eo.ids)
        WHERE h.account_id > :after AND h.account_id <= :last AND (o.id IS NULL OR a.id IS NULL
            OR (h.ended_at IS NULL) <> (e.hold_id IS NULL)
            OR (e.hold_id IS NULL) <> (eo.id IS NULL) OR e.amount_pence > h.amount_pence
            OR (e.kind = 'posted') <> (t.id IS NOT NULL)
            OR (e.kind <> 'posted' AND e.amount_pence <> h.amount_pence))""",
}
CONSERVED = "conserved-by-source"
ORPHAN_ENDS = "no-orphan-end"

_PAGE = text(
    "SELECT max(id::text)::uuid, count(*) FROM (SELECT id FROM ledger_accounts WHERE id > :after"
    " ORDER BY id LIMIT :limit) page"
).bindparams(bindparam("after", type_=PgUuid()))
_COUNTS = {
    rule: text(f"SELECT count(*), min(id::text)::uuid FROM ({query}) broken").bindparams(
        bindparam("after", type_=PgUuid()), bindparam("last", type_=PgUuid())
    )
    for rule, query in _RULES.items()
}
_SOURCES = text(
    "SELECT source_key, sum(balance_pence) <> 0 AS broken FROM ledger_accounts"
    " WHERE source_key > :after GROUP BY source_key ORDER BY source_key LIMIT :limit"
)
_ENDS = text(
    "SELECT count(*), min(hold_id::text)::uuid FROM ledger_hold_ends e"
    " WHERE NOT EXISTS (SELECT FROM ledger_holds h WHERE h.id = e.hold_id)"
)

RULES = (*_RULES, CONSERVED, ORPHAN_ENDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A rule that does not hold: for how many, and one of them (an account, hold or source)."""

    rule: str
    count: int
    example: str


async def look_at_accounts(
    session: AsyncSession, *, after: UUID = _FIRST, at_once: int = AT_ONCE
) -> tuple[list[Broken], UUID | None]:
    """Look at a page of accounts; return what is broken and where the next page starts.

    Pages cut up the space of all ids, so that a row of an account that is not there is seen too.
    """
    last, count = (await session.execute(_PAGE, {"after": after, "limit": at_once})).one()
    more = count == at_once
    bounds = {"after": after, "last": last if more else _LAST}
    broken = []
    for rule, statement in _COUNTS.items():
        number, example = (await session.execute(statement, bounds)).one()
        if number:
            broken.append(Broken(rule=rule, count=number, example=str(example)))
    return broken, last if more else None


async def look_at_sources(
    session: AsyncSession, *, after: str = "", at_once: int = AT_ONCE
) -> tuple[list[Broken], str | None]:
    """Look at a page of sources: what came in is spent, returned or left, to the penny."""
    rows = (await session.execute(_SOURCES, {"after": after, "limit": at_once})).all()
    wrong = [row.source_key for row in rows if row.broken]
    broken = [Broken(rule=CONSERVED, count=len(wrong), example=wrong[0])] if wrong else []
    return broken, rows[-1].source_key if len(rows) == at_once else None


async def look_at_ends(session: AsyncSession) -> list[Broken]:
    """Look for ends of holds that are not there."""
    number, example = (await session.execute(_ENDS)).one()
    return [Broken(rule=ORPHAN_ENDS, count=number, example=str(example))] if number else []


async def look(session: AsyncSession) -> list[Broken]:
    """Look at all there is, in one session; for small books and for a demo."""
    broken = await look_at_ends(session)
    account: UUID | None = _FIRST
    while account is not None:
        found, account = await look_at_accounts(session, after=account)
        broken += found
    source: str | None = ""
    while source is not None:
        found, source = await look_at_sources(session, after=source)
        broken += found
    return broken
