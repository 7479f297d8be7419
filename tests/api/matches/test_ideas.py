"""From a story and listings, written over HTTP, to ideas with reasons: real relay, worker, model.

Each test has a remote place of its own, so that listings of others are out of reach.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from api.areas.schemas import AreaOut
from tests.api.matches.corner import Corner, idea_of
from tests.make import Account, Story, good, refused

pytestmark = pytest.mark.anyio

VEGETABLES = {
    "name": "Allotment mornings",
    "summary": "We grow vegetables together and share what comes up",
}
CHOIR = {"name": "Choir for anybody", "summary": "Singing together, no auditions"}


async def settled_place(corner: Corner, near: str, **body: Any) -> tuple[AreaOut, Account, Story]:
    """Make an area, somebody who lists there, and somebody with a story, all near one place."""
    area = await corner.maker.area(outwards=[near.split()[0]], look_again_days=9)
    provider = await corner.maker.account(area, "provider")
    asked = {"good_at": ["making tea"], "want_to": ["grow vegetables"], "near": near}
    story = await corner.maker.story(area, **(asked | body))
    return area, provider, story


def keys_of(value: Any) -> Iterator[str]:
    """Walk JSON; yield every key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


def scalars_of(value: Any) -> Iterator[Any]:
    """Walk JSON; yield everything that is neither object nor list."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from scalars_of(inner)
    else:
        yield value


async def test_an_idea_comes_with_sentences_for_against_and_not_known_and_without_a_score(
    corner: Corner,
) -> None:
    _, provider, story = await settled_place(
        corner, "KW17 2", free_times=["tue_morning", "wed_evening"], spend_limit_pence=1000
    )
    await corner.maker.said(story, "access_need", "I cannot do steps", step_free="yes")
    await corner.maker.said(story, "avoidance", "Dogs frighten me", dogs="no")
    listing = await corner.maker.listing(
        provider,
        **VEGETABLES,
        near="KW17 2",
        sessions=[{"day": "tue", "start": "10:00", "end": "12:00"}],
        price_pence=400,
        places_left=2,
        access={"dogs": "no"},
    )
    corner.settle()
    page = await corner.page(story)
    idea = idea_of(page["items"], listing)
    words_for = {one["code"]: one["words"] for one in idea["why_it_may_fit"]}
    assert words_for["goal_meets_offer"] == "You want this: “grow vegetables”"
    assert words_for["shared_time"] == "Tuesday mornings, when you are free."
    assert words_for["within_budget"] == "£4, and you can spend £10."
    assert words_for["avoidance_met"] == "You do not want this, and it is so: no dogs."
    assert "few_places" in {one["code"] for one in idea["why_it_may_not"]}
    assert {one["words"] for one in idea["we_do_not_know"]} >= {"Are there steps? Ask."}
    shown = {"points", "score", "rank", "components", "weight", "percent"}
    assert not shown & set(keys_of(page))
    assert page["looked_on"] is not None
    assert page["looking_is_late"] is False


async def test_reasons_are_stored_as_codes_ids_and_numbers_and_never_as_words(
    corner: Corner,
) -> None:
    _, provider, story = await settled_place(corner, "KW17 2", free_times=["tue_morning"])
    await corner.maker.listing(provider, **VEGETABLES, near="KW17 2")
    corner.settle()
    found = corner.rows(
        "SELECT reasons, components FROM suggestions WHERE person_id = %s", story.id
    )
    assert found
    for value in scalars_of([list(row) for row in found]):
        if isinstance(value, str):
            is_code = value.replace("_", "").isascii() and " " not in value and len(value) <= 40
            assert is_code, value
    wanted = corner.rows("SELECT counts FROM unmet_wants WHERE person_id = %s", story.id)
    assert all(isinstance(one, int) for row in wanted for one in scalars_of(list(row)))


async def test_a_want_that_nothing_meets_is_typed_with_the_day_of_the_next_look(
    corner: Corner,
) -> None:
    _, provider, story = await settled_place(
        corner, "ZE2 9", want_to=["learn to play the trumpet", "grow vegetables"]
    )
    await corner.maker.listing(provider, **VEGETABLES, near="ZE2 9", places_left=0)
    corner.settle()
    wants = {want["words"]: want for want in await corner.unmet(story)}
    assert wants["learn to play the trumpet"]["kind"] == "nothing_like_it"
    assert wants["grow vegetables"]["kind"] == "full"
    assert wants["grow vegetables"]["why"] == "One had it, and is full."
    due = (datetime.now(UTC) + timedelta(days=9)).date()
    for want in wants.values():
        assert want["next_look_on"] == due.isoformat()
        assert f"by {due.day} {due:%B}" in want["next_look"]
        assert want["you_can"]
    assert await corner.ideas(story) == []


async def test_a_want_that_is_met_later_is_no_longer_unmet(corner: Corner) -> None:
    _, provider, story = await settled_place(corner, "ZE2 9")
    corner.settle()
    assert [want["kind"] for want in await corner.unmet(story)] != []
    listing = await corner.maker.listing(provider, **VEGETABLES, near="ZE2 9")
    corner.settle()
    assert await corner.unmet(story) == []
    idea_of(await corner.ideas(story), listing)


async def test_looking_again_changes_no_idea_and_adds_no_event(corner: Corner) -> None:
    _, provider, story = await settled_place(corner, "HS1 2")
    await corner.maker.listing(provider, **VEGETABLES, near="HS1 2")
    corner.settle()
    events = "SELECT id, state FROM suggestion_events WHERE person_id = %s"
    before, told = await corner.ideas(story), corner.rows(events, story.id)
    await corner.look(story)
    await corner.look(story)
    assert await corner.ideas(story) == before
    assert corner.rows(events, story.id) == told
    hashes = corner.rows(
        "SELECT encode(snapshot_hash, 'hex') FROM match_runs WHERE person_id = %s"
        " ORDER BY id DESC LIMIT 3",
        story.id,
    )
    assert len(set(hashes)) == 1, "the same people and listings have the same hash"
    assert len(hashes) == 3


async def test_not_for_me_is_never_suggested_again_nor_undone_by_a_run(corner: Corner) -> None:
    area, provider, story = await settled_place(corner, "HS2 9")
    listing = await corner.maker.listing(provider, **VEGETABLES, near="HS2 9")
    corner.settle()
    idea = idea_of(await corner.ideas(story), listing)
    await corner.step(story, idea, "not_for_me", why="I know somebody there")
    await corner.step(story, idea, "not_for_me")
    await corner.step(story, idea, "seen")
    corner.settle()
    body = {"area": area.slug, "kind": "community", "near": "HS2 9", "price_pence": 0}
    good(
        await corner.client.put(
            f"/v1/listings/{listing}",
            json=body | VEGETABLES | {"description": "Now with a polytunnel"},
            headers=provider.headers,
        )
    )
    await corner.look(story)
    assert await corner.ideas(story) == []
    states = corner.rows("SELECT state FROM suggestions WHERE person_id = %s", story.id)
    assert states == [("not_for_me",)]
    again = await corner.client.post(
        f"/v1/suggestions/{idea['id']}/steps",
        json={"to": "introduction_asked"},
        headers=story.headers,
    )
    refused(again, 409, "suggestion-step")
    why = corner.rows(
        "SELECT why FROM suggestion_events WHERE person_id = %s AND state = 'not_for_me'", story.id
    )
    assert why == [("I know somebody there",)], "once, and why is kept"


async def test_a_meeting_that_was_asked_for_stands_when_the_listing_fills(corner: Corner) -> None:
    _, provider, story = await settled_place(corner, "PA78 6")
    listing = await corner.maker.listing(provider, **VEGETABLES, near="PA78 6")
    corner.settle()
    idea = idea_of(await corner.ideas(story), listing)
    await corner.step(story, idea, "seen")
    await corner.step(story, idea, "introduction_asked")
    good(
        await corner.client.post(
            f"/v1/listings/{listing}/confirm", json={"places_left": 0}, headers=provider.headers
        )
    )
    await corner.look(story)
    assert idea_of(await corner.ideas(story), listing)["state"] == "introduction_asked"


async def test_what_is_closed_or_full_is_withdrawn_and_comes_back_when_there_is_room(
    corner: Corner,
) -> None:
    _, provider, story = await settled_place(
        corner, "PA77 6", want_to=["grow vegetables", "sing with others"]
    )
    garden = await corner.maker.listing(provider, **VEGETABLES, near="PA77 6")
    choir = await corner.maker.listing(provider, **CHOIR, near="PA77 6")
    corner.settle()
    assert await corner.names(story) == ["Allotment mornings", "Choir for anybody"]
    confirm = f"/v1/listings/{garden}/confirm"
    good(await corner.client.post(confirm, json={"places_left": 0}, headers=provider.headers))
    good(await corner.client.delete(f"/v1/listings/{choir}", headers=provider.headers))
    corner.settle()
    assert await corner.names(story) == []
    assert {want["kind"] for want in await corner.unmet(story)} == {"full", "nothing_like_it"}
    good(await corner.client.post(confirm, json={"places_left": 3}, headers=provider.headers))
    corner.settle()
    assert await corner.names(story) == ["Allotment mornings"]
    told = corner.rows(
        "SELECT e.state FROM suggestion_events e JOIN suggestions s ON s.id = e.suggestion_id"
        " WHERE s.listing_id = %s ORDER BY e.id",
        garden,
    )
    assert [state for (state,) in told] == ["suggested", "withdrawn", "suggested"]


async def test_saying_something_else_brings_other_ideas(corner: Corner) -> None:
    _, provider, story = await settled_place(corner, "KA28 0", good_at=[])
    await corner.maker.listing(provider, **VEGETABLES, near="KA28 0")
    await corner.maker.listing(provider, **CHOIR, near="KA28 0")
    corner.settle()
    assert await corner.names(story) == ["Allotment mornings"]
    body = good(await corner.client.get(f"/v1/people/{story.id}", headers=story.headers))
    goal = body["want_to"][0]["id"]
    good(
        await corner.client.put(
            f"/v1/people/{story.id}/statements/{goal}",
            json={"kind": "goal", "words": "sing in a choir"},
            headers=story.headers,
        )
    )
    corner.settle()
    assert await corner.names(story) == ["Choir for anybody"]


async def test_what_somebody_avoids_is_never_suggested_to_them(corner: Corner) -> None:
    area, provider, story = await settled_place(corner, "KA27 8", want_to=["long walks in company"])
    other = await corner.maker.story(area, want_to=["long walks in company"], near="KA27 8")
    await corner.maker.said(story, "avoidance", "No dogs please", dogs="no")
    listing = await corner.maker.listing(
        provider,
        name="Walking together",
        summary="Long walks in good company, some of it four-legged",
        near="KA27 8",
        access={"dogs": "yes"},
    )
    corner.settle()
    idea_of(await corner.ideas(other), listing)
    assert await corner.ideas(story) == []
    assert [want["kind"] for want in await corner.unmet(story)] == ["avoided"]


async def test_who_wants_no_matching_is_not_seen_by_the_matcher_and_keeps_no_idea(
    corner: Corner,
) -> None:
    area, provider, story = await settled_place(corner, "PH42 4")
    quiet = await corner.maker.story(
        area, want_to=["grow vegetables"], near="PH42 4", matching_wanted=False
    )
    await corner.maker.listing(provider, **VEGETABLES, near="PH42 4")
    offer = await corner.maker.offer(story, name="Seeds", words="I give away seeds and sow them")
    gardener = await corner.maker.story(area, want_to=["sow seeds with somebody"], near="PH42 4")
    corner.settle()
    assert await corner.names(story) == ["Allotment mornings"]
    assert await corner.ideas(quiet) == []
    idea_of(await corner.ideas(gardener), offer)
    good(
        await corner.client.patch(
            f"/v1/people/{story.id}", json={"matching_wanted": False}, headers=story.headers
        )
    )
    corner.settle()
    assert await corner.ideas(story) == []
    assert await corner.unmet(story) == []
    assert "Seeds" not in await corner.names(gardener), "their offer is taken back from others"
    with psycopg.connect(corner.crew.settings.worker_url) as connection:
        connection.execute("SET ROLE kith_match")
        for view, column in (
            ("match_people", "id"),
            ("match_statements", "person_id"),
            ("match_requirements", "person_id"),
            ("match_offers", "person_id"),
        ):
            query = f"SELECT count(*) FROM {view} WHERE {column} = ANY(%s)"
            seen = connection.execute(query, [[story.id, quiet.id]]).fetchone()
            assert seen == (0,), view


async def test_an_own_offer_is_shown_to_whom_it_is_suggested_and_to_nobody_else(
    corner: Corner,
) -> None:
    area, _, learner = await settled_place(
        corner, "KW16 3", want_to=["learn to play the guitar"], good_at=["baking bread"]
    )
    giver = await corner.maker.story(
        area,
        called="Winston",
        near="KW16 3",
        good_at=["keeping the secret of the blue door"],
        want_to=["have fresh bread again"],
    )
    stranger = await corner.maker.story(area, near="TR21 0", want_to=["play chess"])
    offer = await corner.maker.offer(
        giver, name="Guitar for beginners", words="I teach the guitar, from the first chord"
    )
    corner.settle()
    page = await corner.page(learner)
    idea = idea_of(page["items"], offer)
    assert idea["idea"]["kind"] == "own_offer"
    assert idea["idea"]["words"] == "I teach the guitar, from the first chord"
    assert idea["idea"]["who"] == "Winston"
    assert "blue door" not in str(page)
    assert "fresh bread" not in str(page)
    assert str(giver.id) not in str(page)
    codes = {one["code"] for one in idea["why_it_may_fit"]}
    assert "their_goal_meets_your_strength" in codes
    assert await corner.ideas(stranger) == []
    assert await corner.ideas(giver) == [], "nobody is suggested to themselves"
    refused(await corner.client.get(f"/v1/listings/{offer}"), 404)
    for somebody in (learner, stranger):
        path = f"/v1/people/{giver.id}/offers"
        refused(await corner.client.get(path, headers=somebody.headers), 404)
    receipts = good(
        await corner.client.get(f"/v1/people/{giver.id}/receipts", headers=giver.headers)
    )
    shown = [
        one["what"]
        for one in receipts["items"]
        if one["who_id"] == str(learner.id) and one["outcome"] == "read"
    ]
    assert shown == ["offer"], "whoever offers something can see who was shown it"


async def test_a_stranger_can_neither_read_ideas_nor_step_them(corner: Corner) -> None:
    area, provider, story = await settled_place(corner, "KW17 2")
    listing = await corner.maker.listing(provider, **VEGETABLES, near="KW17 2")
    corner.settle()
    idea = idea_of(await corner.ideas(story), listing)
    stranger = await corner.maker.story(area)
    admin = await corner.maker.account(area, "area_admin", "professional")
    client = corner.client
    for who in (stranger.headers, provider.headers, admin.headers):
        for path in ("suggestions", "unmet-wants"):
            refused(await client.get(f"/v1/people/{story.id}/{path}", headers=who), 404)
        refused(await client.post(f"/v1/people/{story.id}/matches", headers=who), 404)
        refused(
            await client.post(
                f"/v1/suggestions/{idea['id']}/steps", json={"to": "seen"}, headers=who
            ),
            404,
        )
    refused(await client.get(f"/v1/people/{story.id}/suggestions"), 401)
    assert idea_of(await corner.ideas(story), listing)["state"] == "suggested"


async def test_a_worker_who_was_agreed_to_sees_ideas_and_cannot_step_them(corner: Corner) -> None:
    area, provider, story = await settled_place(corner, "KW17 2")
    listing = await corner.maker.listing(provider, **VEGETABLES, near="KW17 2")
    corner.settle()
    worker = await corner.maker.account(area, "professional")
    await corner.maker.assignment(story, worker, agreed=True)
    seen = Story(id=story.id, area=area, code=None, token=worker.token)
    idea = idea_of(await corner.ideas(seen), listing)
    answer = await corner.client.post(
        f"/v1/suggestions/{idea['id']}/steps", json={"to": "not_for_me"}, headers=worker.headers
    )
    refused(answer, 404)


async def test_an_idea_not_confirmed_for_too_long_is_looked_at_again(corner: Corner) -> None:
    """Time alone makes a listing stale: nobody changes it, and the schedule finds it."""
    _, provider, story = await settled_place(corner, "IV51 9")
    listing = await corner.maker.listing(provider, **VEGETABLES, near="IV51 9")
    corner.settle()
    idea_of(await corner.ideas(story), listing)
    with psycopg.connect(corner.crew.settings.migrate_url or "") as connection:
        connection.execute(
            "UPDATE listings SET confirmed_on = current_date - 40,"
            " confirmed_until = current_date - 1 WHERE id = %s",
            [listing],
        )
        connection.execute(
            "INSERT INTO outbox (id, task, payload, correlation_id, created_at, not_before)"
            " VALUES (uuidv7(), 'matches.due_looks', '{}', uuidv7(), now(), now())"
        )
    corner.settle()
    assert await corner.ideas(story) == []
    assert [want["kind"] for want in await corner.unmet(story)] == ["not_confirmed"]


async def test_somebody_without_a_place_is_offered_what_their_own_area_has(corner: Corner) -> None:
    area, provider, _ = await settled_place(corner, "KA28 0")
    story = await corner.maker.story(area, want_to=["grow vegetables"])
    elsewhere = await corner.maker.area(outwards=["TR21"])
    other = await corner.maker.account(elsewhere, "provider")
    here: UUID = await corner.maker.listing(
        provider, **VEGETABLES | {"name": "Vegetables here"}, near="KA28 0"
    )
    await corner.maker.listing(other, **VEGETABLES | {"name": "Far away"}, near="TR21 0")
    corner.settle()
    ideas = await corner.ideas(story)
    assert [one["idea"]["listing_id"] for one in ideas] == [str(here)]
    assert "own_place" in {one["code"] for one in ideas[0]["we_do_not_know"]}


async def test_a_family_home_is_suggested_to_those_alone_who_asked_to_hear_of_homes(
    corner: Corner,
) -> None:
    area, _, story = await settled_place(corner, "IV27 4", want_to=["live with a family who cook"])
    worker = await corner.maker.account(area, "scheme_worker")
    home = await corner.maker.listing(
        worker,
        kind="shared_lives",
        name="A home where everybody cooks",
        summary="Live with a family who cook and eat together",
        near="IV27 4",
    )
    corner.settle()
    assert await corner.ideas(story) == []
    good(
        await corner.client.patch(
            f"/v1/people/{story.id}", json={"homes_wanted": True}, headers=story.headers
        )
    )
    corner.settle()
    idea = idea_of(await corner.ideas(story), home)
    assert idea["idea"]["kind"] == "shared_lives"
