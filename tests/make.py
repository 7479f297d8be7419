"""Factories: areas, accounts, stories, assignments, enquiries and listings, by the front door.

Everything is made over HTTP or by a slice's service, as it would be in life, under fresh names,
so that tests can share one database. ``Maker`` holds the client and the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

from httpx2 import AsyncClient, Response

from api.areas import service as areas
from api.areas.rules import AreaSettings
from api.areas.schemas import AreaOut, NewArea
from api.budgets.rules import BODY_OF, Kind
from api.core.db import Database
from api.decisions import service as decisions
from api.decisions.rules import Subject
from api.decisions.schemas import AskSignOff
from api.identity import service as identity
from api.identity.rules import Actor, Person, Profession, Role, Service
from api.identity.schemas import NewAccount, NewRole

TESTS = Service("tests")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody with an account and a token. ``actor`` is who they are to a service."""

    id: UUID
    called: str
    area: AreaOut
    token: str
    actor: Person

    @property
    def headers(self) -> dict[str, str]:
        """What a request of theirs carries."""
        return bearer(self.token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Somebody with a story. ``code`` is None for somebody with an account."""

    id: UUID
    area: AreaOut
    code: str | None
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What a request of theirs carries."""
        return bearer(self.token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enquiry:
    """Something asked, with the token of whoever came back with its code."""

    id: UUID
    code: str
    token: str
    body: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        """What a request with its code carries."""
        return bearer(self.token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Funder:
    """Who gives money in an area. ``finance`` looks after it there."""

    id: UUID
    body: str
    name: str
    area: AreaOut
    finance: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A person's money: ``finance`` looks after it, ``funder`` gives it; both None for own money.

    ``account_id`` is its account in the books.
    """

    id: UUID
    kind: str
    story: Story
    account_id: UUID
    source_key: str
    funder: Funder | None
    finance: Account | None


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def key() -> dict[str, str]:
    """Return the header of a fresh Idempotency-Key."""
    return {"Idempotency-Key": uuid4().hex}


def now() -> datetime:
    """Return the present moment: tests are an edge too."""
    return datetime.now(UTC)


def good(response: Response) -> Any:
    """Return the body of a success; fail showing the answer otherwise."""
    assert response.is_success, f"{response.status_code}: {response.text}"
    return response.json() if response.content else None


def refused(response: Response, status: int, rule: str | None = None) -> dict[str, Any]:
    """Return the problem of a refusal, after checking that it is a whole one."""
    assert response.status_code == status, f"{response.status_code}: {response.text}"
    assert response.headers["content-type"].startswith("application/problem+json")
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["type"] == f"urn:kith:rule:{problem['rule']}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["who_can_change_it"]
    assert problem["correlation_id"] == response.headers["x-correlation-id"]
    if rule is not None:
        assert problem["rule"] == rule
    return problem


class Maker:
    """Makes what a test needs, each time under fresh names."""

    def __init__(self, client: AsyncClient, database: Database) -> None:
        self.client = client
        self.database = database

    async def area(self, **settings: Any) -> AreaOut:
        """Make an area that differs from the usual one in ``settings``."""
        slug = f"area-{uuid4().hex[:12]}"
        defaults: dict[str, Any] = {"front_door_name": "Front door", "outwards": ["M32"]}
        new = NewArea(slug=slug, name=slug, settings=AreaSettings(**defaults | settings))
        async with self.database.write(actor=TESTS, now=now()) as tx:
            return await areas.create_area(tx, actor=TESTS, now=now(), new=new)

    async def account(
        self,
        area: AreaOut | None = None,
        *roles: Role,
        called: str = "Somebody",
        profession: Profession = "social_worker",
        demo_key: str | None = None,
    ) -> Account:
        """Make a signed-in account with these roles in one area (a citizen where none is named)."""
        area = area or await self.area()
        held: tuple[Role, ...] = roles or ("citizen",)
        new = NewAccount(
            called=called,
            roles=[
                NewRole(
                    area=area.slug,
                    role=role,
                    profession=profession if role == "professional" else None,
                )
                for role in held
            ],
        )
        async with self.database.write(actor=TESTS, now=now()) as tx:
            made = await identity.create_account(
                tx, actor=TESTS, now=now(), new=new, demo_key=demo_key
            )
        token = await self.sign_in(made.code or "")
        actor = await identity.resolve(self.database, token, now=now())
        assert isinstance(actor, Person)
        assert {(one.area, one.role) for one in actor.roles} == {(area.slug, one) for one in held}
        return Account(id=made.id, called=called, area=area, token=token, actor=actor)

    async def sign_in(self, code: str) -> str:
        """Sign in with a code; return the token."""
        body = good(await self.client.post("/v1/sessions", json={"by": "code", "code": code}))
        return str(body["token"])

    async def story(
        self, area: AreaOut | None = None, *, account: Account | None = None, **body: Any
    ) -> Story:
        """Start a story, anonymously unless for an account, and come back with its code."""
        area = area or (account.area if account is not None else await self.area())
        asked: dict[str, Any] = {
            "area": area.slug,
            "called": "Sam",
            "good_at": ["making tea for a crowd"],
            "want_to": ["go out more"],
        }
        headers = account.headers if account is not None else {}
        made = good(await self.client.post("/v1/people", json=asked | body, headers=headers))
        token = account.token if account is not None else await self.sign_in(made["code"])
        return Story(id=UUID(made["id"]), area=area, code=made["code"], token=token)

    async def said(self, story: Story, kind: str, words: str, **facts: str) -> dict[str, Any]:
        """Add one statement to a story, with confirmed facts (dogs="no")."""
        body = {
            "kind": kind,
            "words": words,
            "facts": [{"fact": fact, "wanted": wanted} for fact, wanted in facts.items()],
        }
        path = f"/v1/people/{story.id}/statements"
        answer: dict[str, Any] = good(
            await self.client.post(path, json=body, headers=story.headers)
        )
        return answer

    async def assignment(
        self,
        story: Story,
        worker: Account,
        *,
        manager: Account | None = None,
        agreed: bool = False,
        ended: bool = False,
    ) -> UUID:
        """Let a worker work with a person; agreed to by the person, ended by them, as asked."""
        manager = manager or await self.account(story.area, "manager")
        body = {
            "worker_account_id": str(worker.id),
            "person_id": str(story.id),
            "area": story.area.slug,
        }
        made = good(await self.client.post("/v1/assignments", json=body, headers=manager.headers))
        path = f"/v1/assignments/{made['id']}"
        if agreed:
            good(await self.client.post(f"{path}/agree", headers=story.headers))
        if ended:
            good(await self.client.delete(path, headers=story.headers))
        return UUID(made["id"])

    async def enquiry(
        self,
        area: AreaOut,
        *,
        kind: str = "question",
        words: str = "Is there a choir?",
        account: Account | None = None,
    ) -> Enquiry:
        """Ask something, anonymously unless from an account, and come back with its code."""
        asked = good(
            await self.client.post(
                "/v1/enquiries",
                json={"area": area.slug, "kind": kind, "words": words},
                headers=account.headers if account is not None else {},
            )
        )
        token = await self.sign_in(asked["code"])
        return Enquiry(id=UUID(asked["id"]), code=asked["code"], token=token, body=asked)

    async def listing(self, owner: Account, **body: Any) -> UUID:
        """List a free community activity of an account that may list (a provider, say)."""
        usual = {
            "area": owner.area.slug,
            "kind": "community",
            "name": "Tuesday choir",
            "summary": "Singing for the fun of it",
            "near": "M32",
            "price_pence": 0,
        }
        made = good(
            await self.client.post("/v1/listings", json=usual | body, headers=owner.headers)
        )
        return UUID(made["id"])

    async def sign_off(
        self, story: Story, *, actor: Actor, at: datetime | None = None, **ask: Any
    ) -> UUID:
        """Ask for the council's go-ahead for a person, for something new unless it is named."""
        at = at or now()
        usual: dict[str, Any] = {
            "subject": Subject("pool_use", uuid4()),
            "person_id": story.id,
            "area_id": story.area.id,
            "settings": story.area.settings,
            "body": "council",
            "about": {"what": "Swimming", "purposes": ["activities"]},
            "amount_pence": 12_00,
        }
        asked = AskSignOff(**usual | ask)
        async with self.database.write(actor=actor, now=at) as tx:
            return await decisions.ask_sign_off(tx, actor=actor, now=at, ask=asked)

    async def offer(self, story: Story, **body: Any) -> UUID:
        """Make a person's own offer."""
        usual = {"name": "Bread with me", "words": "I bake on Fridays; come and knead"}
        path = f"/v1/people/{story.id}/offers"
        made = good(await self.client.post(path, json=usual | body, headers=story.headers))
        return UUID(made["id"])

    async def funder(
        self,
        area: AreaOut,
        *,
        body: str = "council",
        name: str | None = None,
        rules: Sequence[dict[str, Any]] = (),
        finance: Account | None = None,
    ) -> Funder:
        """Add who gives money in an area, with these rules (words are filled in)."""
        finance = finance or await self.account(area, "finance")
        name = name or f"Funder {uuid4().hex[:8]}"
        asked = {"area": area.slug, "body": body, "name": name}
        made = good(await self.client.post("/v1/funders", json=asked, headers=finance.headers))
        if rules:
            usual = {"words": "This is how we do it.", "who_can_change": "The money team."}
            new = {"version": 1, "rules": [usual | rule for rule in rules]}
            path = f"/v1/funders/{made['id']}/rules"
            good(await self.client.put(path, json=new, headers=finance.headers))
        return Funder(id=UUID(made["id"]), body=body, name=name, area=area, finance=finance)

    async def budget(
        self,
        story: Story,
        *,
        kind: str = "direct_payment",
        pence: int = 0,
        purposes: Sequence[str] = ("dance",),
        funder: Funder | None = None,
        **body: Any,
    ) -> Budget:
        """Open a budget of a person, from a fresh funder of its kind, and put pence into it."""
        needed = BODY_OF[cast(Kind, kind)]
        if funder is None and needed is not None:
            funder = await self.funder(story.area, body=needed)
        usual = {
            "person_id": str(story.id),
            "kind": kind,
            "funder_id": str(funder.id) if funder is not None else None,
            "holder_called": "The card",
            "starts_on": "2020-01-01",
            "purposes": [{"code": code, "words": f"For {code}"} for code in purposes],
        }
        headers = funder.finance.headers if funder is not None else story.headers
        asked = usual | body
        made = good(await self.client.post("/v1/budgets", json=asked, headers=headers))
        if pence:
            first = {"amount_pence": pence, "reference": "first"}
            path = f"/v1/budgets/{made['id']}/money-in"
            good(await self.client.post(path, json=first, headers=headers))
        return Budget(
            id=UUID(made["id"]),
            kind=kind,
            story=story,
            account_id=UUID(made["account_id"]),
            source_key=made["source_key"],
            funder=funder,
            finance=funder.finance if funder is not None else None,
        )
