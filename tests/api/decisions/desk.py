"""A person, who works with them, and go-aheads asked for: what these tests begin with."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from api.areas.schemas import AreaOut
from api.decisions import service
from api.decisions.rules import Body, Subject
from api.decisions.schemas import NewDecision, SignOffOut
from api.identity.rules import Actor, CodeHolder, Task
from tests.make import Account, Maker, Story, now

WISH = "I want to swim with my friends."


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A person with a story, a social worker whom they let in, and a manager."""

    maker: Maker
    area: AreaOut
    story: Story
    social_worker: Account
    manager: Account

    @property
    def person(self) -> CodeHolder:
        """The person, as somebody with a code is to a service."""
        return CodeHolder("person", self.story.id, session_id=uuid4())

    async def ask(
        self, *, actor: Actor | None = None, at: datetime | None = None, **ask: Any
    ) -> UUID:
        """Ask for a go-ahead for the person, by default as the person, for something new."""
        return await self.maker.sign_off(
            self.story, actor=actor or self.person, at=at, **{"wish": WISH} | ask
        )

    async def decide(
        self,
        sign_off_id: UUID,
        *,
        by: Account | None = None,
        at: datetime | None = None,
        **new: Any,
    ) -> SignOffOut:
        """Decide a go-ahead, by default yes and as the social worker."""
        by, at = by or self.social_worker, at or now()
        decision = NewDecision(**{"outcome": "approved"} | new)
        async with self.maker.database.write(actor=by.actor, now=at) as tx:
            return await service.decide(
                tx, actor=by.actor, now=at, sign_off_id=sign_off_id, new=decision
            )

    async def state(self, subject: Subject) -> str | None:
        """Return how the go-ahead for a subject stands, as a task is told."""
        task = Task("decisions.decided", uuid4())
        async with self.maker.database.write(actor=task, now=now()) as tx:
            found = await service.sign_off_states(tx, subjects=[subject])
        return found[subject.id].state if subject.id in found else None


async def open_desk(maker: Maker, *, body: Body = "council", **settings: Any) -> Desk:
    """Let a person, a social worker they agreed to, and a manager stand there."""
    area = await maker.area(**settings)
    story = await maker.story(area)
    profession: Any = {"council": "social_worker", "nhs": "nurse", "charity": "other"}[body]
    worker = await maker.account(area, "professional", profession=profession)
    manager = await maker.account(area, "manager", called="Mo Manager")
    await maker.assignment(story, worker, manager=manager, agreed=True)
    return Desk(maker=maker, area=area, story=story, social_worker=worker, manager=manager)


def no(at: datetime | None = None, **parts: Any) -> dict[str, Any]:
    """Return a whole no."""
    usual: dict[str, Any] = {
        "outcome": "declined",
        "ground": "plan_fit",
        "words": "The plan has no swimming in it yet.",
        "who_can_change": "Whoever writes the plan with you.",
        "rings_by": (at or datetime.now(UTC)).date(),
    }
    return usual | parts
