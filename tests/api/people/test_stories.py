"""A story starts with strengths, is come back to with a code, and keeps a person's own words."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from api.core.db import Database
from api.core.errors import Invalid
from api.identity.rules import Anonymous, CodeHolder
from api.people import service as people
from api.people.schemas import ChangePerson, NewStatement, StartStory
from tests.make import Maker, bearer, good, key, now, refused

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SEVEN_DAYS = timedelta(days=7)


async def read(maker: Maker, story: Any) -> dict[str, Any]:
    """Read a story as the person."""
    body: dict[str, Any] = good(
        await maker.client.get(f"/v1/people/{story.id}", headers=story.headers)
    )
    return body


@pytest.mark.parametrize(
    "said",
    [
        {"good_at": ["chess"], "want_to": []},
        {"good_at": [], "want_to": ["learn to swim"]},
        {"good_at": [], "want_to": [], "also": [{"kind": "interest", "words": "trains"}]},
        {"good_at": [], "want_to": [], "also": [{"kind": "goal", "words": "a job"}]},
        {"good_at": [], "want_to": [], "not_asked_yet": True},
        {"good_at": ["chess"], "want_to": [], "not_asked_yet": True},
    ],
    ids=["strength", "goal", "interest", "goal in also", "not asked yet", "both"],
)
async def test_one_strength_or_wish_starts_a_story_without_any_account(
    maker: Maker, said: dict[str, Any]
) -> None:
    story = await maker.story(**said)
    body = await read(maker, story)
    assert story.code is not None
    words = [one["words"] for one in body["good_at"] + body["want_to"] + body["also"]]
    assert (body["ask_by"] is None) == bool(words)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"good_at": [], "want_to": []},
        {"also": [{"kind": "avoidance", "words": "dogs"}]},
        {"also": [{"kind": "access_need", "words": "no steps"}]},
        {"not_asked_yet": False},
    ],
)
async def test_a_start_without_any_strength_or_wish_is_refused_kindly(
    maker: Maker, said: dict[str, Any]
) -> None:
    area = await maker.area()
    answer = await maker.client.post("/v1/people", json={"area": area.slug, "called": "Sam"} | said)
    problem = refused(answer, 422, "strengths-first")
    ways = " ".join(problem["what_else"])
    for way in ("not_asked_yet", "assessment", "carers_assessment", "999", "111"):
        assert way in ways
    assert problem["errors"][0]["field"] == "good_at"


async def test_nothing_but_spaces_says_nothing(maker: Maker) -> None:
    area = await maker.area()
    for body in (
        {"called": "Sam", "good_at": [" \t "]},
        {"called": "  ", "good_at": ["chess"]},
        {"called": "Sam", "want_to": ["\u00a0\u2003"]},
    ):
        answer = await maker.client.post("/v1/people", json={"area": area.slug} | body)
        refused(answer, 400)


async def test_not_asked_yet_stands_for_seven_days_to_the_moment(
    maker: Maker, database: Database
) -> None:
    area = await maker.area()
    story = StartStory(area=area.slug, called="Sam", not_asked_yet=True)
    async with database.write(actor=Anonymous(), now=START) as tx:
        started = await people.start(tx, actor=Anonymous(), now=START, story=story)
    assert started.ask_by == START + SEVEN_DAYS
    holder = CodeHolder("person", started.id, session_id=uuid4())
    steps = NewStatement(kind="access_need", words="no steps")

    just_before = START + SEVEN_DAYS - timedelta(microseconds=1)
    async with database.write(actor=holder, now=just_before) as tx:
        await people.say(tx, actor=holder, now=just_before, person_id=started.id, one=steps)

    for moment in (START + SEVEN_DAYS, START + timedelta(days=30)):
        with pytest.raises(Invalid) as caught:
            async with database.write(actor=holder, now=moment) as tx:
                await people.say(tx, actor=holder, now=moment, person_id=started.id, one=steps)
        assert caught.value.rule == "strengths-first"

    late = START + timedelta(days=30)
    first = NewStatement(kind="goal", words="see my sister")
    async with database.write(actor=holder, now=late) as tx:
        await people.say(tx, actor=holder, now=late, person_id=started.id, one=first)
        await people.say(tx, actor=holder, now=late, person_id=started.id, one=steps)
        story_now = await people.read(tx, actor=holder, now=late, person_id=started.id)
    assert story_now.ask_by is None
    assert [one.words for one in story_now.want_to] == ["see my sister"]


async def test_a_story_not_asked_yet_can_be_read_and_answered_later(maker: Maker) -> None:
    story = await maker.story(good_at=[], want_to=[], not_asked_yet=True)
    asked_by = datetime.fromisoformat((await read(maker, story))["ask_by"])
    assert timedelta(days=6, hours=23) < asked_by - now() <= SEVEN_DAYS
    await maker.said(story, "strength", "mending bicycles")
    assert (await read(maker, story))["ask_by"] is None


async def test_a_person_comes_back_with_their_code_however_it_is_typed(maker: Maker) -> None:
    story = await maker.story()
    assert story.code is not None
    for typed in (story.code.lower(), story.code.replace("-", " "), story.code.replace("0", "O")):
        token = await maker.sign_in(typed)
        me = good(await maker.client.get("/v1/me", headers=bearer(token)))
        assert me["kind"] == "code_holder"
        assert me["id"] == str(story.id)


async def test_words_are_kept_exactly_as_they_were_said(maker: Maker) -> None:
    words = "  Mi abuela's  tea — “strong”, 3 sugars \U0001f375\r\nand <b>quiet</b>  "
    story = await maker.story(good_at=[words])
    assert (await read(maker, story))["good_at"][0]["words"] == words


async def test_saying_it_anew_makes_a_version_and_keeps_the_old_words(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    story = await maker.story(good_at=["cooking"])
    first = (await read(maker, story))["good_at"][0]
    path = f"/v1/people/{story.id}/statements/{first['id']}"
    again = {"kind": "strength", "words": "cooking for many"}
    second = good(await maker.client.put(path, json=again, headers=story.headers))
    assert (second["version"], second["words"]) == (2, "cooking for many")
    assert [one["id"] for one in (await read(maker, story))["good_at"]] == [second["id"]]
    rows = owner_connection.execute(
        "SELECT words, version, replaces_id, ended_at IS NULL FROM statements"
        " WHERE person_id = %s AND kind = 'strength' ORDER BY version",
        [story.id],
    ).fetchall()
    assert [row[:2] for row in rows] == [("cooking", 1), ("cooking for many", 2)]
    assert str(rows[1][2]) == first["id"]
    assert [row[3] for row in rows] == [False, True]
    refused(await maker.client.put(path, json=again, headers=story.headers), 404)


@pytest.mark.parametrize(
    "change", ["words = 'better words'", "kind = 'goal'", "version = 9", "ended_at = NULL"]
)
async def test_even_the_owner_of_the_table_cannot_edit_a_persons_words(
    maker: Maker, owner_connection: psycopg.Connection, change: str
) -> None:
    story = await maker.story(good_at=["cooking", "chess"])
    first = (await read(maker, story))["good_at"][0]["id"]
    path = f"/v1/people/{story.id}/statements/{first}"
    good(await maker.client.delete(path, headers=story.headers))
    with pytest.raises(psycopg.errors.RestrictViolation):
        owner_connection.execute(f"UPDATE statements SET {change} WHERE id = %s", [first])


async def test_the_last_strength_or_wish_is_not_taken_back(maker: Maker) -> None:
    story = await maker.story(good_at=["cooking"], want_to=["swim"])
    await maker.said(story, "avoidance", "dogs near me")
    body = await read(maker, story)
    path = f"/v1/people/{story.id}/statements"
    one, other = body["good_at"][0]["id"], body["want_to"][0]["id"]
    good(await maker.client.delete(f"{path}/{one}", headers=story.headers))
    refused(
        await maker.client.delete(f"{path}/{other}", headers=story.headers), 422, "strengths-first"
    )
    become = {"kind": "avoidance", "words": "swimming"}
    refused(
        await maker.client.put(f"{path}/{other}", json=become, headers=story.headers),
        422,
        "strengths-first",
    )
    become = {"kind": "interest", "words": "watching the swimming"}
    good(await maker.client.put(f"{path}/{other}", json=become, headers=story.headers))
    body = await read(maker, story)
    assert [one["words"] for one in body["also"]] == ["dogs near me", "watching the swimming"]


async def test_a_story_holds_sixty_things_and_making_room_helps(maker: Maker) -> None:
    many = [f"thing {number}" for number in range(20)]
    also = [{"kind": "interest", "words": words} for words in many]
    story = await maker.story(good_at=many, want_to=many, also=also)
    path = f"/v1/people/{story.id}/statements"
    one = {"kind": "goal", "words": "one more"}
    refused(await maker.client.post(path, json=one, headers=story.headers), 422, "story-length")
    first = (await read(maker, story))["good_at"][0]["id"]
    good(await maker.client.put(f"{path}/{first}", json=one, headers=story.headers))
    second = (await read(maker, story))["good_at"][0]["id"]
    good(await maker.client.delete(f"{path}/{second}", headers=story.headers))
    good(await maker.client.post(path, json=one, headers=story.headers))


async def test_facts_go_with_what_is_avoided_or_needed_only(maker: Maker) -> None:
    story = await maker.story()
    said = await maker.said(story, "avoidance", "dogs", dogs="no", crowds="unknown")
    assert said["facts"] == [
        {"fact": "dogs", "wanted": "no"},
        {"fact": "crowds", "wanted": "unknown"},
    ]
    needed = await maker.said(story, "access_need", "no steps", step_free="yes")
    body = await read(maker, story)
    assert {one["id"] for one in body["also"]} == {said["id"], needed["id"]}
    path = f"/v1/people/{story.id}/statements"
    for kind in ("strength", "goal", "interest"):
        one = {"kind": kind, "words": "x", "facts": [{"fact": "dogs", "wanted": "no"}]}
        answer = await maker.client.post(path, json=one, headers=story.headers)
        refused(answer, 422, "facts-of-needs")
    twice = [{"fact": "dogs", "wanted": "no"}, {"fact": "dogs", "wanted": "yes"}]
    one = {"kind": "avoidance", "words": "dogs", "facts": twice}
    answer = await maker.client.post(path, json=one, headers=story.headers)
    refused(answer, 422, "fact-once")
    one = {"kind": "avoidance", "words": "x", "facts": [{"fact": "diagnosis", "wanted": "no"}]}
    refused(await maker.client.post(path, json=one, headers=story.headers), 400)


async def test_left_out_stays_and_null_means_not_said(maker: Maker) -> None:
    story = await maker.story(
        near="M32 8",
        free_times=["tue_evening", "sat_morning"],
        travel_limit_metres=3000,
        spend_limit_pence=0,
    )
    path = f"/v1/people/{story.id}"
    good(await maker.client.patch(path, json={"called": "Samira"}, headers=story.headers))
    body = await read(maker, story)
    assert body["called"] == "Samira"
    assert body["free_times"] == ["tue_evening", "sat_morning"]
    assert (body["travel_limit_metres"], body["spend_limit_pence"]) == (3000, 0)
    assert body["town"] == "M32"
    nothing = dict.fromkeys(("near", "free_times", "travel_limit_metres", "spend_limit_pence"))
    good(await maker.client.patch(path, json=nothing, headers=story.headers))
    body = await read(maker, story)
    assert [body[name] for name in ("town", *list(nothing)[1:])] == [None] * 4
    good(await maker.client.patch(path, json={"free_times": []}, headers=story.headers))
    assert (await read(maker, story))["free_times"] == []
    refused(await maker.client.patch(path, json={"called": None}, headers=story.headers), 400)
    refused(await maker.client.patch(path, json={"near": "by the sea"}, headers=story.headers), 422)


async def test_matching_can_be_left_off_and_put_on_again(maker: Maker) -> None:
    story = await maker.story(matching_wanted=False)
    assert (await read(maker, story))["matching_wanted"] is False
    path = f"/v1/people/{story.id}"
    good(await maker.client.patch(path, json={"matching_wanted": True}, headers=story.headers))
    assert (await read(maker, story))["matching_wanted"] is True


async def test_an_account_and_a_code_have_one_story_each(maker: Maker) -> None:
    account = await maker.account()
    story = await maker.story(account=account)
    assert story.code is None
    holder = await maker.story(account.area)
    body = {"area": account.area.slug, "called": "Sam", "good_at": ["chess"]}
    for headers in (account.headers, holder.headers):
        answer = await maker.client.post("/v1/people", json=body, headers=headers)
        refused(answer, 409, "one-story")


async def test_whoever_only_holds_the_code_of_a_question_starts_as_anybody_does(
    maker: Maker,
) -> None:
    area = await maker.area()
    enquiry = await maker.enquiry(area)
    body = {"area": area.slug, "called": "Sam", "good_at": ["chess"]}
    headers = enquiry.headers | key()
    started = good(await maker.client.post("/v1/people", json=body, headers=headers))
    assert started["code"]
    refused(await maker.client.get(f"/v1/people/{started['id']}", headers=enquiry.headers), 404)


async def test_a_new_code_ends_the_old_one_and_whoever_came_in_with_it(maker: Maker) -> None:
    story = await maker.story()
    assert story.code is not None
    found_it = await maker.sign_in(story.code)
    path = f"/v1/people/{story.id}/come-back-codes"
    fresh = good(await maker.client.post(path, headers=story.headers))["code"]
    old = {"by": "code", "code": story.code}
    refused(await maker.client.post("/v1/sessions", json=old), 401, "code-unknown")
    refused(await maker.client.get("/v1/me", headers=bearer(found_it)), 401)
    good(await maker.client.get("/v1/me", headers=story.headers))
    assert await maker.sign_in(fresh)


async def test_somebody_with_an_account_can_have_a_code_too_and_end_it(maker: Maker) -> None:
    account = await maker.account()
    story = await maker.story(account=account)
    path = f"/v1/people/{story.id}/come-back-codes"
    first = good(await maker.client.post(path, headers=account.headers))["code"]
    came_back = await maker.sign_in(first)
    good(await maker.client.get(f"/v1/people/{story.id}", headers=bearer(came_back)))
    second = good(await maker.client.post(path, headers=account.headers))["code"]
    refused(await maker.client.post("/v1/sessions", json={"by": "code", "code": first}), 401)
    refused(await maker.client.get("/v1/me", headers=bearer(came_back)), 401)
    assert await maker.sign_in(second)


async def test_each_look_leaves_a_receipt_that_the_person_reads_page_by_page(
    maker: Maker,
) -> None:
    story = await maker.story()
    stranger = await maker.account(story.area, "provider")
    refused(await maker.client.get(f"/v1/people/{story.id}", headers=stranger.headers), 404)
    for _ in range(51):
        await read(maker, story)
    path = f"/v1/people/{story.id}/receipts"
    first = good(await maker.client.get(path, headers=story.headers))
    assert len(first["items"]) == 50
    assert {one["outcome"] for one in first["items"]} == {"read"}
    rest = good(
        await maker.client.get(path, params={"cursor": first["next"]}, headers=story.headers)
    )
    assert rest["next"] is None
    assert [one["outcome"] for one in rest["items"]] == ["read", "refused"]
    looked = rest["items"][-1]
    assert (looked["who"], looked["who_id"]) == ("person", str(stranger.id))
    assert looked["what"] == "story"
    refused(await maker.client.get(path, headers=stranger.headers), 404)
    for cursor in ("nonsense", "!!", "gA"):
        answer = await maker.client.get(path, params={"cursor": cursor}, headers=story.headers)
        refused(answer, 422, "cursor-unknown")


async def test_two_changes_at_once_count_the_version_twice(maker: Maker) -> None:
    story = await maker.story()
    before = (await read(maker, story))["version"]
    await maker.said(story, "goal", "one")
    await maker.said(story, "goal", "two")
    assert (await read(maker, story))["version"] == before + 2


async def test_a_change_of_practicalities_by_service_keeps_what_is_unset(
    maker: Maker, database: Database
) -> None:
    story = await maker.story(spend_limit_pence=450)
    holder = CodeHolder("person", story.id, session_id=uuid4())
    async with database.write(actor=holder, now=now()) as tx:
        await people.change(
            tx,
            actor=holder,
            now=now(),
            person_id=story.id,
            change=ChangePerson(travel_limit_metres=900),
        )
    body = await read(maker, story)
    assert (body["spend_limit_pence"], body["travel_limit_metres"]) == (450, 900)
