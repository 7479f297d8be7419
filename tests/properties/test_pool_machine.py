"""A group from idea to last penny, as hypothesis thinks of it, with real connections at once.

After every step ``pool_model`` counts all again: conservation, holds and promises, shares, steps,
what must be there before signing, nothing paid twice, nothing posted in a pause. What is refused
leaves every table as it was. Two to four acts at the same moment may end in any order.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from api.core.config import Settings
from api.core.db import Database
from api.core.errors import Refusal
from api.identity.rules import CodeHolder, Task
from api.ledger import invariants
from api.pools import service
from api.pools.rules import RUNNING
from api.pools.schemas import NewPool
from tests.fixtures.front import serving
from tests.fixtures.servers import Servers
from tests.groups import Town, found_town
from tests.make import TESTS, Account, Maker, now
from tests.properties.pool_acts import Act, Acts, Someone, shape_of
from tests.properties.pool_model import TABLES, Seen, Watch, fingerprint, look, phases

T = TypeVar("T")

PLAIN_SECONDS = 10
DEEP_STEPS = 20_000
MUST_REACH = ("contracted", "part_paid", "closed", "expired", "declined", "paused")
PHASES = (
    "gathering",
    "pledging",
    "review",
    "approved",
    "contracted",
    "contracted",
    "delivering",
    "delivering",
    "reviewed",
)
PEOPLE = (
    "join",
    "leave",
    "offer",
    "choose",
    "vote",
    "cast",
    "cast",
    "move",
    "close",
    "say",
    "let_go",
)
STAFF = (
    *("decide", "decide", "challenge", "challenge", "stop", "answer", "answer"),
    *("pause", "resume", "body", "approve", "exit", "exit", "confirm", "settle_estates"),
    *("purposes", "purposes", "freeze", "thaw", "thaw"),
)
_RUNNING = ("say", "say", "say", "leave", "join", "promise", "promise", "vote", "cast", "exit")
# What is likeliest to matter where the group stands.
FIT = {
    "gathering": ("join", "offer", "vote", "cast", "choose", "leave"),
    "costed": ("choose", "move", "vote", "cast", "join", "leave"),
    "pledging": (
        "promise",
        "promise",
        "promise",
        "let_go",
        "join",
        "leave",
        "move",
        "vote",
        "cast",
    ),
    "expired": ("promise", "move", "vote", "cast", "let_go", "close"),
    "review": ("decide", "decide", "decide", "challenge", "let_go", "leave", "exit", "stop"),
    "approved": (
        "body",
        "body",
        "approve",
        "approve",
        "approve",
        "vote",
        "cast",
        "let_go",
        "leave",
    ),
    "contracted": _RUNNING,
    "delivering": (*_RUNNING, "confirm", "pause", "resume", "stop", "let_go", "decide", "purposes"),
    "reviewed": ("confirm", "confirm", "settle_estates", "exit", "leave", "pause", "resume"),
    "closed": ("leave", "exit", "confirm"),
}
# What is worth doing at the very same moment, often by or about the same person.
BESIDE = (
    ("promise", "advance"),
    ("promise", "advance", "promise"),
    ("promise", "pause"),
    ("promise", "leave"),
    ("promise", "promise"),
    ("promise", "let_go", "advance"),
    ("promise", "exit"),
    ("promise", "stop"),
    ("promise", "freeze"),
    ("promise", "move"),
    ("promise", "purposes", "leave"),
    ("leave", "advance"),
    ("leave", "leave", "advance"),
    ("leave", "join"),
    ("leave", "approve", "advance"),
    ("join", "join"),
    ("join", "join", "join", "leave"),
    ("join", "exit"),
    ("join", "exit"),
    ("exit", "leave"),
    ("exit", "advance"),
    ("advance", "advance"),
    ("advance", "advance", "say"),
    ("advance", "stop"),
    ("advance", "pause"),
    ("advance", "freeze"),
    ("advance", "purposes"),
    ("advance", "confirm"),
    ("cast", "advance"),
    ("cast", "advance"),
    ("pause", "leave"),
    ("pause", "say", "leave"),
    ("cast", "cast", "advance"),
    ("cast", "leave", "advance"),
    ("vote", "vote"),
    ("say", "advance"),
    ("say", "say", "advance"),
    ("say", "leave"),
    ("say", "pause"),
    ("decide", "advance"),
    ("decide", "let_go", "advance"),
    ("decide", "leave"),
    ("decide", "challenge"),
    ("approve", "approve", "advance"),
    ("body", "approve", "advance"),
    ("move", "advance"),
    ("close", "advance", "promise"),
    ("confirm", "confirm"),
    ("stop", "answer", "advance"),
)
SEEDS = st.integers(0, 2**64 - 1)


class World:
    """What all runs share: a town on a database of its own, and how to make it as it was."""

    def __init__(self, chosen: Settings, superuser_url: str) -> None:
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.api = Database(chosen.database_url, application_name="kith-machine", pool_size=6)
        self.worker = Database(chosen.worker_url, application_name="kith-machine", pool_size=6)
        self.owner = psycopg.connect(superuser_url, autocommit=True)
        self.owner.execute("SET session_replication_role = replica")
        self.counts: Counter[str] = Counter()
        self.reached: Counter[str] = Counter()
        self.town: Town
        self.other: Account
        self.people: list[Someone] = []
        self.runner.run(self._found(chosen))
        self._keep()
        self.start = now()
        self.deep = False
        self.until = 0.0

    @property
    def enough(self) -> bool:
        """Say whether so much was done that the rest may be left out."""
        did = self.counts
        if self.deep:
            return did["steps"] >= DEEP_STEPS
        some = did["steps"] > 100 and did["refusals"] > 10 and did["together"] > 5
        return some and time.monotonic() > self.until

    async def _found(self, chosen: Settings) -> None:
        client = await self.stack.enter_async_context(serving(chosen))
        town = self.town = await found_town(Maker(client, self.api), self.worker)
        self.other = await town.maker.account(town.area, "manager")
        charity = await town.maker.funder(town.area, body="charity", finance=town.finance)
        both = ("dance", "music")
        for number, (kind, purposes, more, account) in enumerate(
            (
                ("direct_payment", both, None, False),
                ("personal_health_budget", both, None, False),
                ("own_money", (), None, False),
                ("direct_payment", ("dance",), "own_money", False),
                ("grant", both, None, True),
                ("direct_payment", ("dance",), "grant", False),
            )
        ):
            holder = await town.maker.account(town.area, "provider") if account else None
            story = await town.maker.story(town.area, account=holder)
            kinds = {kind: purposes} | ({more: both} if more else {})
            made = []
            for one, codes in kinds.items():
                funder = {
                    "direct_payment": town.council,
                    "personal_health_budget": town.nhs,
                    "grant": charity,
                }.get(one)
                made.append(
                    await town.maker.budget(
                        story, kind=one, pence=9_000, funder=funder, purposes=codes
                    )
                )
            worker = town.nurse if kind == "personal_health_budget" else town.social_worker
            await town.maker.assignment(story, worker, manager=town.manager, agreed=True)
            actor = holder.actor if holder else CodeHolder("person", story.id, story.id)
            self.people.append(
                Someone(number=number, id=story.id, actor=actor, budgets=tuple(made))
            )

    def _keep(self) -> None:
        self.owner.execute("CREATE SCHEMA kept")
        for table in TABLES:
            self.owner.execute(f"CREATE TABLE kept.{table} AS TABLE public.{table}")

    def as_it_was(self) -> None:
        """Make every table as it was when the town was founded, past all guards."""
        with self.owner.transaction():
            self.owner.execute(f"TRUNCATE {', '.join(TABLES)}")
            for table in TABLES:
                self.owner.execute(f"INSERT INTO {table} SELECT * FROM kept.{table}")

    def do(self, work: Awaitable[T]) -> T:
        """Wait for something."""

        async def go() -> T:
            return await work

        return self.runner.run(go())

    def close(self) -> None:
        """Leave."""
        self.do(self.stack.aclose())
        self.do(self.api.close())
        self.do(self.worker.close())
        self.runner.close()
        self.owner.close()


WORLD: list[World] = []


class Group(RuleBasedStateMachine):
    """One group after another, and whatever hypothesis thinks of doing to it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = WORLD[0]
        self.told: list[str] = []
        self.acts: Acts
        self.watch: Watch
        self.before: Any = None
        self.now: datetime = self.world.start
        self.rest = 0

    @initialize(by=SEEDS)
    def begin(self, by: int) -> None:
        """Start in a town as it was, and go on quickly to some state."""
        if self.world.enough:
            return
        self.world.as_it_was()
        r = self.chance(by)
        self.start_group(r)
        self.lead_to(r, r.choice(PHASES))

    def chance(self, by: int) -> Random:
        """Return chances by a number, and by how far this run is: small numbers come often."""
        return Random(by * 1_000_003 + len(self.told))

    def start_group(self, r: Random, *, people: int | None = None, **shape: Any) -> None:
        """Let somebody start a group and most others join, with a first offer."""
        world = self.world
        first, *others = r.sample(world.people, len(world.people))
        new = NewPool(
            area=world.town.area.slug, name="Two Left Feet", summary="A dance.", called="First"
        )

        async def work(tx: Any) -> Any:
            made = await service.start(tx, actor=first.actor, now=self.now, new=new)
            return await service.invite(tx, actor=first.actor, now=self.now, pool_id=made.id)

        invited = world.do(world.api.run(work, actor=first.actor, now=self.now))
        seen = look(world.owner, invited.id)
        self.watch = Watch(seen)
        self.acts = Acts(
            town=world.town,
            more_staff=world.other,
            people=world.people,
            pool_id=invited.id,
            code=invited.code or "",
            now=self.now,
            seen=seen,
        )
        self.before = fingerprint(world.owner)
        self.rest = 0
        wanted = people or r.randint(2, 6)
        while len(self.acts.seen.inside) < wanted:
            self.acts.among = others
            act = self.acts.join(r)
            self.acts.among = None
            self.carry_out([act])
        self.carry_out([self.acts.offer(r, shape=shape_of(r) | shape)])

    def lead_to(self, r: Random, state: str) -> None:
        """Do what leads on until the group is there, or has had enough of trying."""
        for _ in range(100):
            if self.acts.seen.pool.state in (state, "closed") or not self.acts.seen.inside:
                return
            self.forward(r)

    def forward(self, r: Random) -> None:
        """One act that leads on."""
        act = self.acts.forward(r)
        if act is not None:
            self.carry_out([act])

    def told_in_pause(self, r: Random) -> None:
        """What happens in a pause: people go, parts are confirmed, wages are passed."""
        act = self.acts.in_pause(r)
        if act is not None:
            self.carry_out([act])

    @rule(by=SEEDS, many=st.integers(1, 2))
    def on(self, by: int, many: int) -> None:
        """Acts that lead on, often beside others. After a while at an end, a new group."""
        if self.world.enough:
            return
        r = self.chance(by)
        for _ in range(many):
            fit = (*FIT[self.acts.seen.pool.state], "advance", "advance")
            others = [r.choice(fit) for _ in range(r.randint(0, 2))]
            self._together(r, ["forward", *others])
        self.rest += self.acts.seen.pool.state == "closed" or not self.acts.seen.inside
        if self.rest > 1:
            self.start_group(r)
            self.lead_to(r, r.choice(PHASES))

    @rule(by=SEEDS)
    def fitting(self, by: int) -> None:
        """Something is done that fits where the group stands."""
        if self.world.enough:
            return
        self._any(by, FIT[self.acts.seen.pool.state])

    @rule(by=SEEDS)
    def somebody(self, by: int) -> None:
        """Somebody of the group does something, whether it fits or not."""
        self._any(by, (*PEOPLE, "promise", "promise"))

    @rule(by=SEEDS)
    def staff(self, by: int) -> None:
        """One of the staff does something."""
        self._any(by, STAFF)

    @rule(by=SEEDS)
    def time_passes(self, by: int) -> None:
        """Minutes, days or weeks go by, and the group's task runs."""
        if self.world.enough:
            return
        r = self.chance(by)
        self.now += timedelta(hours=r.choice([0.1, 5, 30, 30, 170, 400]))
        self.carry_out([self.acts.advance(r)])

    @rule(by=SEEDS)
    def beside(self, by: int) -> None:
        """Acts that get in each other's way, at the same moment."""
        if self.world.enough:
            return
        r = self.chance(by)
        names = r.choice(BESIDE)
        if r.random() < 0.6:
            self.acts.among = [self.acts.someone(r, inside="join" not in names or r.random() < 0.3)]
        self._together(r, names)

    @rule(by=SEEDS)
    def crowd(self, by: int) -> None:
        """Any two to four acts at the same moment."""
        if self.world.enough:
            return
        r = self.chance(by)
        fit = FIT[self.acts.seen.pool.state]
        names = [r.choice((*fit, "advance", r.choice(STAFF))) for _ in range(r.randint(2, 4))]
        self._together(r, names)

    def _any(self, by: int, names: tuple[str, ...]) -> None:
        """One act of these, alone or beside the task; the task then looks what follows, mostly."""
        if self.world.enough:
            return
        r = self.chance(by)
        beside = ["advance"] if r.random() < 0.3 else []
        pool = self.acts.seen.pool
        in_pause = pool.paused_at is not None and pool.state in RUNNING
        chosen = "forward" if in_pause and r.random() < 0.5 else r.choice(names)
        self._together(r, [chosen, *beside])
        if r.random() < 0.4:
            self.carry_out([self.acts.advance(r)])

    def _together(self, r: Random, names: Any) -> None:
        """Do these at once; often at the very last moment for promises, or of a vote."""
        seen = self.acts.seen
        last = seen.pool.promise_by if seen.pool.state == "pledging" else None
        if seen.open_vote is not None and r.random() < 0.7:
            last = seen.open_vote.closes_at
        at_last = last is not None and last > self.now and r.random() < 0.4
        if at_last:
            # Less the second that every step takes: the first act comes just before it is over.
            self.now = last - timedelta(seconds=1, milliseconds=1)
            self.acts.now = self.now
        found = [act for act in (self.acts.act(name, r) for name in names) if act is not None]
        self.acts.among = None
        r.shuffle(found)
        if at_last:
            found.sort(key=lambda act: act.name == "advance")
        if found:
            self.carry_out(found)

    def carry_out(self, acts: list[Act]) -> None:
        """Carry out acts, each on a connection of its own at the same moment; look at all."""
        self.now += timedelta(seconds=1)
        at = [self.now + timedelta(milliseconds=number) for number in range(len(acts))]

        async def all_at_once() -> list[Any]:
            calls = (self._one(act, moment) for act, moment in zip(acts, at, strict=True))
            return list(await asyncio.gather(*calls))

        told = [act.name for act in acts]
        try:
            answers = self.world.do(all_at_once())
            came = [one.rule if isinstance(one, Refusal) else "ok" for one in answers]
            told = [f"{name}: {what}" for name, what in zip(told, came, strict=True)]
            self._compare(acts, answers)
        except Exception as error:
            self._explain(error, told)
            raise
        self.told.append(f"{' | '.join(told)} [{self.acts.seen.pool.state}]")

    async def _one(self, act: Act, moment: datetime) -> Any:
        database = self.world.worker if isinstance(act.actor, Task) else self.world.api

        async def work(tx: Any) -> None:
            await act.work(tx, moment)

        try:
            return await database.run(work, actor=act.actor, now=moment)
        except Refusal as refusal:
            return refusal

    def _compare(self, acts: list[Act], answers: list[Any]) -> None:
        """Count, and look at everything that must hold."""
        counts, world = self.world.counts, self.world
        refused = [one for one in answers if isinstance(one, Refusal)]
        counts["steps"] += 1
        counts["acts"] += len(acts)
        counts["refusals"] += len(refused)
        counts["together"] += len(acts) > 1
        for act, answer in zip(acts, answers, strict=True):
            if isinstance(answer, Refusal):
                counts["busy"] += answer.status == 503
                assert not act.sure or answer.status == 503, f"{act.name}: {answer.rule}"
                assert len(acts) > 1 or answer.rule != "two-at-once"
        if len(refused) == len(acts):
            assert fingerprint(world.owner) == self.before, "a refusal left something behind"
            return
        before = self.acts.seen
        seen: Seen = look(world.owner, self.acts.pool_id)
        ran = len(acts) == 1 and acts[0].name == "advance"
        self.watch.after(seen, ran=ran)
        assert self.world.do(self._broken()) == []
        self.before = fingerprint(world.owner)
        world.reached.update(phases(before, seen))
        if self.world.deep and counts["steps"] % 100 == 0:
            print(time.strftime("%H:%M:%S"), dict(counts), flush=True)
        self.acts.seen, self.acts.now = seen, self.now

    async def _broken(self) -> list[invariants.Broken]:
        async with self.world.api.read(actor=TESTS, now=self.now) as session:
            return await invariants.look(session)

    def _explain(self, error: Exception, told: list[str]) -> None:
        """Say with a failure what had been done until then: acts at once are not done again."""
        steps = "\n".join([*self.told[-120:], f"{' | '.join(told)} <- here"])
        error.add_note(f"{len(self.told)} steps, the last of them:\n{steps}")


def tour(world: World) -> None:
    """Walk three groups to their ends by the plain way, so that each state is seen in every run."""
    machine = Group()
    world.as_it_was()
    r = Random(1)
    machine.start_group(r, people=4, stages=2, sessions=4, min_people=2, max_people=12)
    machine.lead_to(r, "review")
    machine.carry_out([machine.acts.advance(r)])
    refused = machine.acts.decide(r, yes=0)
    assert refused is not None, "somebody's money needs a go-ahead"
    machine.carry_out([refused])
    machine.carry_out([machine.acts.advance(r)])
    machine.lead_to(r, "delivering")
    machine.lead_to(r, "closed")
    machine.start_group(r, people=3)
    machine.lead_to(r, "pledging")
    machine.carry_out([machine.acts.promise(r, fair=True)])
    machine.now = machine.acts.seen.pool.promise_by
    machine.carry_out([machine.acts.advance(r)])
    machine.start_group(r, people=6, stages=2, sessions=4, min_people=2, max_people=12)
    machine.lead_to(r, "delivering")
    machine.carry_out([machine.acts.pause(Random(2))])
    for _ in range(12):
        machine.told_in_pause(r)
    machine.lead_to(r, "closed")


@pytest.fixture
def world(servers: Servers) -> Iterator[World]:
    """Lend a world."""
    name = servers.clone()
    made = World(servers.settings(name), servers.stack.database_url(role="postgres", database=name))
    WORLD.append(made)
    yield made
    WORLD.clear()
    made.close()


@pytest.mark.timeout(5400)
def test_a_group_keeps_every_rule_of_its_money_whatever_is_done_to_it(
    world: World, deep: bool, record_property: Any
) -> None:
    """Some seconds of it; with --deep, 20,000 steps and more."""
    runs = settings(
        max_examples=40,
        stateful_step_count=60 if deep else 20,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    world.deep, world.until = deep, time.monotonic() + PLAIN_SECONDS
    tour(world)
    for number in range(1, 100_000):
        try:
            run_state_machine_as_test(seed(number)(Group), settings=runs)
        except BaseException as error:
            error.add_note(f"in the runs of seed {number}")
            raise
        finally:
            print(number, dict(world.counts), dict(world.reached))
        if world.enough:
            break
    for name, count in (*world.counts.items(), *world.reached.items()):
        record_property(name, count)
    assert {name for name in MUST_REACH if not world.reached[name]} == set()
