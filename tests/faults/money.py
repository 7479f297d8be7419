"""A round of money under kill -9: one town, a few people, groups that close or run out.

The people of a round take part in every group of it, so that one budget is asked for several
things at once.
"""

import asyncio
import random
from datetime import timedelta
from typing import Any

import httpx2
import psycopg

from api.core import clock
from api.core.config import Settings
from api.core.db import Database
from api.pools.rules import use_id
from tests.fixtures.crew import Crew
from tests.groups import Member, Town, found_town

from .count import PROMISED, PURSE, Count
from .groups import PRICE, Group, Makes, rest
from .storm import Stubborn

_ESCALATED = """
SELECT state, escalated_at IS NOT NULL, (SELECT count(*) FROM decision_events e
    WHERE e.sign_off_id = s.id AND e.what = 'escalated')
FROM sign_offs s WHERE subject_id = ANY (%s)
"""


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
        await self.waiting.close()
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
        """Count what the books hold, past all policies."""
        count = Count(self._settings, self.people, (self.whole, self.short, self.waiting))
        await count.check(self._client, self.sent)

    def _all(self, query: str, value: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url) as connection:
            return connection.execute(query, [value]).fetchall()
