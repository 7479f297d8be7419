"""Who may list, confirm, replace and close what; and what a home and an own offer never show."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from httpx2 import AsyncClient

from tests.make import Account, Maker, good, key, refused

pytestmark = pytest.mark.anyio

WHO_MAY = {
    "micro_enterprise": {"provider", "area_admin"},
    "shared_lives": {"scheme_worker", "area_admin"},
    "peer_group": {"citizen", "supporter", "provider", "professional", "area_admin"},
    "community": {"citizen", "supporter", "provider", "professional", "area_admin"},
}


def body(area: str, **more: Any) -> dict[str, Any]:
    """Return a listing to be."""
    usual = {
        "area": area,
        "kind": "community",
        "name": "Mending table",
        "summary": "Bring what is broken",
        "near": "M32 8",
    }
    return usual | more


async def one(client: AsyncClient, listing_id: UUID | str) -> dict[str, Any]:
    """Return what anybody sees of a listing."""
    found: dict[str, Any] = good(await client.get(f"/v1/listings/{listing_id}"))
    return found


async def found_by_words(client: AsyncClient, **search: Any) -> list[str]:
    """Return the ids that a search finds."""
    answer = good(await client.post("/v1/listings/search", json={"limit": 50} | search))
    return [item["id"] for item in answer["items"]]


@pytest.mark.parametrize("kind", sorted(WHO_MAY))
async def test_each_kind_is_listed_by_its_roles_in_their_own_area_and_by_nobody_else(
    maker: Maker, client: AsyncClient, kind: str
) -> None:
    area, elsewhere = await maker.area(), await maker.area()
    for role in ("citizen", "supporter", "professional", "provider", "scheme_worker", "manager",
                 "area_admin"):  # fmt: skip
        account = await maker.account(area, role)  # type: ignore[arg-type]
        answer = await client.post(
            "/v1/listings", json=body(area.slug, kind=kind), headers=account.headers
        )
        if role in WHO_MAY[kind]:
            assert answer.status_code == 201, role
            assert (await one(client, answer.json()["id"]))["kind"] == kind
        else:
            problem = refused(answer, 403, "who-may-list")
            assert problem["what_else"]
        away = await client.post(
            "/v1/listings", json=body(elsewhere.slug, kind=kind), headers=account.headers
        )
        refused(away, 403, "who-may-list")
    story = await maker.story(area)
    for headers, status in ((story.headers, 403), ({}, 401)):
        answer = await client.post("/v1/listings", json=body(area.slug, kind=kind), headers=headers)
        refused(answer, status)


async def test_only_its_owner_or_its_areas_admin_changes_confirms_or_closes_a_listing(
    maker: Maker, client: AsyncClient, owner_connection: psycopg.Connection
) -> None:
    area = await maker.area()
    owner = await maker.account(area, "provider")
    other = await maker.account(area, "provider", "manager", "scheme_worker")
    admin, foreign = (
        await maker.account(area, "area_admin"),
        await maker.account(None, "area_admin"),
    )
    listing = await maker.listing(owner)
    path, new = f"/v1/listings/{listing}", body(area.slug, name="Another name")
    before = await one(client, listing)
    for who in (other, foreign):
        refused(await client.put(path, json=new, headers=who.headers), 404)
        refused(await client.post(f"{path}/confirm", json={}, headers=who.headers), 404)
        refused(await client.delete(path, headers=who.headers), 404)
    assert await one(client, listing) == before
    changed = good(await client.put(path, json=new, headers=admin.headers))
    assert changed["version"] == 2
    kept = owner_connection.execute(
        "SELECT l.version, (SELECT max(a.version) FROM audit_entries a WHERE a.subject_id = l.id)"
        " FROM listings l WHERE l.id = %s",
        [listing],
    ).fetchone()
    assert kept == (2, 2), "the answer, the row and the record say the same"
    assert (await one(client, listing))["name"] == "Another name"
    good(await client.post(f"{path}/confirm", json={"places_left": 3}, headers=owner.headers))
    assert (await one(client, listing))["places_left"] == 3
    good(await client.delete(path, headers=owner.headers))
    refused(await client.get(path), 404)
    refused(await client.delete(path, headers=owner.headers), 404)
    refused(await client.put(path, json=new, headers=admin.headers), 404)


async def test_a_listing_stays_of_its_kind_and_in_its_area(
    maker: Maker, client: AsyncClient
) -> None:
    owner = await maker.account(None, "provider")
    listing = await maker.listing(owner)
    elsewhere = await maker.area()
    for new in (body(owner.area.slug, kind="peer_group"), body(elsewhere.slug)):
        answer = await client.put(f"/v1/listings/{listing}", json=new, headers=owner.headers)
        refused(answer, 422, "kind-and-area-stay")


async def test_a_shared_lives_home_shows_its_area_and_summary_only(
    maker: Maker, client: AsyncClient, owner_connection: psycopg.Connection
) -> None:
    worker = await maker.account(None, "scheme_worker")
    home = body(worker.area.slug, kind="shared_lives", near="M32 8BH")
    for field, value in (
        ("address", "1 High Street"),
        ("postcode", "M32 8BH"),
        ("website", "https://example.org"),
    ):
        answer = await client.post(
            "/v1/listings", json=home | {field: value}, headers=worker.headers
        )
        assert [error["field"] for error in refused(answer, 422, "home-address")["errors"]] == [
            field
        ]
    told = {"description": "Ask for Marigold at the green gate", "provider_name": "The Marigolds"}
    made = good(await client.post("/v1/listings", json=home | told, headers=worker.headers))
    shown = await one(client, made["id"])
    assert shown["near"] == "M32 8"
    assert {shown[field] for field in ("address", "website", "description", "provider_name")} == {
        None
    }
    assert "Marigold" not in str(shown)
    assert made["id"] not in await found_by_words(client, words="Marigold")
    kept = owner_connection.execute(
        "SELECT address, postcode, website FROM listings WHERE id = %s", [made["id"]]
    ).fetchone()
    assert kept == (None, None, None)
    for column in ("address", "postcode", "website"):
        with pytest.raises(psycopg.errors.CheckViolation):
            owner_connection.execute(
                f"UPDATE listings SET {column} = 'x' WHERE id = %s", [made["id"]]
            )
    for column in ("address", "website", "description", "provider_name"):
        with pytest.raises(psycopg.errors.CheckViolation):
            owner_connection.execute(
                f"UPDATE listing_public SET {column} = 'x' WHERE listing_id = %s", [made["id"]]
            )


async def test_an_own_offer_is_in_no_browse_no_search_and_under_no_address(
    maker: Maker, client: AsyncClient
) -> None:
    story = await maker.story(near="M32 8")
    neighbour = await maker.story(story.area, near="M32 8")
    offer = str(await maker.offer(story, name="Zither lessons", words="Zithers and tea"))
    for section in ("confirmed", "not_confirmed_lately"):
        for search in ({}, {"near": "M32 8", "within_metres": 500}):
            found = await found_by_words(client, words="zither", section=section, **search)
            assert offer not in found
            query = {"section": section, "limit": 50, "area": story.area.slug} | search
            page = good(await client.get("/v1/listings", params=query))
            assert offer not in [item["id"] for item in page["items"]]
    assert offer not in await found_by_words(client, words="zithr")
    for headers in ({}, neighbour.headers, story.headers):
        refused(await client.get(f"/v1/listings/{offer}", headers=headers), 404)
    mine = good(await client.get(f"/v1/people/{story.id}/offers", headers=story.headers))
    assert [item["id"] for item in mine["items"]] == [offer]
    for headers in (neighbour.headers, (await maker.account(story.area, "area_admin")).headers):
        refused(await client.get(f"/v1/people/{story.id}/offers", headers=headers), 404)
        refused(await client.delete(f"/v1/listings/{offer}", headers=headers), 404)
    good(await client.delete(f"/v1/listings/{offer}", headers=story.headers))
    mine = good(await client.get(f"/v1/people/{story.id}/offers", headers=story.headers))
    assert mine["items"] == []


async def test_postgresql_refuses_to_publish_an_own_offer_under_any_name(
    maker: Maker, owner_connection: psycopg.Connection, app_connection: psycopg.Connection
) -> None:
    offer = await maker.offer(await maker.story())
    insert = (
        "INSERT INTO listing_public (listing_id, kind, name, summary, sessions, access)"
        " VALUES (%s, %s, 'x', 'x', '[]', '{}')"
    )
    for connection in (owner_connection, app_connection):
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(insert, [offer, "own_offer"])
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute(insert, [offer, "community"])
    with pytest.raises(psycopg.errors.CheckViolation):
        owner_connection.execute("UPDATE listings SET kind = 'community' WHERE id = %s", [offer])


async def test_nobody_reads_an_own_offer_by_sql_but_its_person(
    maker: Maker, app_connection: psycopg.Connection
) -> None:
    story = await maker.story()
    other = await maker.story(story.area)
    offer = await maker.offer(story)
    for kind, actor, seen in (
        ("", "", 0),
        ("anonymous", "", 0),
        ("service", "", 0),
        ("code_holder", str(other.id), 0),
        ("code_holder", str(story.id), 1),
    ):
        with app_connection.transaction():
            app_connection.execute(
                "SELECT set_config('app.actor_kind', %s, true),"
                " set_config('app.actor_id', %s, true)",
                [kind, actor],
            )
            query = "SELECT count(*) FROM listings WHERE id = %s"
            assert app_connection.execute(query, [offer]).fetchone() == (seen,), kind


async def test_more_places_left_than_there_are_is_refused_and_the_field_named(
    maker: Maker, client: AsyncClient
) -> None:
    owner = await maker.account(None, "provider")
    many = body(owner.area.slug, places_total=3, places_left=4)
    answer = await client.post("/v1/listings", json=many, headers=owner.headers)
    assert refused(answer, 422, "places-left")["errors"][0]["field"] == "places_left"
    listing = await maker.listing(owner, places_total=3, places_left=1)
    answer = await client.post(
        f"/v1/listings/{listing}/confirm", json={"places_left": 4}, headers=owner.headers
    )
    assert refused(answer, 422, "places-left")["errors"][0]["field"] == "places_left"
    assert (await one(client, listing))["places_left"] == 1


async def test_how_large_a_small_local_business_may_be_is_for_its_area_to_say(
    maker: Maker, client: AsyncClient
) -> None:
    area = await maker.area(micro_enterprise_max_people=2)
    owner = await maker.account(area, "provider")
    for people, fits in ((None, True), (1, True), (2, True), (3, False)):
        new = body(area.slug, kind="micro_enterprise", people_working=people)
        answer = await client.post("/v1/listings", json=new, headers=owner.headers)
        if fits:
            good(answer)
        else:
            problem = refused(answer, 422, "micro-enterprise-size")
            assert problem["errors"][0]["field"] == "people_working"
            assert "area's admin" in problem["who_can_change_it"]
    good(
        await client.post(
            "/v1/listings", json=body(area.slug, people_working=9), headers=owner.headers
        )
    )


async def test_free_is_not_the_same_as_no_price_known(maker: Maker, client: AsyncClient) -> None:
    owner = await maker.account(None, "provider")
    free, unknown = (
        await maker.listing(owner, price_pence=0),
        await maker.listing(owner, price_pence=None),
    )
    assert (await one(client, free))["price_pence"] == 0
    assert (await one(client, unknown))["price_pence"] is None
    query = {"area": owner.area.slug, "free": "true"}
    page = good(await client.get("/v1/listings", params=query))
    assert [item["id"] for item in page["items"]] == [str(free)]


async def test_the_same_request_twice_makes_one_listing(maker: Maker, client: AsyncClient) -> None:
    owner = await maker.account(None, "provider")
    sent = key() | owner.headers
    new = body(owner.area.slug)
    first = good(await client.post("/v1/listings", json=new, headers=sent))
    assert good(await client.post("/v1/listings", json=new, headers=sent)) == first
    other = await client.post("/v1/listings", json=new | {"name": "Other"}, headers=sent)
    refused(other, 422, "idempotency-key-reused")
    page = good(await client.get("/v1/listings", params={"area": owner.area.slug}))
    assert len(page["items"]) == 1


async def test_a_session_ends_after_it_starts(maker: Maker, client: AsyncClient) -> None:
    owner = await maker.account(None, "provider")
    for end in ("10:00", "09:59"):
        new = body(owner.area.slug, sessions=[{"day": "mon", "start": "10:00", "end": end}])
        answer = await client.post("/v1/listings", json=new, headers=owner.headers)
        problem = refused(answer, 422, "ends-after-start")
        assert problem["errors"][0]["field"] == "sessions[0].end"


async def stale(
    client: AsyncClient, owner: Account, listing: UUID, confirmed_on: date
) -> dict[str, Any]:
    """Say that a listing was confirmed on a day; return what anybody sees of it then."""
    good(
        await client.post(
            f"/v1/listings/{listing}/confirm",
            json={"confirmed_on": confirmed_on.isoformat()},
            headers=owner.headers,
        )
    )
    return await one(client, listing)


async def test_a_listing_is_confirmed_for_as_long_as_its_area_says_and_then_shown_apart(
    maker: Maker, client: AsyncClient
) -> None:
    area = await maker.area(confirm_within_days=10)
    owner = await maker.account(area, "provider")
    listing, today = await maker.listing(owner), datetime.now(UTC).date()
    for days, lately in ((0, True), (10, True), (11, False), (300, False)):
        shown = await stale(client, owner, listing, today - timedelta(days=days))
        assert shown["confirmed_lately"] is lately, days
        for section, there in (("confirmed", lately), ("not_confirmed_lately", not lately)):
            page = good(
                await client.get("/v1/listings", params={"area": area.slug, "section": section})
            )
            assert page["section"] == section
            assert [item["id"] for item in page["items"]] == ([str(listing)] if there else [])
    answer = await client.post(
        f"/v1/listings/{listing}/confirm",
        json={"confirmed_on": (today + timedelta(days=1)).isoformat()},
        headers=owner.headers,
    )
    refused(answer, 422, "confirmed-by-today")
