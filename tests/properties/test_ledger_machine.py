"""The ledger beside a plain model of it, with real connections that act at the same moment.

After every step: conservation per source, nothing available below zero, derived equals stored,
versions without gaps, the very balances of the model. A refusal leaves every table of the ledger
byte for byte as it was. What happens at the same moment must be what some order of it would have
led to, answers and all.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from api.core.db import Database
from api.core.errors import Refusal
from api.ledger import invariants, service
from api.ledger.rules import Hold, NewAccount, PostHold, ReleaseHold, Reverse, Step, Transfer
from tests.books import NOW, TABLES, TESTS, Books, fingerprint
from tests.fixtures.servers import Servers
from tests.properties.ledger_model import Model, ModelAccount, Refused

PLAIN_SECONDS = 7
DEEP_STEPS = 20_000
ACCOUNTS = ("source", "budget", "pool_share", "provider"), ("source", "budget")
# Which account a step starts from: budget and share of the first source more often than others.
PAYERS = (1, 2, 1, 2, 1, 3, 5, 1, 2, 0, 5, 4)

OFTEN, SELDOM = ("hold", "transfer", "part"), ("post", "release", "reverse", "stranger")
KINDS_OF_STEP = (*OFTEN, *OFTEN, *SELDOM)

Wish = tuple[str, int, int, int]


def _wish(seed: int) -> Wish:
    """Return a step in numbers. By a seed, as hypothesis by itself repeats small numbers."""
    chance = random.Random(seed)
    pence = 99_999_999_999 if chance.random() < 0.03 else chance.randint(1, 60)
    return chance.choice(KINDS_OF_STEP), chance.randrange(120), chance.randrange(120), pence


WISHES = st.integers(0, 2**64 - 1).map(_wish)


class World:
    """What all runs of the machine share: a database of its own and the ways to it."""

    def __init__(self, api_url: str, owner_url: str) -> None:
        self.runner = asyncio.Runner()
        self.database = Database(api_url, application_name="kith-machine", pool_size=6)
        self.owner = psycopg.connect(owner_url, autocommit=True)
        self.steps = 0
        self.refusals = 0
        self.together = 0

    def empty(self) -> None:
        """Empty the ledger for the next run, past its guards."""
        guarded = ", ".join(TABLES)
        with self.owner.transaction():
            for table in TABLES:
                self.owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            self.owner.execute(f"TRUNCATE {guarded}")
            for table in TABLES:
                self.owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")

    def close(self) -> None:
        """Leave."""
        self.runner.run(self.database.close())
        self.runner.close()
        self.owner.close()


WORLD: list[World] = []


class Ledger(RuleBasedStateMachine):
    """Two sources with a few accounts each, and whatever hypothesis thinks of doing with them."""

    def __init__(self) -> None:
        super().__init__()
        self.world = WORLD[0]
        self.world.empty()
        self.books = Books(self.world.database)
        self.books.now = NOW
        self.model = Model()
        self.before = fingerprint(self.world.owner)

    @initialize(funds=st.lists(st.integers(50, 500), min_size=2, max_size=2))
    def open_and_fund(self, funds: list[int]) -> None:
        """Open all accounts; put money into both budgets."""
        new = [
            NewAccount(kind=k, owner_key=s, source_key=s, may_go_negative=k == "source")
            for s, kinds in zip(("one", "two"), ACCOUNTS, strict=True)
            for k in kinds
        ]
        ids = self._await(
            self.books.run(
                lambda tx: service.open_accounts(tx, actor=TESTS, now=self.books.now, new=new)
            )
        )
        for account_id, one in zip(ids, new, strict=True):
            self.model.accounts[account_id] = ModelAccount(one.source_key, one.may_go_negative)
        share = Transfer(debit_id=ids[1], credit_id=ids[2], amount_pence=40)
        for pence, at in zip(funds, (0, 4), strict=True):
            fund = Transfer(debit_id=ids[at], credit_id=ids[at + 1], amount_pence=pence)
            self._one([fund, share] if at == 0 else [fund])

    @rule(wish=WISHES)
    def one_step(self, wish: Wish) -> None:
        """A batch of one."""
        self._one([self._step(wish)])

    @rule(wishes=st.lists(WISHES, min_size=2, max_size=5))
    def linked(self, wishes: list[Wish]) -> None:
        """A batch of several: all or none."""
        self._one([self._step(wish) for wish in wishes])

    @rule(at=st.integers(0, 99), changed=st.booleans())
    def again(self, at: int, changed: bool) -> None:
        """An old key once more, with the same steps or with one more."""
        key, (steps, _) = _pick(list(self.model.keys.items()), at)
        more = [*steps, steps[0]] if changed else list(steps)
        self._one(more, key=key)

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        """Time goes by."""
        self.books.now += timedelta(hours=hours)

    @rule(limit=st.integers(1, 4), hours=st.integers(0, 30))
    def expire(self, limit: int, hours: int) -> None:
        """A sweep of what is due, after a while."""
        self.books.now += timedelta(hours=hours)
        freed = self._await(self.books.expire(limit=limit))
        assert freed == self.model.expire(now=self.books.now, limit=limit)
        self._check()

    @rule(at=st.integers(0, 5))
    def close(self, at: int) -> None:
        """An account is closed, if it is empty."""
        account = list(self.model.accounts)[at]
        stands = self.model.accounts[account]
        answer = self._await(_caught(self.books.close(account)))
        if stands.balance or stands.held:
            assert answer.rule == "account-not-empty"
            self._unchanged()
        else:
            stands.closed = True
            self._check()

    @rule(
        wishes=st.lists(st.lists(WISHES, min_size=1, max_size=2), min_size=2, max_size=4),
        twins=st.sampled_from(["none", "same", "changed"]),
        hours=st.sampled_from([None, None, None, 0, 10, 30]),
    )
    def together(self, wishes: list[list[Wish]], twins: str, hours: int | None) -> None:
        """Two to four batches at the same moment, each on a connection of its own.

        With ``hours``, a while later, a sweep of all that is due comes in between.
        """
        self.books.now += timedelta(hours=hours or 0)
        batches = [(uuid4().hex, [self._step(wish) for wish in one]) for one in wishes]
        if twins == "same":
            batches[1] = batches[0]
        elif twins == "changed":
            batches[1] = (batches[0][0], batches[1][1])

        async def all_at_once() -> list[Any]:
            calls = [_caught(self.books.post(*steps, key=key)) for key, steps in batches]
            sweep = [self.books.expire()] if hours is not None else []
            return list(await asyncio.gather(*calls, *sweep))

        answers = self._await(all_at_once())
        self.world.together += 1
        for order in itertools.permutations(range(len(answers))):
            model = self.model.copy()
            agreed = all(
                self._agrees(model, *batches[n], answers[n])
                if n < len(batches)
                else model.expire(now=self.books.now, limit=100) == answers[n]
                for n in order
            )
            if agreed and self._as_stored(model):
                self.model = model
                return self._check()
        raise AssertionError(f"no order of {batches} leads to {answers}")

    def _one(self, steps: Sequence[Step], key: str | None = None) -> None:
        """Carry out one batch and compare: answer, books, and nothing at all if refused."""
        key = key or uuid4().hex
        answer = self._await(_caught(self.books.post(*steps, key=key)))
        assert self._agrees(self.model, key, steps, answer), (steps, answer)
        if isinstance(answer, Refusal):
            self.world.refusals += 1
            self._unchanged()
        else:
            self._check()

    def _agrees(self, model: Model, key: str, steps: Sequence[Step], answer: Any) -> bool:
        ids = [] if isinstance(answer, Refusal) else answer.ids
        seen = key in model.keys
        try:
            expected = model.apply(key, steps, ids, now=self.books.now)
        except Refused as refused:
            return isinstance(answer, Refusal) and answer.rule == str(refused)
        if isinstance(answer, Refusal):
            return False
        return bool(answer.ids == expected and answer.again == seen)

    def _check(self) -> None:
        """After each step: the rules of the books, and the model's very figures."""
        assert self._as_stored(self.model), (self._stored(), self.model.accounts)

        async def look() -> list[invariants.Broken]:
            async with self.world.database.read(actor=TESTS, now=NOW) as session:
                return await invariants.look(session)

        assert self._await(look()) == []
        self.before = fingerprint(self.world.owner)
        self.world.steps += 1

    def _unchanged(self) -> None:
        assert fingerprint(self.world.owner) == self.before
        self.world.steps += 1

    def _stored(self) -> dict[UUID, tuple[int, int, int, bool]]:
        rows = self.world.owner.execute(
            "SELECT id, balance_pence, held_pence, version, closed_at IS NOT NULL"
            " FROM ledger_accounts"
        ).fetchall()
        return {row[0]: row[1:] for row in rows}

    def _as_stored(self, model: Model) -> bool:
        assert all(one.negative or one.balance >= one.held for one in model.accounts.values())
        return self._stored() == {
            key: (one.balance, one.held, one.version, one.closed)
            for key, one in model.accounts.items()
        }

    def _step(self, wish: Wish) -> Step:
        """Turn numbers into a step on what there is, most often one that can nearly be done."""
        kind, first, second, pence = wish
        debit = list(self.model.accounts)[_pick(PAYERS, first)]
        credit = self._credit(debit, second)
        hold = self._hold(first, second)
        match kind:
            case "hold":
                hours = second % 4 * 10
                until = self.books.now + timedelta(hours=hours) if hours else None
                pence = self._near(debit, second, pence)
                return Hold(account_id=debit, amount_pence=pence, expires_at=until)
            case "post":
                return PostHold(hold_id=hold, credit_id=credit)
            case "part":
                most = self.model.holds[hold].pence if hold in self.model.holds else 1
                part = pence if second % 5 == 0 else most + 1 - pence % (most + 1)
                return PostHold(hold_id=hold, credit_id=credit, amount_pence=part)
            case "release":
                return ReleaseHold(hold_id=hold)
            case "reverse":
                return Reverse(transfer_id=_pick(list(self.model.transfers), first))
            case "stranger":
                strange = [debit, credit]
                strange[second % 2] = uuid4()
                return Transfer(debit_id=strange[0], credit_id=strange[1], amount_pence=pence)
            case _:
                pence = self._near(debit, second, pence)
                return Transfer(debit_id=debit, credit_id=credit, amount_pence=pence)

    def _credit(self, debit: UUID, at: int) -> UUID:
        """Pick any account now and then, and else another one of the same source."""
        every = self.model.accounts
        same = [key for key, one in every.items() if one.source == every[debit].source]
        others = [key for key in same if key != debit]
        chosen: UUID = _pick(list(every) if at % 6 == 0 else others, at)
        return chosen

    def _hold(self, first: int, second: int) -> UUID:
        """Pick any hold now and then, and else one that stands."""
        standing = [key for key, hold in self.model.holds.items() if not hold.ended]
        among = list(self.model.holds) if second % 4 == 0 or not standing else standing
        chosen: UUID = _pick(among, first) if among else uuid4()
        return chosen

    def _near(self, account: UUID, at: int, pence: int) -> int:
        """Return all that is available or held there, a penny more, or the sum as it came."""
        stands = self.model.accounts[account]
        edge = (pence, stands.balance - stands.held, stands.balance, pence)[at % 4]
        return max(1, min(edge + at % 2, 100_000_000_000))

    def _await(self, work: Awaitable[Any]) -> Any:
        async def go() -> Any:
            return await work

        return self.world.runner.run(go())


async def _caught(work: Awaitable[Any]) -> Any:
    """Return what comes of ``work``, a refusal too. Anything else is a fault of ours."""
    try:
        return await work
    except Refusal as refusal:
        return refusal


def _pick(among: Sequence[Any], at: int) -> Any:
    return among[at % len(among)]


@pytest.fixture
def world(servers: Servers) -> Iterator[World]:
    """Lend a world."""
    chosen = servers.settings(servers.clone())
    made = World(chosen.database_url, chosen.migrate_url or "")
    WORLD.append(made)
    yield made
    WORLD.clear()
    made.close()


@pytest.mark.timeout(5400)
def test_the_ledger_does_what_a_plain_model_of_it_does(
    world: World, deep: bool, record_property: Any
) -> None:
    """A few seconds of it; with --deep, 20,000 steps and more."""
    runs = settings(
        max_examples=100 if deep else 5,
        stateful_step_count=60 if deep else 30,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    until = time.monotonic() + PLAIN_SECONDS
    while True:
        run_state_machine_as_test(Ledger, settings=runs)
        if world.steps >= DEEP_STEPS if deep else time.monotonic() > until:
            break
    for name in ("steps", "refusals", "together"):
        record_property(name, getattr(world, name))
    assert world.steps > 50
    assert world.refusals > 5
    assert world.together > 5
