"""Groups whose own task is run by a real worker that may be killed at any moment."""

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from api.areas.schemas import AreaOut
from api.core import clock
from api.pools.rules import use_id
from tests.groups import Member, Town
from tests.make import Account, Maker, good, refused

LINES = [
    {"words": "The hall", "purpose": "dance", "pence": 1_801},
    {"words": "Kay leads", "purpose": "dance", "pence": 700},
]
PRICE = 10 * 2_501

_OVER = ("promise-in-time", "promise-at-its-time")
_UNDONE = "SELECT task, attempts, last_error, dead_at IS NOT NULL FROM outbox WHERE done_at IS NULL"
_SWEPT = """
SELECT count(DISTINCT task) FROM outbox
WHERE task IN ('pools.sweep', 'decisions.sweep') AND created_at > %s
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
