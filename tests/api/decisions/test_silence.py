"""Silence goes up to the manager: it decides nothing, and lets go of nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from api.areas.rules import AreaSettings
from api.core.db import Database, WriteSession
from api.decisions import service
from api.decisions.rules import Subject, challenge_due, sign_off_due, stop_reply_due
from api.decisions.schemas import NewChallenge, NewStop
from api.identity.rules import Service, Task
from tests.api.decisions.desk import Desk, no, open_desk
from tests.make import Maker, good
from workers.schedule import SCHEDULE
from workers.tasks import decisions as tasks

pytestmark = pytest.mark.anyio

CLOCKS = [
    # Over the summer bank holiday of Monday 31 August: not one in Scotland then.
    ("ENG", 2, datetime(2026, 8, 28, 10, tzinfo=UTC), datetime(2026, 9, 2, 16, tzinfo=UTC)),
    ("SCT", 2, datetime(2026, 8, 28, 10, tzinfo=UTC), datetime(2026, 9, 1, 16, tzinfo=UTC)),
    # Ten working days over Christmas and New Year: three bank holidays and three weekends.
    ("ENG", 10, datetime(2026, 12, 21, 9, tzinfo=UTC), datetime(2027, 1, 7, 17, tzinfo=UTC)),
    # Over the end of summer time: 17:00 is 16:00 UTC before and 17:00 after.
    ("ENG", 2, datetime(2026, 10, 22, 10, tzinfo=UTC), datetime(2026, 10, 26, 17, tzinfo=UTC)),
]
LONG_AGO = datetime(2001, 5, 14, 9, tzinfo=UTC)


@pytest.mark.parametrize(("calendar", "days", "start", "due"), CLOCKS)
def test_go_aheads_and_second_looks_count_working_days_of_the_areas_nation(
    calendar: Any, days: int, start: datetime, due: datetime
) -> None:
    settings = AreaSettings(
        front_door_name="x",
        calendar=calendar,
        sign_off_working_days=days,
        challenge_working_days=days,
    )
    assert sign_off_due(asked_at=start, settings=settings) == due
    assert challenge_due(raised_at=start, settings=settings) == due


def test_a_stop_counts_hours_nights_and_holidays_included() -> None:
    settings = AreaSettings(front_door_name="x")
    for start in (
        datetime(2026, 12, 24, 23, tzinfo=UTC),
        datetime(2026, 10, 24, 12, tzinfo=UTC),
        datetime(2026, 3, 28, 12, tzinfo=UTC),
    ):
        assert stop_reply_due(raised_at=start, settings=settings) == start + timedelta(hours=24)


async def sweep(database: Database, *, at: datetime) -> int:
    """Sweep as the task does."""
    task = Task("decisions.sweep", uuid4())
    async with database.write(actor=task, now=at) as tx:
        return await service.sweep(tx, actor=task, now=at)


async def shown(desk: Desk, asked: UUID) -> dict[str, Any]:
    """Return a go-ahead as its manager reads it."""
    path = f"/v1/sign-offs/{asked}"
    body: dict[str, Any] = good(await desk.maker.client.get(path, headers=desk.manager.headers))
    return body


async def test_a_go_ahead_nobody_answers_goes_to_the_manager_and_is_never_a_no(
    maker: Maker, database: Database
) -> None:
    desk = await open_desk(maker)
    subject = Subject("pool_use", uuid4())
    asked = await desk.ask(subject=subject, at=LONG_AGO)
    due = sign_off_due(asked_at=LONG_AGO, settings=desk.area.settings)
    await sweep(database, at=due)
    assert not (await shown(desk, asked))["escalated"]
    late = due + timedelta(seconds=1)
    assert await sweep(database, at=late) == 1
    assert await sweep(database, at=late) == 0
    body = await shown(desk, asked)
    assert (body["escalated"], body["state"]) == (True, "waiting")
    assert [one["what"] for one in body["events"]] == ["asked", "escalated"]
    assert await desk.state(subject) == "waiting"
    recent = await desk.ask()
    answer = await maker.client.get("/v1/sign-offs", headers=desk.manager.headers)
    assert [one["id"] for one in good(answer)["items"]] == [str(asked), str(recent)]
    # Years of silence later it is still a question.
    await sweep(database, at=late + timedelta(days=3650))
    assert await desk.state(subject) == "waiting"
    assert (await desk.decide(asked)).state == "approved"


async def test_a_stop_nobody_answers_goes_to_the_manager_and_keeps_its_hold(
    maker: Maker, database: Database
) -> None:
    area = await maker.area()
    raiser, manager = await maker.account(area), await maker.account(area, "manager")
    subject = Subject("pool", uuid4())
    new = NewStop(subject_type="pool", subject_id=subject.id, area=area.slug, words="x")
    async with database.write(actor=raiser.actor, now=LONG_AGO) as tx:
        await service.raise_stop(tx, actor=raiser.actor, now=LONG_AGO, new=new)
    assert await sweep(database, at=LONG_AGO + timedelta(hours=24)) == 0
    late = LONG_AGO + timedelta(hours=24, seconds=1)
    assert await sweep(database, at=late) == 1
    assert await sweep(database, at=late) == 0
    for reader in (raiser, manager):
        body = good(await maker.client.get("/v1/safety-stops", headers=reader.headers))
        (stop,) = body["items"]
        assert (stop["escalated"], stop["held"]) == (True, True)


async def test_a_second_look_nobody_takes_goes_to_the_manager(
    maker: Maker, database: Database
) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask(at=LONG_AGO)
    await desk.decide(asked, at=LONG_AGO, **no(LONG_AGO))
    async with database.write(actor=desk.person, now=LONG_AGO) as tx:
        await service.challenge(
            tx, actor=desk.person, now=LONG_AGO, sign_off_id=asked, new=NewChallenge(words="x")
        )
    late = challenge_due(raised_at=LONG_AGO, settings=desk.area.settings) + timedelta(seconds=1)
    assert await sweep(database, at=late) == 1
    assert await sweep(database, at=late) == 0
    body = await shown(desk, asked)
    assert (body["escalated"], body["state"]) == (True, "declined")
    assert body["challenges"][0]["escalated"]
    assert body["challenges"][0]["outcome"] is None


async def test_only_a_task_sweeps_and_it_reads_nothing(maker: Maker, database: Database) -> None:
    desk = await open_desk(maker)
    asked = await desk.ask(at=LONG_AGO)
    late = LONG_AGO + timedelta(days=100)
    for actor in (desk.manager.actor, Service("tests")):
        async with database.write(actor=actor, now=late) as tx:
            assert await service.sweep(tx, actor=actor, now=late) == 0
    task = Task("decisions.sweep", uuid4())
    async with database.read(actor=task, now=late) as session:
        for table in ("sign_offs", "sign_off_wishes", "safety_stops", "decision_events"):
            assert await session.scalar(text(f"SELECT count(*) FROM {table}")) == 0
    await sweep(database, at=late)
    assert (await shown(desk, asked))["escalated"]


class OneJob:
    """Stands for a run: its actor, its time and its last transaction."""

    def __init__(self, database: Database, *, at: datetime) -> None:
        self.database = database
        self.now = at
        self.actor = Task("decisions.sweep", uuid4())

    @asynccontextmanager
    async def last(self) -> AsyncIterator[WriteSession]:
        """Open the last transaction."""
        async with self.database.write(actor=self.actor, now=self.now) as tx:
            yield tx


async def test_the_task_sweeps_every_five_minutes(maker: Maker, database: Database) -> None:
    (entry,) = (one for one in SCHEDULE if one.name == "silence")
    assert (entry.task, entry.every) == ("decisions.sweep", timedelta(minutes=5))
    desk = await open_desk(maker)
    asked = await desk.ask(at=LONG_AGO)
    job: Any = OneJob(database, at=LONG_AGO + timedelta(days=60))
    for _ in range(2):
        await tasks.sweep(job, of_a_later_version=1)
    events = [one["what"] for one in (await shown(desk, asked))["events"]]
    assert events == ["asked", "escalated"]


async def test_whoever_asked_is_told_and_a_type_that_nobody_knows_is_done(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[UUID, UUID]] = []

    async def handler(
        tx: WriteSession, *, job: object, subject_id: UUID, sign_off_id: UUID
    ) -> None:
        assert tx.in_transaction()
        assert job
        told.append((subject_id, sign_off_id))

    monkeypatch.setitem(tasks.HANDLERS, "test_thing", handler)
    job: Any = OneJob(database, at=LONG_AGO)
    ids = {"subject_id": uuid4(), "sign_off_id": uuid4()}
    for kind in ("test_thing", "nobody_knows"):
        await tasks.decided(job, subject_type=kind, **ids)
    assert told == [(ids["subject_id"], ids["sign_off_id"])]
