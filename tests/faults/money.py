"""A round of money under kill -9: one town, a few people, groups that close or run out.

The people of a round take part in every group of it, so that one budget is asked for several
things at once. ``Round.check`` counts afterwards, past all policies, what the books hold.
"""

import asyncio
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg

from api.areas.schemas import AreaOut
from api.core import clock
from api.core.config import Settings
from api.core.db import Database
from api.identity.rules import Task
from api.ledger import invariants
from api.pools.rules import use_id
from tests.fixtures.crew import Crew
from tests.groups import Member, Town, found_town
from tests.make import Account, Maker, good, refused

from .storm import Answer, Stubborn

PURSE = 60_000
LINES = [
    {"words": "The hall", "purpose": "dance", "pence": 1_801},
    {"words": "Kay leads", "purpose": "dance", "pence": 700},
]
PRICE = 10 * 2_501
PROMISED = 11_000

_OVER = ("promise-in-time", "promise-at-its-time")
_ONCE = (
    *("started", "offer_chosen", "promises_opened", "review_asked", "approved", "signed"),
    *("begun", "reviewed", "gave_back", "closed"),
)

_UNDONE = "SELECT task, attempts, last_error, dead_at IS NOT NULL FROM outbox WHERE done_at IS NULL"
_SWEPT = """
SELECT count(DISTINCT task) FROM outbox
WHERE task IN ('pools.sweep', 'decisions.sweep') AND created_at > %s
"""
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
_ESCALATED = """
SELECT state, escalated_at IS NOT NULL, (SELECT count(*) FROM decision_events e
    WHERE e.sign_off_id = s.id AND e.what = 'escalated')
FROM sign_offs s WHERE subject_id = ANY (%s)
"""


class Makes(Maker):
    """Makes areas in which silence goes up after a working day."""

    async def area(self, **settings: Any) -> AreaOut:
        """Make an area that differs from the usual one in ``settings``."""
        return await super().area(**{"sign_off_working_days": 1} | settings)


@dataclass(slots=True)
class Group(Town):
    """A group whose own task is the real worker's: whoever waits for it waits for the worker."""

    url: str = ""
    final: dict[UUID, int] = field(default_factory=dict)

    async def advance(self, *, at: Any = None) -> None:
        """Wait until all that follows by itself has followed."""
        await asyncio.to_thread(rest, self.url)

    async def decide(self, who: Account, person: Member, **body: Any) -> None:
        """Give somebody's go-ahead for this group: their money is asked for by others too."""
        assert self.pool_id is not None
        subject = str(use_id(self.pool_id, person.budget.id))
        (asked,) = [one for one in await self.sign_offs(who) if one["subject_id"] == subject]
        path = f"/v1/sign-offs/{asked['id']}/decision"
        headers = who.headers | {"Idempotency-Key": uuid4().hex}
        decision = {"outcome": "approved"} | body
        good(await self.maker.client.post(path, json=decision, headers=headers))

    async def open(self, people: list[Member], *, lasts: timedelta) -> None:
        """Go from an idea to promises that are taken for so long."""
        await self.start([replace(one) for one in people])
        await self.costed(lines=LINES)
        while True:
            body = {"to": "pledging", "promise_by": (clock.now() + lasts).isoformat()}
            answer = await self.send("POST", "/steps", self.members[0], body)
            if answer.is_success:
                return
            refused(answer, 422, "day-to-come")  # it was over before it could be asked for

    async def promises(self, one: Member, amounts: list[int], chance: random.Random) -> None:
        """Promise one amount after another, each in the place of the one before.

        Now and then two taps send the same request at once, or a promise is taken back first.
        """
        for pence in amounts:
            body = {"budget_id": str(one.budget.id), "amount_pence": pence}
            headers = one.headers | {"Idempotency-Key": uuid4().hex}
            taps = [
                self.maker.client.post(f"{self.path}/pledges", json=body, headers=headers)
                for _ in range(chance.choice((1, 1, 2)))
            ]
            answers = await asyncio.gather(*taps)
            assert len({(it.status_code, it.json().get("id")) for it in answers}) == 1
            if not answers[0].is_success:
                assert refused(answers[0], 409)["rule"] in _OVER
                return
            self.final[one.budget.id] = pence
            if chance.random() < 0.2 and pence != amounts[-1]:
                path = f"/pledges/{answers[0].json()['id']}"
                ended = good(await self.send("DELETE", path, one, keyed=False))
                if ended["state"] == "let_go":  # and not run out a moment before
                    self.final.pop(one.budget.id)
            await asyncio.sleep(chance.uniform(0, 0.3))

    async def promise_at_random(self, amounts: list[int], chance: random.Random) -> None:
        """Let everybody promise at the same time."""
        await asyncio.gather(*(self.promises(one, amounts, chance) for one in self.members))


def rest(url: str, *, seconds: float = 150, swept_after: datetime | None = None) -> None:
    """Wait until the outbox is empty, whatever is killed meanwhile; fail on a row given up.

    ``swept_after``: and until the relay has sent a sweep of groups and one of go-aheads since.
    """
    found: list[tuple[Any, ...]] = []

    def look() -> bool:
        with psycopg.connect(url, autocommit=True) as connection:
            swept = connection.execute(_SWEPT, [swept_after]).fetchone()
            found[:] = connection.execute(_UNDONE).fetchall()
        assert not any(dead for *_, dead in found), f"given up: {found}"
        return not found and (swept_after is None or swept == (2,))

    until = time.monotonic() + seconds
    while True:
        with suppress(psycopg.OperationalError):
            if look():
                return
        assert time.monotonic() < until, f"still to do after {seconds} s: {found}"
        time.sleep(0.1)


class Round:
    """A town of its own, three people in it, and three groups of theirs."""

    def __init__(self, settings: Settings, crew: Crew, chance: random.Random) -> None:
        self._settings, self._crew, self._chance = settings, crew, chance
        self._url = settings.migrate_url or ""
        self._database = Database(settings.database_url, application_name="kith-test", pool_size=2)
        self.sent = Stubborn()
        self._client = httpx2.AsyncClient(transport=self.sent, base_url=crew.api_url)
        self.people: list[Member] = []
        self.whole: Group
        self.short: Group
        self.waiting: Group

    async def found(self) -> None:
        """Found the town while nothing is wrong."""
        town = await found_town(Makes(self._client, self._database), self._database)
        for kind in ("direct_payment", "own_money", "personal_health_budget"):
            self.people.append(await town.person(kind=kind, pence=PURSE))
        parts = {name: getattr(town, name) for name in Town.__dataclass_fields__}
        self.whole, self.short, self.waiting = (
            Group(**parts | {"members": []}, url=self._url) for _ in range(3)
        )
        await asyncio.to_thread(rest, self._url)

    async def live(self) -> None:
        """Let every group go as far as it goes by itself."""
        async with asyncio.TaskGroup() as several:
            for way in (self._closes, self._runs_out, self._waits):
                several.create_task(way())

    async def after(self) -> None:
        """Look at what the passing days brought; then close what still waits for a go-ahead."""
        await asyncio.to_thread(rest, self._url, swept_after=clock.now() - timedelta(days=1))
        assert await self.short.state() == "expired"
        asked = [
            use_id(self.waiting.pool_id, one.budget.id)  # type: ignore[arg-type]
            for one in self.people
            if one.budget.kind != "own_money"
        ]
        assert self._all(_ESCALATED, asked) == [("waiting", True, 1)] * 2
        assert await self.waiting.state() == "review"
        await self.waiting.post("/steps", self.waiting.members[0], {"to": "closed"})
        await asyncio.to_thread(rest, self._url)

    async def end(self) -> None:
        """Let go of all connections."""
        await self._client.aclose()
        await self._database.close()

    async def _closes(self) -> None:
        group, chance = self.whole, self._chance
        await group.open(self.people, lasts=timedelta(days=14))
        amounts = [chance.randrange(1, PROMISED) for _ in range(2)]
        await group.promise_at_random([*amounts, PROMISED], chance)
        await group.review()
        await group.approve_all()
        await group.sign()
        for number in (1, 2):
            await group.stage(number)
        await asyncio.gather(*(group.confirm_payments() for _ in range(2)))
        await group.advance()

    async def _runs_out(self) -> None:
        """Promise too little, until the deadline: soon, or while everything is down."""
        chance = self._chance
        soon = timedelta(seconds=chance.uniform(1, 3))
        lasts = chance.choice((soon, timedelta(days=2)))
        await self.short.open(self.people, lasts=lasts)
        amounts = [chance.randrange(1, PRICE // 4) for _ in range(10 if lasts is soon else 3)]
        await self.short.promise_at_random(amounts, chance)

    async def _waits(self) -> None:
        group = self.waiting
        await group.open(self.people, lasts=timedelta(days=14))
        await group.promise_at_random([PROMISED], self._chance)
        await group.review()

    async def check(self) -> None:
        """Count what the books hold: all that was promised, once, and every penny at its place."""
        states = [await one.state() for one in self._groups]
        assert states == ["closed", "expired", "closed"]
        assert not [told for told in self.sent.tally if told.startswith("500")]
        self._check_promises()
        await self._check_answers()
        self._check_payments()
        self._check_steps()
        self._check_sources()
        task = Task("ledger.invariants", uuid4())
        fresh = Database(self._settings.worker_url, application_name="kith-test", pool_size=1)
        async with fresh.read(actor=task, now=clock.now()) as session:
            assert await invariants.look(session) == []
        await fresh.close()

    @property
    def _groups(self) -> tuple[Group, Group, Group]:
        return self.whole, self.short, self.waiting

    @property
    def _pools(self) -> list[UUID]:
        return [one.pool_id for one in self._groups if one.pool_id is not None]

    @property
    def _promised(self) -> dict[str, Answer]:
        """What clients were told of promises, by the promise's key."""
        return {one.key: one for one in self.sent.answers if one.path.endswith("/pledges")}

    async def _check_answers(self) -> None:
        """The same request long afterwards still gets the first answer, and does nothing."""
        for key, first in self._promised.items():
            if first.status == 201:
                headers = first.headers | {"Idempotency-Key": key}
                again = good(
                    await self._client.post(first.path, content=first.asked, headers=headers)
                )
                same = ("id", "pool_id", "budget_id", "amount_pence", "made_at")
                assert [again[name] for name in same] == [first.body[name] for name in same]

    def _check_promises(self) -> None:
        told = {key: one for key, one in self._promised.items() if one.status == 201}
        for key, at in self.sent.nothing_done.items():
            if self.sent.taps[key] == 1 and key in told:
                assert datetime.fromisoformat(told[key].body["made_at"]) >= at, "it was done before"
        rows = self._all(_PLEDGES, self._pools)
        assert Counter(str(row[0]) for row in rows) == Counter(
            one.body["id"] for one in told.values()
        )
        accounts = {one.budget.id: one.budget.account_id for one in self.people}
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
        for group, state in ((self.whole, "returned"), (self.short, "expired")):
            for budget_id in accounts:
                wanted_ends = int(budget_id in group.final)
                assert ends[group.pool_id, budget_id, state] == wanted_ends  # type: ignore[index]
        assert self._all(_HOLDS, list(accounts.values())) == [(len(rows), 0)]

    def _check_payments(self) -> None:
        shares = self._all(_SHARES, str(self.whole.pool_id))
        assert shares == [(0, True, PROMISED)] * len(self.people)
        payments = self._all(_PAYMENTS, self.whole.pool_id)
        assert len(payments) == 2 * len(self.people)
        assert {state for _, _, state, _, _ in payments} == {"confirmed"}
        assert sum(pence for _, pence, _, _, _ in payments) == PRICE
        moved = [one for *_, made, settled in payments for one in (made, settled)]
        assert len(set(moved)) == len(moved)
        assert None not in moved

    def _check_steps(self) -> None:
        for group in self._groups:
            steps = self._all(_STEPS, group.pool_id)
            assert [version for version, _ in steps] == list(range(1, len(steps) + 1))
        count = Counter(what for _, what in self._all(_STEPS, self.whole.pool_id))
        assert {what: count[what] for what in _ONCE} == dict.fromkeys(_ONCE, 1)
        assert (count["passed"], count["part_paid"], count["joined"]) == (2, 2, 2)

    def _check_sources(self) -> None:
        used: Counter[UUID] = Counter()
        for budget_id, pence, *_ in self._all(_PAYMENTS, self.whole.pool_id):
            used[budget_id] += pence
        keys = [one.budget.source_key for one in self.people]
        stands = {(key, kind): pence for key, kind, pence in self._all(_BY_KIND, keys)}
        for one in self.people:
            key, spent = one.budget.source_key, used[one.budget.id]
            assert stands.pop((key, "source")) == -PURSE
            assert stands.pop((key, "budget")) == PURSE - spent
            assert stands.pop((key, "paid")) == spent
        assert not any(stands.values())

    def _all(self, query: str, value: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url) as connection:
            return connection.execute(query, [value]).fetchall()
