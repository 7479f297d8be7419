"""A corner of the country for matching tests, and ways to wait for a real worker."""

import time
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import psycopg
from httpx2 import AsyncClient

from tests.fixtures.crew import Crew
from tests.make import Maker, Story, good

_WAITING = """
SELECT count(*) FROM outbox
WHERE done_at IS NULL AND dead_at IS NULL AND not_before < now() + interval '20 s'
"""


class Corner:
    """Reads and steps of people whose looking is done by a real relay and worker."""

    def __init__(self, maker: Maker, client: AsyncClient, crew: Crew) -> None:
        self.maker = maker
        self.client = client
        self.crew = crew

    def settle(self) -> None:
        """Wait until everything is done, what waits a moment on purpose too."""
        deadline = time.monotonic() + 60
        with psycopg.connect(self.crew.settings.migrate_url or "", autocommit=True) as connection:
            while connection.execute(_WAITING).fetchone() != (0,):
                self.crew.drain(seconds=60)
                assert time.monotonic() < deadline, "the outbox does not come to rest"
                time.sleep(0.05)

    async def ideas(self, story: Story) -> list[dict[str, Any]]:
        """Return what stands suggested to somebody."""
        return list((await self.page(story))["items"])

    async def page(self, story: Story) -> dict[str, Any]:
        """Return the whole answer to "what is there for me?"."""
        path = f"/v1/people/{story.id}/suggestions"
        body: dict[str, Any] = good(await self.client.get(path, headers=story.headers))
        return body

    async def names(self, story: Story) -> list[str]:
        """Return the names of what stands suggested to somebody."""
        return sorted(idea["idea"]["name"] for idea in await self.ideas(story))

    async def unmet(self, story: Story) -> list[dict[str, Any]]:
        """Return what nothing meets yet."""
        path = f"/v1/people/{story.id}/unmet-wants"
        return list(good(await self.client.get(path, headers=story.headers))["items"])

    async def step(self, story: Story, idea: dict[str, Any], to: str, **more: str) -> None:
        """Take an idea on, or put it away."""
        path = f"/v1/suggestions/{idea['id']}/steps"
        body = {"to": to} | more
        good(await self.client.post(path, json=body, headers=story.headers))

    async def look(self, *stories: Story) -> None:
        """Ask for another look for each, and wait until it is done."""
        for story in stories:
            path = f"/v1/people/{story.id}/matches"
            good(await self.client.post(path, headers=story.headers))
        self.settle()

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database as the owner of all tables."""
        with psycopg.connect(self.crew.settings.migrate_url or "") as connection:
            return connection.execute(query, values).fetchall()


def idea_of(ideas: Iterable[dict[str, Any]], listing_id: UUID) -> dict[str, Any]:
    """Return the idea about one listing; fail when it is not among them."""
    found = [one for one in ideas if one["idea"]["listing_id"] == str(listing_id)]
    assert len(found) == 1, f"{len(found)} ideas about {listing_id}"
    return found[0]
