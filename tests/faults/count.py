"""Counts after a round what the books hold: what was promised, once; each penny at its place."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg

from api.core import clock
from api.core.config import Settings
from api.core.db import Database
from api.identity.rules import Task
from api.ledger import invariants
from tests.groups import Member
from tests.make import good

from .groups import PRICE, Group
from .storm import Answer, Stubborn

PURSE = 60_000
PROMISED = 11_000

_ONCE = (
    *("started", "offer_chosen", "promises_opened", "review_asked", "approved", "signed"),
    *("begun", "reviewed", "gave_back", "closed"),
)
_PLEDGES = """
SELECT g.id, g.pool_id, g.budget_id, g.key, g.amount_pence, g.state, h.amount_pence, h.account_id,
    e.kind, (SELECT count(*) FROM ledger_operations o
        WHERE o.key = 'pool:' || g.pool_id || ':promise:' || g.member_id || ':' || g.key)
FROM pool_pledges g LEFT JOIN ledger_holds h ON h.id = g.hold_id
LEFT JOIN ledger_hold_ends e ON e.hold_id = h.id WHERE g.pool_id = ANY (%s) ORDER BY g.id
"""
_HOLDS = """
SELECT count(*), count(*) FILTER (WHERE ended_at IS NULL) FROM ledger_holds
WHERE account_id = ANY (%s)
"""
_BY_KIND = """
SELECT source_key, kind, sum(balance_pence)::bigint FROM ledger_accounts
WHERE source_key = ANY (%s) GROUP BY 1, 2
"""
_SHARES = """
SELECT a.balance_pence, a.closed_at IS NOT NULL, (SELECT sum(t.amount_pence)::bigint
    FROM ledger_transfers t WHERE t.credit_id = a.id)
FROM ledger_accounts a WHERE a.kind = 'pool_share' AND a.owner_key LIKE 'pool:' || %s || ':%%'
"""
_PAYMENTS = """
SELECT budget_id, amount_pence, state, transfer_id, settled_transfer_id FROM payments
WHERE for_id = %s
"""
_STEPS = "SELECT version, what FROM pool_steps WHERE pool_id = %s ORDER BY version"


class Count:
    """What three people hold after a group that closed, one that ran out, one that gave up."""

    def __init__(
        self, settings: Settings, people: Sequence[Member], groups: Sequence[Group]
    ) -> None:
        self._settings, self._people, self._groups = settings, people, groups
        self._whole, self._short, self._waiting = groups

    async def check(self, client: httpx2.AsyncClient, sent: Stubborn) -> None:
        """Fail unless all is there once. ``sent`` is what clients were told."""
        states = [await one.state() for one in self._groups]
        assert states == ["closed", "expired", "closed"]
        assert not [told for told in sent.tally if told.startswith("500")]
        promised = {one.key: one for one in sent.answers if one.path.endswith("/pledges")}
        told = {key: one for key, one in promised.items() if one.status == 201}
        self._check_promises(told)
        self._check_honesty(told, sent)
        await self._check_answers(told, client)
        self._check_payments()
        self._check_steps()
        self._check_sources()
        task = Task("ledger.invariants", uuid4())
        fresh = Database(self._settings.worker_url, application_name="kith-test", pool_size=1)
        async with fresh.read(actor=task, now=clock.now()) as session:
            assert await invariants.look(session) == []
        await fresh.close()

    async def _check_answers(self, told: dict[str, Answer], client: httpx2.AsyncClient) -> None:
        """The same request long afterwards still gets the first answer, and does nothing."""
        for key, first in told.items():
            headers = first.headers | {"Idempotency-Key": key}
            again = good(await client.post(first.path, content=first.asked, headers=headers))
            same = ("id", "pool_id", "budget_id", "amount_pence", "made_at")
            assert [again[name] for name in same] == [first.body[name] for name in same]

    def _check_honesty(self, told: dict[str, Answer], sent: Stubborn) -> None:
        """Whoever was told that nothing was changed promised later than that."""
        for key, at in sent.nothing_done.items():
            if sent.taps[key] == 1 and key in told:
                assert datetime.fromisoformat(told[key].body["made_at"]) >= at

    def _check_promises(self, told: dict[str, Answer]) -> None:
        """One promise, one hold, one operation for each that was told, and none besides."""
        rows = self._all(_PLEDGES, [one.pool_id for one in self._groups])
        assert Counter(str(row[0]) for row in rows) == Counter(
            one.body["id"] for one in told.values()
        )
        accounts = {one.budget.id: one.budget.account_id for one in self._people}
        ends: Counter[tuple[UUID, UUID, str]] = Counter()
        for _, pool_id, budget_id, key, pence, state, held, account_id, end, operations in rows:
            body = told[key].body
            assert (str(pool_id), str(budget_id)) == (body["pool_id"], body["budget_id"])
            assert pence == held == body["amount_pence"]
            assert (account_id, operations) == (accounts[budget_id], 1)
            wanted = {"returned": "posted", "expired": "released", "let_go": "released"}
            assert end == wanted[state]
            ends[pool_id, budget_id, state] += 1
            if state != "let_go":
                group = next(one for one in self._groups if one.pool_id == pool_id)
                assert group.final[budget_id] == pence
        for group, state in ((self._whole, "returned"), (self._short, "expired")):
            for budget_id in accounts:
                wanted_ends = int(budget_id in group.final)
                assert ends[group.pool_id, budget_id, state] == wanted_ends  # type: ignore[index]
        assert self._all(_HOLDS, list(accounts.values())) == [(len(rows), 0)]

    def _check_payments(self) -> None:
        shares = self._all(_SHARES, str(self._whole.pool_id))
        assert shares == [(0, True, PROMISED)] * len(self._people)
        payments = self._all(_PAYMENTS, self._whole.pool_id)
        assert len(payments) == 2 * len(self._people)
        assert {state for _, _, state, _, _ in payments} == {"confirmed"}
        assert sum(pence for _, pence, _, _, _ in payments) == PRICE
        moved = [one for *_, made, settled in payments for one in (made, settled)]
        assert len(set(moved)) == len(moved)
        assert None not in moved

    def _check_steps(self) -> None:
        for group in self._groups:
            steps = self._all(_STEPS, group.pool_id)
            assert [version for version, _ in steps] == list(range(1, len(steps) + 1))
        count = Counter(what for _, what in self._all(_STEPS, self._whole.pool_id))
        assert {what: count[what] for what in _ONCE} == dict.fromkeys(_ONCE, 1)
        assert (count["passed"], count["part_paid"], count["joined"]) == (2, 2, 2)

    def _check_sources(self) -> None:
        used: Counter[UUID] = Counter()
        for budget_id, pence, *_ in self._all(_PAYMENTS, self._whole.pool_id):
            used[budget_id] += pence
        keys = [one.budget.source_key for one in self._people]
        stands = {(key, kind): pence for key, kind, pence in self._all(_BY_KIND, keys)}
        for one in self._people:
            key, spent = one.budget.source_key, used[one.budget.id]
            assert stands.pop((key, "source")) == -PURSE
            assert stands.pop((key, "budget")) == PURSE - spent
            assert stands.pop((key, "paid")) == spent
        assert not any(stands.values())

    def _all(self, query: str, value: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._settings.migrate_url or "") as connection:
            return connection.execute(query, [value]).fetchall()
