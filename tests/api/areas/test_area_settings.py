"""Settings of an area are data: changed by its admin, one at a time, with a reason that stays."""

import asyncio
from typing import Any

import psycopg
import pytest

from tests.make import Account, Maker, good, refused

pytestmark = pytest.mark.anyio


async def change(maker: Maker, admin: Account, version: int, **settings: Any) -> Any:
    """Send new settings for an admin's area."""
    body = {
        "version": version,
        "reason": "We moved house",
        "settings": {"front_door_name": "Here"} | settings,
    }
    path = f"/v1/areas/{admin.area.slug}/settings"
    return await maker.client.put(path, json=body, headers=admin.headers)


async def test_new_settings_hold_at_once_and_the_old_ones_stay_with_the_reason(
    maker: Maker, owner_connection: psycopg.Connection
) -> None:
    admin = await maker.account(None, "area_admin")
    new = good(await change(maker, admin, 1, calendar="SCT", micro_enterprise_max_people=3))
    assert new["version"] == 2
    seen = good(await maker.client.get(f"/v1/areas/{admin.area.slug}"))
    assert (seen["settings"]["calendar"], seen["version"]) == ("SCT", 2)
    rows = owner_connection.execute(
        "SELECT version, reason, changed_by, settings ->> 'calendar' FROM area_changes"
        " WHERE area_id = %s ORDER BY version",
        [admin.area.id],
    ).fetchall()
    assert rows == [
        (1, "made", None, "ENG"),
        (2, "We moved house", admin.id, "SCT"),
    ]


async def test_of_two_changes_at_once_one_is_told_to_read_again(maker: Maker) -> None:
    admin = await maker.account(None, "area_admin")
    answers = await asyncio.gather(
        *(change(maker, admin, 1, look_again_days=days) for days in (3, 5, 8))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    late = next(answer for answer in answers if answer.status_code == 409)
    refused(late, 409, "version-moved-on")
    stale = refused(await change(maker, admin, 1), 409, "version-moved-on")
    assert "version 2" in stale["detail"]


@pytest.mark.parametrize(
    ("wanted", "rule"),
    [
        ({"time_zone": "Europe/Atlantis"}, "time-zone-known"),
        ({"time_zone": "America/Indiana"}, "time-zone-known"),
        (
            {"check_tiers": [{"code": "a", "name": "A", "needs": []}] * 2},
            "tier-once",
        ),
    ],
)
async def test_settings_that_cannot_be_are_refused(
    maker: Maker, wanted: dict[str, Any], rule: str
) -> None:
    admin = await maker.account(None, "area_admin")
    refused(await change(maker, admin, 1, **wanted), 422, rule)


@pytest.mark.parametrize(
    "wanted",
    [
        {"time_zone": "../../etc/passwd"},
        {"time_zone": "London"},
        {"calendar": "FRA"},
        {"answer_within_working_days": 0},
        {"safeguarding_answer_hours": 25},
        {"operating_mode": "anything"},
        {"no_such_setting": 1},
        {"outwards": ["m32"]},
    ],
)
async def test_settings_out_of_their_range_are_refused(
    maker: Maker, wanted: dict[str, Any]
) -> None:
    admin = await maker.account(None, "area_admin")
    refused(await change(maker, admin, 1, **wanted), 400)


async def test_nobody_else_changes_settings(maker: Maker) -> None:
    area = await maker.area()
    manager = await maker.account(area, "manager")
    refused(await change(maker, manager, 1), 403, "role-needed")
    refused(await maker.client.put(f"/v1/areas/{area.slug}/settings", json={}), 401)


async def test_areas_are_open_to_all(maker: Maker) -> None:
    area = await maker.area()
    slugs = [one["slug"] for one in good(await maker.client.get("/v1/areas"))["items"]]
    assert area.slug in slugs
    refused(await maker.client.get("/v1/areas/nowhere"), 404)
