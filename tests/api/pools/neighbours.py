"""A town lent to a whole module: its people have means enough for one group after another."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from tests.groups import Member, Town
from tests.make import good, now

MEANS = 1_000_000
KINDS = {"own": "own_money", "council": "direct_payment", "nhs": "personal_health_budget"}
# Four sessions of ten pounds, in two parts: small enough to see through.
SMALL: dict[str, Any] = {
    "lines": [{"words": "Hall", "purpose": "dance", "pence": 1_000}],
    "sessions": 4,
    "notice_sessions": 1,
}

# A refused go-ahead, with all that a person is owed then.
NO: dict[str, Any] = {
    "outcome": "declined",
    "ground": "plan_fit",
    "words": "Dancing waits for the physio's letter.",
    "who_can_change": "The care team, at your review.",
    "rings_by": (now() + timedelta(days=3)).date().isoformat(),
}


@dataclass(slots=True)
class Neighbours:
    """A town, and its people by the kind of their money."""

    town: Town
    known: dict[str, list[Member]] = field(default_factory=dict)

    async def people(self, *kinds: str) -> list[Member]:
        """Return people with money of these kinds: own, council or nhs. Each has one kind."""
        found: list[Member] = []
        for kind in kinds:
            among = self.known.setdefault(kind, [])
            place = sum(1 for one in found if one.budget.kind == KINDS[kind])
            if place == len(among):
                among.append(await self.town.person(kind=KINDS[kind], pence=MEANS))
            found.append(replace(among[place], number=0))
        return found

    async def group(self, *kinds: str) -> Town:
        """Start a new group of these people: two with own money where nothing is said."""
        group = replace(self.town, members=[], pool_id=None, invitation=None)
        await group.start(await self.people(*(kinds or ("own", "own"))))
        return group

    async def promising(self, *kinds: str, days: float = 14, **offer: Any) -> Town:
        """Return a group that has chosen a small offer and takes promises."""
        group = await self.group(*kinds)
        await group.costed(**SMALL | offer)
        await group.pledging(days=days)
        return group

    async def reviewing(self, *kinds: str, pence: int = 3_000, **offer: Any) -> Town:
        """Return a group whose promises are made and whose go-aheads are asked."""
        group = await self.promising(*kinds, **offer)
        await group.promise_all(pence)
        await group.review()
        return group

    async def signed(self, *kinds: str, pence: int = 3_000, **offer: Any) -> Town:
        """Return a group that has signed."""
        group = await self.reviewing(*kinds, pence=pence, **offer)
        await group.approve_all()
        await group.sign()
        return group

    async def stands(self, one: Member) -> dict[str, int]:
        """Return the pence of a budget that are free, promised, together, waiting and paid."""
        path = f"/v1/budgets/{one.budget.id}"
        seen = good(await self.town.maker.client.get(path, headers=one.headers))
        return {
            name: seen[f"{name}_pence"]
            for name in ("free", "promised", "together", "waiting", "paid")
        }


def act_as(
    connection: psycopg.Connection, kind: str, who: UUID, at: datetime | None = None
) -> None:
    """Tell the open transaction of the API's role who acts and what time it is."""
    connection.execute(
        "SELECT set_config('app.actor_kind', %s, true), set_config('app.actor_id', %s, true),"
        " set_config('app.subject_id', '', true), set_config('app.now', %s, true)",
        [kind, str(who), (at or now()).isoformat()],
    )
