"""A town in which people put money together: members with budgets, funders, staff, a provider.

Everything goes over HTTP, each as themselves; what follows by itself is the group's own task, run
here in this process as the worker runs it, at whatever time the test says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from httpx2 import Response

from api.areas.schemas import AreaOut
from api.core.db import Database
from api.identity.rules import Task
from api.pools import advance
from api.pools.rules import use_id
from tests.make import Account, Budget, Funder, Maker, Story, good, key, now

LINES: list[dict[str, Any]] = [
    {"words": "The hall", "purpose": "dance", "pence": 3_200},
    {"words": "Kay leads", "purpose": "dance", "pence": 5_100},
    {"words": "Insurance and music", "purpose": "dance", "pence": 1_550},
]
OFFER: dict[str, Any] = {
    "called": "Kay",
    "words": "Tuesdays at six, ten sessions.",
    "lines": LINES,
    "sessions": 10,
    "stages": 2,
    "min_people": 2,
    "max_people": 12,
    "notice_sessions": 2,
    "checks_seen": "Insurance seen on 1 March.",
}


@dataclass(slots=True)
class Member:
    """Somebody in the group, with their story and money."""

    story: Story
    budget: Budget
    number: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """What a request of theirs carries."""
        return self.story.headers


@dataclass(slots=True)
class Town:
    """Who lives, works and pays in one area, and one group of theirs."""

    maker: Maker
    database: Database
    area: AreaOut
    council: Funder
    nhs: Funder
    manager: Account
    finance: Account
    commissioner: Account
    social_worker: Account
    nurse: Account
    provider: Account
    members: list[Member] = field(default_factory=list)
    pool_id: UUID | None = None
    invitation: str | None = None

    @property
    def path(self) -> str:
        """The group's address."""
        return f"/v1/pools/{self.pool_id}"

    async def send(
        self, method: str, path: str, who: Any, body: Any = None, *, keyed: bool = True
    ) -> Response:
        """Send a request as somebody, under a fresh key, to an address below the group's."""
        headers = who.headers | (key() if keyed else {})
        return await self.maker.client.request(method, self.path + path, json=body, headers=headers)

    async def post(self, path: str, who: Any, body: Any = None) -> Any:
        """Post, and return the body of a success."""
        return good(await self.send("POST", path, who, body))

    async def get(self, path: str, who: Any) -> Any:
        """Read, and return the body of a success."""
        return good(await self.send("GET", path, who, keyed=False))

    async def person(
        self,
        *,
        kind: str = "direct_payment",
        pence: int = 10_000,
        account: bool = False,
        purposes: Sequence[str] = ("dance",),
        funder: Funder | None = None,
    ) -> Member:
        """Somebody with a story, money of this kind, and a worker of its funder, let in."""
        holder = await self.maker.account(self.area) if account else None
        story = await self.maker.story(self.area, account=holder)
        usual = {"direct_payment": self.council, "personal_health_budget": self.nhs}.get(kind)
        budget = await self.maker.budget(
            story, kind=kind, pence=pence, funder=funder or usual, purposes=purposes
        )
        worker = {"direct_payment": self.social_worker, "personal_health_budget": self.nurse}
        if kind in worker:
            await self.maker.assignment(story, worker[kind], manager=self.manager, agreed=True)
        return Member(story, budget)

    async def start(self, members: Sequence[Member], **changed: Any) -> None:
        """Let the first start a group and the others join it with its code."""
        first, *others = members
        body = {
            "area": self.area.slug,
            "name": "Two Left Feet",
            "summary": "A dance group on Tuesdays.",
            "called": "Member 1",
        } | changed
        made = good(
            await self.maker.client.post("/v1/pools", json=body, headers=first.headers | key())
        )
        self.pool_id, self.invitation = UUID(made["id"]), None
        first.number = 1
        self.members = [first]
        for one in others:
            await self.join(one)

    async def code(self) -> str:
        """Return the group's code, made once."""
        if self.invitation is None:
            self.invitation = str((await self.post("/invitations", self.members[0]))["code"])
        return self.invitation

    async def join(self, one: Member) -> None:
        """Let one more join."""
        number = len(self.members) + 1
        body = {"called": f"Member {number}", "code": await self.code()}
        await self.post("/members", one, body)
        one.number = number
        self.members.append(one)

    async def offer(self, **changed: Any) -> UUID:
        """Let the provider make an offer; return its id."""
        body = OFFER | {"code": await self.code()} | changed
        seen = await self.post("/offers", self.provider, body)
        return UUID([one for one in seen["offers"] if one["mine"]][-1]["id"])

    async def vote(
        self, motion: str, choice: str, *, among: Sequence[Member] | None = None, **new: Any
    ) -> dict[str, Any]:
        """Put a question, let everybody in vote the same, count."""
        body = {"motion": motion, "words": "Shall we?", "easy_words": "Yes or no?"} | new
        there = await self.there()
        seen = await self.post("/votes", there[0], body)
        vote = seen["votes"][-1]["id"]
        for one in among if among is not None else there:
            await self.post(f"/votes/{vote}/ballots", one, {"choice": choice})
        await self.advance()
        found: dict[str, Any] = (await self.get("", there[0]))["votes"][-1]
        return found

    async def close(self) -> None:
        """Vote to close the group, and let the group's task do what follows."""
        assert (await self.vote("close", "yes"))["outcome"] == "passed"

    async def is_in(self, one: Member) -> bool:
        """Say whether somebody is in the group now."""
        return bool((await self.get("/mine", one))["my_state"] == "in")

    async def there(self) -> list[Member]:
        """Return who is in the group now, in joining order."""
        numbers = {one["number"] for one in (await self.get("", self.manager))["members"]}
        return [one for one in self.members if one.number in numbers]

    async def costed(self, **changed: Any) -> UUID:
        """Get an offer and choose it."""
        offer = await self.offer(**changed)
        await self.vote("choose_offer", str(offer))
        return offer

    async def pledging(self, *, days: float = 14) -> None:
        """Open promises."""
        until = (now() + timedelta(days=days)).isoformat()
        await self.post("/steps", self.members[0], {"to": "pledging", "promise_by": until})

    async def promise(
        self, one: Member, pence: int = 10_000, *, by: Account | Member | None = None
    ) -> Response:
        """Let somebody promise, or whoever acts for them; return the answer."""
        body = {"budget_id": str(one.budget.id), "amount_pence": pence}
        return await self.send("POST", "/pledges", by or one, body)

    async def promise_all(self, pence: int = 10_000) -> None:
        """Let everybody promise the same."""
        for one in self.members:
            good(await self.promise(one, pence))

    async def review(self) -> None:
        """Ask for the go-aheads."""
        await self.post("/steps", self.members[0], {"to": "review"})
        await self.advance()

    async def sign_offs(self, who: Account) -> list[dict[str, Any]]:
        """Return what waits for somebody's go-ahead."""
        found = good(await self.maker.client.get("/v1/sign-offs", headers=who.headers))
        return [one for one in found["items"] if one["state"] == "waiting"]

    async def decide(self, who: Account, person: Member, **body: Any) -> None:
        """Give or refuse somebody's go-ahead."""
        assert self.pool_id is not None, "start a group first"
        use = str(use_id(self.pool_id, person.budget.id))
        asked = [one for one in await self.sign_offs(who) if one["subject_id"] == use]
        path = f"/v1/sign-offs/{asked[0]['id']}/decision"
        decision = {"outcome": "approved"} | body
        good(await self.maker.client.post(path, json=decision, headers=who.headers | key()))

    async def approve_all(self, *, but: Sequence[Member] = ()) -> None:
        """Give every go-ahead but some."""
        workers = {"council": self.social_worker, "nhs": self.nurse}
        for one in await self.there():
            body = one.budget.funder.body if one.budget.funder is not None else None
            if body is not None and one not in but:
                await self.decide(workers[body], one)
        await self.advance()

    async def sign(self) -> None:
        """Name the body, vote, pass it by two; the group's task then signs."""
        body = {"called": "Bridgewater Neighbours, a charity"}
        good(await self.send("PUT", "/body", self.commissioner, body, keyed=False))
        assert (await self.vote("confirm", "yes"))["outcome"] == "passed"
        for one in (self.finance, self.manager):
            await self.post("/approvals", one)
        await self.advance()

    async def contracted(self, **changed: Any) -> None:
        """Go the whole way from gathering to signed."""
        await self.costed(**changed)
        await self.pledging()
        await self.promise_all()
        await self.review()
        await self.approve_all()
        await self.sign()

    async def stage(self, number: int) -> None:
        """Let the provider do a stage, and enough members confirm it."""
        path = f"/stages/{number}/words"
        await self.post(path, self.provider, {"what": "done"})
        seen = await self.get("", self.manager)
        needed = seen["stages"][number - 1]["needed"]
        there = await self.there()
        for one in there[:needed]:
            await self.post(path, one, {"what": "confirmed"})
        await self.advance()

    async def confirm_payments(self, outcome: str = "paid") -> dict[str, Any]:
        """Let the area's finance say that the holders paid (or did not)."""
        path = "/v1/payments"
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            asked = {"area": self.area.slug, "state": "instructed"}
            if cursor is not None:
                asked["cursor"] = cursor
            page = good(
                await self.maker.client.get(path, params=asked, headers=self.finance.headers)
            )
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        day = now().date().isoformat() if outcome == "paid" else ""
        lines = ["reference,amount_pence,paid_on,outcome"]
        lines += [f"{one['reference']},{one['amount_pence']},{day},{outcome}" for one in items]
        answer: dict[str, Any] = good(
            await self.maker.client.post(
                f"{path}/confirmations",
                json={"csv": "\n".join(lines)},
                headers=self.finance.headers,
            )
        )
        await self.advance()
        return answer

    async def advance(self, *, at: datetime | None = None) -> None:
        """Run the group's own task, as the worker would, at a time."""
        at = at or now()
        assert self.pool_id is not None, "start a group first"
        pool_id = self.pool_id
        actor = Task("pools.advance", uuid4(), pool_id)

        async def work(tx: Any) -> None:
            await advance.advance(tx, actor=actor, now=at, pool_id=pool_id)

        await self.database.run(work, actor=actor, now=at)

    async def state(self) -> str:
        """Return where the group stands."""
        return str((await self.get("", self.members[0]))["state"])


async def found_town(maker: Maker, database: Database, *, area: AreaOut | None = None) -> Town:
    """Found an area, or settle in one, with its funders and staff."""
    area = area or await maker.area()
    finance = await maker.account(area, "finance")
    return Town(
        maker=maker,
        database=database,
        area=area,
        council=await maker.funder(area, body="council", finance=finance),
        nhs=await maker.funder(area, body="nhs", finance=finance),
        manager=await maker.account(area, "manager"),
        finance=finance,
        commissioner=await maker.account(area, "commissioner"),
        social_worker=await maker.account(area, "professional"),
        nurse=await maker.account(area, "professional", profession="nurse"),
        provider=await maker.account(area, "provider"),
    )
