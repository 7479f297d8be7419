"""What PostgreSQL itself holds about ideas, and what is told while nobody looks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from httpx2 import AsyncClient

from api.core.config import Settings
from api.core.ids import new_id
from api.matches.rules import STEPS
from tests.make import Maker, good

pytestmark = pytest.mark.anyio

STATES = ("suggested", "seen", "not_for_me", "introduction_asked", "withdrawn")
# A person's steps, and the two that a run may take.
ALLOWED = {(old, new) for old, several in STEPS.items() for new in several} | {
    ("suggested", "withdrawn"),
    ("seen", "withdrawn"),
    ("withdrawn", "suggested"),
}


@dataclass(slots=True)
class Idea:
    """One suggestion, put in by the owner of the tables; nothing of it is kept."""

    connection: psycopg.Connection
    id: UUID
    person_id: UUID

    def step(self, old: str, new: str) -> None:
        """Set it to one state, past the trigger, then go to another as anybody would."""
        with self.connection.transaction(force_rollback=True):
            for on, state in (("DISABLE", old), ("ENABLE", new)):
                self.connection.execute(f"ALTER TABLE suggestions {on} TRIGGER suggestion_step")
                self.connection.execute(
                    "UPDATE suggestions SET state = %s WHERE id = %s", [state, self.id]
                )


@pytest.fixture
async def idea(maker: Maker, settings: Settings) -> Iterator[Idea]:
    """Put one idea in."""
    provider = await maker.account(None, "provider")
    story = await maker.story(provider.area)
    listing = await maker.listing(provider)
    run, suggestion, now = new_id(), new_id(), datetime.now(UTC)
    with psycopg.connect(settings.migrate_url or "") as connection:
        connection.execute(
            "INSERT INTO match_runs VALUES (%s, %s, %s, 'm', '1', '', 1, 0, 1, 0, %s)",
            [run, story.id, new_id(), now],
        )
        connection.execute(
            "INSERT INTO suggestions (id, person_id, listing_id, run_id, state, rank, points,"
            " components, reasons, created_at, changed_at) VALUES"
            " (%s, %s, %s, %s, 'suggested', 0, 500, '{}', '[{\"side\": \"for\"}]', %s, %s)",
            [suggestion, story.id, listing, run, now, now],
        )
        yield Idea(connection, suggestion, story.id)
        connection.rollback()


async def test_postgresql_takes_the_steps_of_the_rules_and_refuses_all_others(idea: Idea) -> None:
    for old in STATES:
        for new in STATES:
            if old == new or (old, new) in ALLOWED:
                idea.step(old, new)
            else:
                with pytest.raises(psycopg.errors.CheckViolation, match="cannot go from"):
                    idea.step(old, new)


async def test_a_suggestion_stays_with_its_person_and_its_listing(idea: Idea) -> None:
    for column in ("person_id", "listing_id"):
        with (
            pytest.raises(psycopg.errors.RestrictViolation),
            idea.connection.transaction(),
        ):
            idea.connection.execute(
                f"UPDATE suggestions SET {column} = uuidv7() WHERE id = %s", [idea.id]
            )


async def test_a_suggestion_without_a_reason_for_it_is_refused(idea: Idea) -> None:
    for reasons in ("[]", '[{"side": "against"}]'):
        with (
            pytest.raises(psycopg.errors.CheckViolation),
            idea.connection.transaction(),
        ):
            idea.connection.execute(
                "UPDATE suggestions SET reasons = %s WHERE id = %s", [reasons, idea.id]
            )


async def test_what_became_of_an_idea_only_grows(idea: Idea) -> None:
    idea.connection.execute(
        "INSERT INTO suggestion_events VALUES"
        " (uuidv7(), %s, %s, 'suggested', NULL, now(), 'task', NULL)",
        [idea.id, idea.person_id],
    )
    for words in (
        "UPDATE suggestion_events SET state = 'seen'",
        "DELETE FROM suggestion_events",
        "TRUNCATE suggestion_events",
    ):
        with (
            pytest.raises(psycopg.errors.RestrictViolation),
            idea.connection.transaction(),
        ):
            idea.connection.execute(words)


async def test_while_nobody_looks_that_is_said_and_browsing_goes_on(
    maker: Maker, client: AsyncClient, owner_connection: psycopg.Connection
) -> None:
    story = await maker.story()
    path = f"/v1/people/{story.id}/suggestions"
    at_once = good(await client.get(path, headers=story.headers))
    assert at_once == {"items": [], "looked_on": None, "looking_is_late": False}
    owner_connection.execute(
        "UPDATE outbox SET created_at = created_at - interval '6 minutes' WHERE coalesce_key = %s",
        [f"matches.rematch:{story.id}"],
    )
    assert good(await client.get(path, headers=story.headers))["looking_is_late"] is True
    assert good(await client.get("/v1/listings?near=M32"))["section"] == "confirmed"


async def test_ten_changes_before_a_look_are_one_look(
    maker: Maker, client: AsyncClient, owner_connection: psycopg.Connection
) -> None:
    story = await maker.story()
    for number in range(9):
        await maker.said(story, "interest", f"Interest {number}")
    found = owner_connection.execute(
        "SELECT count(*) FROM outbox WHERE coalesce_key = %s", [f"matches.rematch:{story.id}"]
    ).fetchone()
    assert found == (1,)
