"""Twelve people, three funders and their own money, from an idea to the last penny back (J3).

Everything goes over HTTP, and what follows by itself is done by a real relay and worker. After
every step a member, each in turn, adds up the group's books.
"""

from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from api.areas.rules import AreaSettings
from api.decisions import service as decisions
from api.decisions.rules import sign_off_due
from api.identity.rules import Task
from api.ledger import invariants
from api.ledger import service as ledger
from tests.fixtures.crew import Crew
from tests.groups import Member, Town
from tests.make import TESTS, good, now, refused

pytestmark = pytest.mark.anyio

PENCE, PROMISE = 12_000, 11_000
LINES = [
    {"words": "The hall", "purpose": "dance", "pence": 3_200},
    {"words": "Kay leads", "purpose": "dance", "pence": 5_100},
    {"words": "Tea afterwards", "purpose": "company", "pence": 1_550},
]
SESSION, SESSIONS = 9_850, 10
# What only those whom it is about may read.
WHY_NO = "Quietly-one: the plan is being written anew."
WHY_LEFT = "Quietly-two: somebody there frightens me."
WHY_PAUSED = "Quietly-three: she died on Sunday."
WHY_WITHDREW = "Quietly-four: this fund closes in May."
QUIET = (WHY_NO, WHY_LEFT, WHY_PAUSED, WHY_WITHDREW)


@dataclass
class Twelve(Town):
    """The group. Every change is followed by a look at its books by the next member in turn."""

    crew: Crew = field(kw_only=True)
    turn: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, method: str, path: str, who: Any, body: Any = None, **how: Any) -> Any:
        """Send a request; after a change let a member add up."""
        answer = await super().send(method, path, who, body, **how)
        if method != "GET" and answer.is_success and self.members:
            await self.add_up()
        return answer

    async def advance(self, *, at: datetime | None = None) -> None:
        """Wait until the real worker has done what follows; what was told before is told still."""
        if at is not None:
            await super().advance(at=at)
        self.crew.drain(seconds=60)
        await self.add_up()
        # 4. Nothing is ever deleted: the history grows at its end and nowhere else.
        told = (await self.get("/history", self.members[0]))["items"]
        assert told[: len(self.told)] == self.told
        assert [one["version"] for one in told] == list(range(1, len(told) + 1))
        self.told = told

    async def add_up(self) -> None:
        """2. At every moment the shares sum to the group's money; any member can see it."""
        self.turn += 1
        books = await self.get("/books", self.members[self.turn % len(self.members)])
        for what in ("put_in_pence", "used_pence", "returned_pence", "left_pence"):
            assert sum(share[what] for share in books["shares"]) == books[what]
        assert books["missing_pence"] == 0
        assert books["put_in_pence"] == (
            books["used_pence"] + books["returned_pence"] + books["left_pence"]
        )

    async def mine(self, one: Member) -> dict[str, Any]:
        """1. One screen: what I put in, what for, what was spent, what would come back today."""
        screen: dict[str, Any] = await self.get("/mine", one)
        return screen

    async def free(self, one: Member) -> int:
        """Return the pence of a budget that its person can use for anything else."""
        path = f"/v1/budgets/{one.budget.id}"
        seen = good(await self.maker.client.get(path, headers=one.headers))
        return int(seen["free_pence"])


async def found_twelve(town: Town, crew: Crew) -> Twelve:
    """Six with a direct payment, two with an NHS budget, two with a grant, two with their own."""
    group = Twelve(**{one.name: getattr(town, one.name) for one in fields(Town)}, crew=crew)
    charity = await town.maker.funder(town.area, body="charity", finance=town.finance)
    plans = {"direct_payment": ("dance", "company"), "personal_health_budget": ("physio",)}
    kinds = ["direct_payment"] * 6 + ["personal_health_budget"] * 2 + ["grant"] * 2
    people = [
        await town.person(
            kind=kind,
            pence=PENCE,
            purposes=plans.get(kind, ("dance",)),
            funder=charity if kind == "grant" else None,
        )
        for kind in [*kinds, "own_money", "own_money"]
    ]
    await group.start(people)
    return group


async def agree(group: Twelve) -> None:
    """Agree the six rules, and choose an offer by one person one vote."""
    first, second, *_ = group.members
    # 5. No pound before the rules; what was not talked about stands at its plain default.
    refused(await group.promise(first, PROMISE), 409, "promise-at-its-time")
    good(await group.send("PUT", "/choices", first, {"choices": {"illness": "three_free"}}))
    offer = await group.offer(lines=LINES, sessions=SESSIONS, stages=2, notice_sessions=2)
    # 7. Easy words belong to every question; half of the group is not enough.
    bare = {"motion": "choose_offer", "words": "Kay, on Tuesdays?"}
    refused(await group.send("POST", "/votes", first, bare), 400)
    seen = await group.post("/votes", first, bare | {"easy_words": "Kay? Yes or no?"})
    vote = seen["votes"][-1]
    ballots, choice = f"/votes/{vote['id']}/ballots", {"choice": str(offer)}
    for one in group.members[:6]:
        await group.post(ballots, one, choice | {"helped": "read_out"})
    # 7. One person one vote; a helper helps and does not vote.
    refused(await group.send("POST", ballots, second, choice), 409, "one-person-one-vote")
    refused(await group.send("POST", ballots, group.social_worker, choice), 404)
    await group.advance(at=datetime.fromisoformat(vote["closes_at"]) + timedelta(seconds=1))
    assert (await group.get("", first))["votes"][-1]["outcome"] == "not_counted"
    chosen = await group.vote("choose_offer", str(offer))
    assert (chosen["outcome"], chosen["counts"]) == ("passed", {str(offer): 12})
    await group.pledging()
    rules = (await group.get("", first))["choices"]
    assert len([one for one in rules if one["version"] >= 1]) == 6
    assert {one["choice"] for one in rules} >= {"three_free", "notice", "back_to_source"}


async def promise(group: Twelve) -> None:
    """Promise; the NHS money only once its plan names what this is for."""
    nhs, last = group.members[6:8], group.members[11]
    # 3. The refusal names the rule and who can change it.
    problem = refused(await group.promise(nhs[0], PROMISE), 409, "plan-purpose")
    assert group.nhs.name in problem["who_can_change_it"]
    for one in nhs:
        plan = {"purposes": [{"code": "dance", "words": "To move"}]}
        path = f"/v1/budgets/{one.budget.id}/purposes"
        good(
            await group.maker.client.put(path, json=plan, headers=one.budget.funder.finance.headers)
        )
    await group.promise_all(PROMISE)
    # 4. A promise let go is kept as what it was, and made anew beside it.
    before = good(await group.promise(last, PROMISE - 1))
    gone = good(await group.send("DELETE", f"/pledges/{before['id']}", last, keyed=False))
    assert (gone["state"], await group.free(last)) == ("let_go", PENCE)
    good(await group.promise(last, PROMISE))
    # 5. The rules stand once there is money.
    late = {"choices": {"leaving": "no_notice"}}
    refused(await group.send("PUT", "/choices", last, late), 409, "rules-before-money")
    screen = await group.mine(nhs[0])
    assert screen["money"][0]["back_today_pence"] == PROMISE
    assert [one for one in screen["money"][0]["may_be_used_for"] if "company" in one] == []


async def be_looked_at(group: Twelve, settings: AreaSettings) -> None:
    """Ask each funder for each person; one is refused, and one is not answered in time."""
    silent, declined, *_ = group.members
    await group.review()
    # 8. Ten working days, of which everybody is told.
    waiting = {one["person_id"]: one for one in await group.sign_offs(group.social_worker)}
    asked = waiting[str(silent.story.id)]
    due = sign_off_due(asked_at=datetime.fromisoformat(asked["asked_at"]), settings=settings)
    assert settings.sign_off_working_days == 10
    assert datetime.fromisoformat(asked["due_at"]) == due
    # 8. Grounds are law, safety and plan fit: "unwise" is none.
    no = {
        "outcome": "declined",
        "ground": "plan_fit",
        "words": WHY_NO,
        "who_can_change": "Pat, when the plan is written.",
        "rings_by": due.date().isoformat(),
    }
    path = f"/v1/sign-offs/{waiting[str(declined.story.id)]['id']}"
    unwise = await group.maker.client.post(
        f"{path}/decision", json=no | {"ground": "unwise"}, headers=group.social_worker.headers
    )
    refused(unwise, 400)
    # 8. Silence goes to the manager and is no "no".
    await sweep(group, at=due + timedelta(seconds=1))
    late = {one["id"]: one for one in await group.sign_offs(group.manager)}[asked["id"]]
    assert (late["escalated"], late["state"]) == (True, "waiting")
    await group.decide(group.manager, silent)
    await group.decide(group.social_worker, declined, **no)
    for one in group.members[8:10]:
        await group.decide(group.commissioner, one)
    await group.approve_all(but=[silent, declined, *group.members[8:10]])
    assert await group.state() == "approved"
    assert (await group.get("", silent))["people"] == 11
    assert await group.free(declined) == PENCE


async def sweep(group: Twelve, *, at: datetime) -> None:
    """Let the clock of go-aheads run out, as its task does on that day."""
    task = Task("decisions.sweep", uuid4())
    async with group.database.write(actor=task, now=at) as tx:
        await decisions.sweep(tx, actor=task, now=at)


async def first_part(group: Twelve) -> None:
    """Sign, and pay the first of two parts over those whose rules allow each line of it."""
    await group.sign()
    assert await group.state() == "contracted"
    assert (await group.get("/books", group.members[3]))["put_in_pence"] == 11 * PROMISE
    await group.stage(1)
    assert (await group.get("/books", group.members[4]))["used_pence"] == 5 * SESSION
    for number, one in enumerate(group.members):
        money = (await group.mine(one))["money"][0]
        dance, company = 5 * 8_300 / 11, 5 * 1_550 / 9
        # 3. No penny of the NHS money goes to what its plan does not name.
        part = {6: dance, 7: dance, 8: dance + company, 1: 0}.get(number, dance + company)
        assert abs(money["used_pence"] - part) < 2


async def part(group: Twelve) -> None:
    """One leaves, one dies, one funder withdraws: the group is told a number."""
    first, dead, withdrawn, leaver = (group.members[place] for place in (0, 2, 8, 10))
    # 6 and 11. Leaving costs the agreed notice and nothing else; the rest is back at once.
    said = (await group.mine(leaver))["money"][0]
    assert 0 < said["notice_pence"] <= 2 * SESSION / 11 + 1
    assert said["back_today_pence"] == said["left_pence"] - said["notice_pence"]
    left = await group.post("/leave", leaver, {"something_was_wrong": WHY_LEFT})
    assert left["money"][0]["returned_pence"] == said["back_today_pence"]
    assert await group.free(leaver) == PENCE - PROMISE + said["back_today_pence"]
    # 6. A death freezes the share until the estate is settled.
    frozen = (await group.mine(dead))["money"][0]["left_pence"]
    died = {"reason": "died", "words": WHY_PAUSED}
    await group.post(f"/members/{dead.number}/exits", group.manager, died)
    gone = {"reason": "funder_withdrew", "words": WHY_WITHDREW}
    await group.post(f"/members/{withdrawn.number}/exits", group.finance, gone)
    await group.advance()
    screen = await group.mine(dead)
    assert (screen["my_state"], screen["money"][0]["left_pence"]) == ("paused", frozen)
    page = await group.get("", first)
    assert (page["people"], len(page["members"])) == (8, 8)
    assert [one["reason"] for one in group.told[-3:]] == ["people_now"] * 3


async def read_why(group: Twelve) -> None:
    """Each of the four who went reads their own reason, and no other member can."""
    client = group.maker.client
    own = {1: WHY_NO, 2: WHY_PAUSED, 8: WHY_WITHDREW, 10: WHY_LEFT}
    for place, one in enumerate(group.members):
        read = ""
        for path in ("/mine", "/books", "", "/history"):
            read += (await group.send("GET", path, one, keyed=False)).text
        listed = good(await client.get("/v1/sign-offs", headers=one.headers))["items"]
        for line in listed:
            read += (await client.get(f"/v1/sign-offs/{line['id']}", headers=one.headers)).text
        assert {words for words in QUIET if words in read} == {own.get(place, "")} - {""}
    read = (await group.send("GET", "", group.provider, keyed=False)).text
    assert not [words for words in QUIET if words in read]


async def end(group: Twelve) -> None:
    """Do the second part; close when the payments are confirmed and the estate is settled."""
    dead = group.members[2]
    frozen = (await group.mine(dead))["money"][0]["left_pence"]
    await group.stage(2)
    assert await group.state() == "reviewed"
    await group.confirm_payments()
    assert await group.state() == "reviewed"
    settled = {"reason": "estate_settled", "words": "Settled on 3 May."}
    await group.post(f"/members/{dead.number}/exits", group.finance, settled)
    await group.advance()
    assert await group.state() == "closed"
    assert await group.free(dead) == PENCE - PROMISE + frozen
    over = {"to": "ended", "reason": "death", "notice": "We are sorry."}
    path = f"/v1/budgets/{dead.budget.id}/state"
    good(await group.maker.client.post(path, json=over, headers=group.finance.headers))


async def add_up_each_source(group: Twelve) -> None:
    """Every penny of each of twelve sources is where its person's screen says it is."""
    keys = [one.budget.source_key for one in group.members]
    async with group.database.write(actor=TESTS, now=now()) as tx:
        totals = await ledger.source_totals(tx, source_keys=keys)
        assert await invariants.look(tx) == []
    paid = 0
    for place, one in enumerate(group.members):
        of = totals[one.budget.source_key]
        used = sum(money["used_pence"] for money in (await group.mine(one))["money"])
        assert (of.missing_pence, of.held_pence) == (0, 0)
        there = {kind: pence for kind, pence in of.by_kind.items() if pence}
        if place == 2:  # at death public money is its funder's again (law.md 6)
            assert (there, of.in_pence) == ({"paid": used}, used)
        else:
            assert of.in_pence == PENCE
            assert there == {"budget": PENCE - used} | ({"paid": used} if used else {})
        paid += used
    assert paid == SESSIONS * SESSION
    books = await group.get("/books", group.members[5])
    assert (books["used_pence"], books["left_pence"]) == (paid, 0)


async def test_twelve_people_three_funders_and_their_own_money(
    town: Town, running_workers: Crew
) -> None:
    group = await found_twelve(town, running_workers)
    await agree(group)
    await promise(group)
    await be_looked_at(group, group.area.settings)
    await first_part(group)
    await part(group)
    await read_why(group)
    await end(group)
    await add_up_each_source(group)
