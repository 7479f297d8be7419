"""The front door: no conditions, an answer in time, and a concern kept from who may be harming."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text

from api.areas.rules import AreaSettings
from api.areas.schemas import AreaOut
from api.core.db import Database
from api.enquiries import service as enquiries
from api.enquiries.rules import due_at
from api.enquiries.schemas import EnquiryAsked, NewEnquiry
from api.identity.rules import Anonymous, CodeHolder, Task
from tests.make import Account, Enquiry, Maker, good, refused

pytestmark = pytest.mark.anyio

KINDS = ["question", "assessment", "carers_assessment", "safeguarding", "emergency"]


async def read(maker: Maker, enquiry: Enquiry, reader: Account | Enquiry) -> dict[str, Any]:
    """Read an enquiry as somebody who may."""
    answer = await maker.client.get(f"/v1/enquiries/{enquiry.id}", headers=reader.headers)
    body: dict[str, Any] = good(answer)
    return body


async def listed(maker: Maker, worker: Account) -> list[str]:
    """Return the ids that wait at a worker's front doors, page by page."""
    ids: list[str] = []
    cursor = None
    for _ in range(20):
        params = {"cursor": cursor} if cursor else {}
        page = good(await maker.client.get("/v1/enquiries", params=params, headers=worker.headers))
        ids += [one["id"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    return ids


@pytest.mark.parametrize("kind", KINDS)
async def test_anybody_may_ask_anything_without_a_strength_a_story_or_an_account(
    maker: Maker, kind: str
) -> None:
    area = await maker.area(front_door_name="Stretford front door")
    enquiry = await maker.enquiry(area, kind=kind, words="?")
    assert enquiry.body["front_door"] == "Stretford front door"
    assert enquiry.body["who_reads_this"]
    ways = " ".join(enquiry.body["always_open"] + enquiry.body["do_now"])
    assert "999" in ways
    assert "111" in ways
    assert (await read(maker, enquiry, enquiry))["messages"][0]["words"] == "?"


@pytest.mark.parametrize("kind", KINDS)
async def test_somebody_not_asked_yet_for_weeks_may_ask_too(maker: Maker, kind: str) -> None:
    story = await maker.story(good_at=[], want_to=[], not_asked_yet=True)
    body = {"area": story.area.slug, "kind": kind, "words": "help"}
    asked = await maker.client.post("/v1/enquiries", json=body, headers=story.headers)
    assert good(asked)["code"]


CLOCKS = [
    # Friday before the summer bank holiday: not one in Scotland, where it is a Monday earlier.
    ("ENG", datetime(2026, 8, 28, 10, tzinfo=UTC), datetime(2026, 9, 2, 16, tzinfo=UTC)),
    ("SCT", datetime(2026, 8, 28, 10, tzinfo=UTC), datetime(2026, 9, 1, 16, tzinfo=UTC)),
    # Over the end of summer time: 17:00 in Manchester is 16:00 UTC before and 17:00 after.
    ("ENG", datetime(2026, 10, 22, 10, tzinfo=UTC), datetime(2026, 10, 26, 17, tzinfo=UTC)),
    # Late on a Sunday in summer is Monday already where people live.
    ("ENG", datetime(2026, 6, 7, 23, 30, tzinfo=UTC), datetime(2026, 6, 10, 16, tzinfo=UTC)),
    # Over Christmas: Friday 25th, Monday 28th in lieu of Saturday 26th.
    ("ENG", datetime(2026, 12, 24, 9, tzinfo=UTC), datetime(2026, 12, 30, 17, tzinfo=UTC)),
]


@pytest.mark.parametrize(("calendar", "asked", "due"), CLOCKS)
def test_the_clock_counts_working_days_of_the_areas_nation(
    calendar: Any, asked: datetime, due: datetime
) -> None:
    area = AreaSettings(front_door_name="x", calendar=calendar, answer_within_working_days=2)
    assert due_at("question", asked_at=asked, settings=area) == due


@pytest.mark.parametrize("kind", ["safeguarding", "emergency"])
def test_a_worry_about_safety_counts_hours_nights_and_holidays_included(kind: Any) -> None:
    area = AreaSettings(front_door_name="x", safeguarding_answer_hours=4)
    for asked in (
        datetime(2026, 12, 25, 23, tzinfo=UTC),
        datetime(2026, 10, 24, 23, 30, tzinfo=UTC),
        datetime(2026, 3, 29, 0, 30, tzinfo=UTC),
    ):
        assert due_at(kind, asked_at=asked, settings=area) == asked + timedelta(hours=4)


async def test_the_same_clock_is_told_to_whoever_asks_and_to_the_front_door(
    maker: Maker,
) -> None:
    area = await maker.area(answer_within_working_days=1)
    worker = await maker.account(area, "scheme_worker")
    enquiry = await maker.enquiry(area)
    for reader in (enquiry, worker):
        body = await read(maker, enquiry, reader)
        assert body["due_at"] == enquiry.body["due_at"]
        assert body["asked_at"] == enquiry.body["asked_at"]


async def test_the_first_look_and_the_answer_are_events_and_stop_the_clock(
    maker: Maker,
) -> None:
    area = await maker.area()
    worker = await maker.account(area, "scheme_worker")
    enquiry = await maker.enquiry(area)
    assert (await read(maker, enquiry, enquiry))["seen_at"] is None
    seen = (await read(maker, enquiry, worker))["seen_at"]
    assert seen is not None
    assert (await read(maker, enquiry, worker))["seen_at"] == seen
    path, words = f"/v1/enquiries/{enquiry.id}/answers", {"words": "Yes, on Tuesdays."}
    first = good(await maker.client.post(path, json=words, headers=worker.headers))
    assert first["answered_at"] is not None
    good(await maker.client.post(path, json={"words": "Thanks!"}, headers=enquiry.headers))
    again = good(await maker.client.post(path, json=words, headers=worker.headers))
    assert again["answered_at"] == first["answered_at"]
    body = await read(maker, enquiry, enquiry)
    assert [one["by"] for one in body["messages"]] == ["asker", "front_door"] * 2
    happened = [one["what"] for one in body["events"]]
    assert happened == ["asked", "seen", "answered", "asked_more", "answered"]
    assert str(enquiry.id) not in await listed(maker, worker)


async def test_answering_at_once_counts_as_seen_first(maker: Maker) -> None:
    area = await maker.area()
    worker = await maker.account(area, "manager")
    enquiry = await maker.enquiry(area)
    path = f"/v1/enquiries/{enquiry.id}/answers"
    body = good(await maker.client.post(path, json={"words": "Yes"}, headers=worker.headers))
    assert [one["what"] for one in body["events"]] == ["asked", "seen", "answered"]


async def test_nobody_stops_the_clock_of_their_own_question(maker: Maker) -> None:
    worker = await maker.account(None, "scheme_worker")
    enquiry = await maker.enquiry(worker.area, account=worker)
    path = f"/v1/enquiries/{enquiry.id}/answers"
    body = good(await maker.client.post(path, json={"words": "Done"}, headers=worker.headers))
    assert (body["seen_at"], body["answered_at"]) == (None, None)
    assert [one["by"] for one in body["messages"]] == ["asker", "asker"]


async def test_a_concern_is_hidden_from_the_account_it_was_raised_from(maker: Maker) -> None:
    area = await maker.area()
    account = await maker.account(area)
    social_worker = await maker.account(area, "professional")
    manager = await maker.account(area, "manager")
    nurse = await maker.account(area, "professional", profession="nurse")
    scheme_worker = await maker.account(area, "scheme_worker")
    concern = await maker.enquiry(area, kind="safeguarding", account=account, words="he shouts")
    path = f"/v1/enquiries/{concern.id}"
    for reader in (account, scheme_worker, nurse):
        refused(await maker.client.get(path, headers=reader.headers), 404)
        answer = {"words": "hello"}
        tried = await maker.client.post(f"{path}/answers", json=answer, headers=reader.headers)
        refused(tried, 404)
    for worker in (scheme_worker, nurse):
        assert str(concern.id) not in await listed(maker, worker)
    for reader in (concern, social_worker, manager):
        assert (await read(maker, concern, reader))["messages"][0]["words"] == "he shouts"
    for worker in (social_worker, manager):
        assert str(concern.id) in await listed(maker, worker)


async def test_a_concern_raised_from_an_account_that_also_works_there_is_not_listed_to_it(
    maker: Maker,
) -> None:
    worker = await maker.account(None, "scheme_worker")
    concern = await maker.enquiry(worker.area, kind="safeguarding", account=worker)
    assert str(concern.id) not in await listed(maker, worker)
    path = f"/v1/enquiries/{concern.id}"
    refused(await maker.client.get(path, headers=worker.headers), 404)


async def test_staff_of_another_area_see_nothing(maker: Maker) -> None:
    enquiry = await maker.enquiry(await maker.area())
    for role in ("professional", "manager", "scheme_worker"):
        worker = await maker.account(None, role)  # type: ignore[arg-type]
        assert await listed(maker, worker) == []
        path = f"/v1/enquiries/{enquiry.id}"
        refused(await maker.client.get(path, headers=worker.headers), 404)


async def test_ones_own_question_elsewhere_does_not_wait_at_ones_own_front_door(
    maker: Maker,
) -> None:
    worker = await maker.account(None, "manager")
    await maker.enquiry(await maker.area(), account=worker)
    assert await listed(maker, worker) == []


@pytest.mark.parametrize("role", ["citizen", "provider", "area_admin", "commissioner"])
async def test_the_list_is_for_the_front_door_alone(maker: Maker, role: Any) -> None:
    account = await maker.account(None, role)
    answer = await maker.client.get("/v1/enquiries", headers=account.headers)
    refused(answer, 403, "role-needed")
    refused(await maker.client.get("/v1/enquiries"), 401)


async def test_an_account_reads_its_own_question_and_nobody_elses(maker: Maker) -> None:
    account = await maker.account()
    mine = await maker.enquiry(account.area, account=account)
    other = await maker.enquiry(account.area)
    assert (await read(maker, mine, account))["id"] == str(mine.id)
    refused(await maker.client.get(f"/v1/enquiries/{other.id}", headers=account.headers), 404)
    refused(await maker.client.get(f"/v1/enquiries/{other.id}", headers=mine.headers), 404)
    refused(await maker.client.get(f"/v1/enquiries/{other.id}"), 401)


async def test_the_list_comes_the_soonest_due_first_page_by_page(
    maker: Maker, database: Database
) -> None:
    area = await maker.area()
    worker = await maker.account(area, "manager")
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    asked = [
        await _ask(database, area, at=start + timedelta(days=number % 7, minutes=number))
        for number in range(53)
    ]
    due = {str(one.id): (one.due_at, one.id) for one in asked}
    ids = await listed(maker, worker)
    assert ids == sorted(due, key=lambda one: due[one])
    refused(
        await maker.client.get(
            "/v1/enquiries", params={"cursor": "nonsense"}, headers=worker.headers
        ),
        422,
        "cursor-unknown",
    )


async def _ask(database: Database, area: AreaOut, *, at: datetime) -> EnquiryAsked:
    new = NewEnquiry(area=area.slug, words="Is there a choir?")
    async with database.write(actor=Anonymous(), now=at) as tx:
        return await enquiries.ask(tx, actor=Anonymous(), now=at, new=new)


async def _sweep(database: Database, *, at: datetime) -> int:
    task = Task("enquiries.sweep", uuid4())
    async with database.write(actor=task, now=at) as tx:
        return await enquiries.sweep_overdue(tx, actor=task, now=at)


async def test_what_is_not_answered_in_time_is_overdue_once_and_to_the_moment(
    maker: Maker, database: Database
) -> None:
    area = await maker.area()
    asked = await _ask(database, area, at=datetime(2001, 5, 14, 9, tzinfo=UTC))
    await _sweep(database, at=asked.due_at)
    holder = CodeHolder("enquiry", asked.id, session_id=uuid4())

    async def state() -> tuple[bool, list[str]]:
        async with database.write(actor=holder, now=asked.due_at) as tx:
            body = await enquiries.read(tx, actor=holder, now=asked.due_at, enquiry_id=asked.id)
        return body.overdue, [one.what for one in body.events]

    assert await state() == (False, ["asked"])
    late = asked.due_at + timedelta(seconds=1)
    assert await _sweep(database, at=late) == 1
    assert await _sweep(database, at=late) == 0
    assert await state() == (True, ["asked", "overdue"])


async def test_the_sweep_reads_no_words(maker: Maker, database: Database) -> None:
    await maker.enquiry(await maker.area())
    task = Task("enquiries.sweep", uuid4())
    async with database.read(actor=task, now=datetime(2026, 3, 2, tzinfo=UTC)) as session:
        assert await session.scalar(text("SELECT count(*) FROM enquiry_messages")) == 0
        assert await session.scalar(text("SELECT EXISTS (SELECT FROM enquiries)")) is True


async def test_words_that_were_said_are_not_changed(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    enquiry = await maker.enquiry(await maker.area())
    with pytest.raises(psycopg.errors.RestrictViolation):
        owner_connection.execute(
            "UPDATE enquiry_messages SET words = 'x' WHERE enquiry_id = %s", [enquiry.id]
        )
