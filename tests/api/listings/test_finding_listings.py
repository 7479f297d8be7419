"""Browse and search: filters, order, pages, spelling, odd words, and where words may not be."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from httpx2 import AsyncClient
from hypothesis import given
from hypothesis import strategies as st

from api.areas.places import locate
from api.core import pagination
from api.core.config import Settings
from api.core.db import Database
from api.core.ids import new_id
from api.listings import service
from api.listings.schemas import Filters
from tests.make import Maker, good, now, refused

pytestmark = pytest.mark.anyio

PLACE = "TR21 0"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


async def pages(client: AsyncClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """Walk all pages, by cursor; return what was on them."""
    items: list[dict[str, Any]] = []
    while True:
        page = good(await client.get(path, params=query))
        items += page["items"]
        if page["next"] is None:
            return items
        assert len(page["items"]) == query["limit"], "only the last page is short"
        query["cursor"] = page["next"]


async def test_filters_by_day_kind_price_and_area(maker: Maker, client: AsyncClient) -> None:
    owner = await maker.account(None, "provider")
    tuesday = [{"day": "tue", "start": "10:00", "end": "11:00"}]
    choir = str(await maker.listing(owner, sessions=tuesday, price_pence=0))
    bakery = str(await maker.listing(owner, kind="micro_enterprise", price_pence=500))
    area = owner.area.slug
    for query, expected in (
        ({}, {choir, bakery}),
        ({"day": "tue"}, {choir}),
        ({"day": "wed"}, set()),
        ({"kind": "micro_enterprise"}, {bakery}),
        ({"free": "true"}, {choir}),
        ({"free": "false"}, {choir, bakery}),
    ):
        page = good(await client.get("/v1/listings", params={"area": area} | query))
        assert {item["id"] for item in page["items"]} == expected, query
    page = good(await client.get("/v1/listings", params={"area": "no-such-area"}))
    assert page["items"] == []


async def test_nearest_first_where_a_place_is_given_and_newest_first_elsewhere(
    maker: Maker, client: AsyncClient
) -> None:
    owner = await maker.account(None, "provider")
    made = [str(await maker.listing(owner, near=near)) for near in ("M33 2", "M32 8", "M41 6")]
    area = owner.area.slug
    newest = good(await client.get("/v1/listings", params={"area": area}))["items"]
    assert [item["id"] for item in newest] == made[::-1]
    assert {item["distance_metres"] for item in newest} == {None}
    query = {"area": area, "near": "M32 8", "within_metres": 20_000}
    nearest = good(await client.get("/v1/listings", params=query))["items"]
    told = [item["distance_metres"] for item in nearest]
    assert nearest[0]["id"] == made[1]
    assert told == sorted(told)
    assert told[0] == 0
    close = good(await client.get("/v1/listings", params=query | {"within_metres": 500}))["items"]
    assert [item["id"] for item in close] == [made[1]]


async def test_pages_stay_whole_while_new_listings_come_in(
    maker: Maker, client: AsyncClient
) -> None:
    owner = await maker.account(None, "provider")
    first = [str(await maker.listing(owner, near=PLACE)) for _ in range(5)]
    for query in ({}, {"near": PLACE}):
        asked = {"area": owner.area.slug, "limit": 2} | query
        page = good(await client.get("/v1/listings", params=asked))
        seen = [item["id"] for item in page["items"]]
        while page["next"] is not None:
            await maker.listing(owner, near="TR21")
            page = good(await client.get("/v1/listings", params=asked | {"cursor": page["next"]}))
            seen += [item["id"] for item in page["items"]]
        assert len(seen) == len(set(seen))
        assert set(first) <= set(seen)


async def test_a_cursor_of_another_search_or_of_nobodys_making_is_refused(
    maker: Maker, client: AsyncClient
) -> None:
    owner = await maker.account(None, "provider")
    for _ in range(3):
        await maker.listing(owner, near=PLACE)
    asked = {"area": owner.area.slug, "near": PLACE, "limit": 1}
    cursor = good(await client.get("/v1/listings", params=asked))["next"]
    assert cursor.isascii()
    assert PLACE not in cursor
    for other in ({"near": "M32 8"}, {"day": "mon"}, {"within_metres": 700}, {"free": "true"}):
        answer = await client.get("/v1/listings", params=asked | {"cursor": cursor} | other)
        problem = refused(answer, 422, "cursor-unknown")
        assert problem["errors"][0]["field"] == "cursor"
    for bad in ("", "x", "AAAA", "é", cursor[:-2], pagination.encode((1, "two", 3))):
        answer = await client.get("/v1/listings", params=asked | {"cursor": bad})
        refused(answer, 422, "cursor-unknown")
    longer = good(await client.get("/v1/listings", params=asked | {"cursor": cursor, "limit": 50}))
    assert len(longer["items"]) == 2, "a page may be longer than the one before"


async def test_words_find_what_is_meant_and_a_misspelt_word_what_is_spelt_alike(
    maker: Maker, client: AsyncClient
) -> None:
    owner = await maker.account(None, "provider")
    area = owner.area.slug
    bells = str(
        await maker.listing(owner, name="Quoits club", summary="Quoitsmanship for everybody")
    )
    search = {"area": area, "words": "quoitsmanship"}
    page = good(await client.post("/v1/listings/search", json=search))
    assert [item["id"] for item in page["items"]] == [bells]
    assert page["searched_for"] is None
    for words in ("qoitsmanship", "quoitsmansip", "QUOITSMANSHIP!", "the quoitsmnship"):
        page = good(await client.post("/v1/listings/search", json=search | {"words": words}))
        assert [item["id"] for item in page["items"]] == [bells], words
    assert page["searched_for"] == "the quoitsmanship"
    near = search | {"words": "quoitsmansip", "near": "M32", "within_metres": 5_000}
    page = good(await client.post("/v1/listings/search", json=near))
    assert [item["id"] for item in page["items"]] == [bells]
    page = good(await client.post("/v1/listings/search", json=near | {"kind": "peer_group"}))
    assert page["items"] == [], "a filter holds for another spelling too"
    assert page["searched_for"] is None


async def test_pages_of_a_misspelt_search_go_on_with_the_same_spelling(
    maker: Maker, client: AsyncClient
) -> None:
    owner = await maker.account(None, "provider")
    made = {str(await maker.listing(owner, summary="Ocarinaplaying")) for _ in range(5)}
    search: dict[str, Any] = {"area": owner.area.slug, "words": "ocarinplaying", "limit": 2}
    seen: list[str] = []
    while True:
        page = good(await client.post("/v1/listings/search", json=search))
        assert page["searched_for"] == "ocarinaplaying"
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        search["cursor"] = page["next"]
    assert len(seen) == 5
    assert set(seen) == made


@pytest.mark.parametrize(
    "words",
    [
        *('"', "-", "- -", "or", "or or", '"unclosed', "'; DROP TABLE listings", "%_%", "\\"),
        *(
            "&|!()",
            ":*",
            "<->",
            "the",
            "a" * 200,
            "\u200b",
            "-choir",
            "\u02bbokina",
            "\u65e5\u672c",
        ),
        *("\u0301", "$1", ":words", "0", "\U0001f600" * 50),
    ],
)
async def test_odd_words_are_searched_for_and_never_an_error(
    client: AsyncClient, words: str
) -> None:
    for more in ({}, {"near": "M32"}):
        answer = await client.post("/v1/listings/search", json={"words": words} | more)
        assert answer.status_code == 200, answer.text


async def test_words_are_taken_in_a_body_alone_and_are_in_no_log(
    maker: Maker, client: AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    secret = "mycolonoscopy"
    good(await client.post("/v1/listings/search", json={"words": secret}))
    refused(await client.post("/v1/listings/search", json={"words": secret, "near": "??"}), 422)
    refused(await client.post("/v1/listings/search", json={"words": secret, "limit": "x"}), 400)
    await client.get("/v1/listings", params={"words": secret})
    logged = "".join(capfd.readouterr())
    assert '"route": "/v1/listings/search"' in logged
    assert secret not in logged
    schema = good(await client.get("/docs/openapi.json"))
    assert "words" not in {
        parameter["name"] for parameter in schema["paths"]["/v1/listings"]["get"]["parameters"]
    }


async def test_a_place_that_nobody_knows_is_refused_by_name(client: AsyncClient) -> None:
    for near, rule in (("Stretford", "a-british-postcode"), ("BT1", "place-known")):
        answer = await client.get("/v1/listings", params={"near": near})
        assert refused(answer, 422, rule)["errors"][0]["field"] == "near"


# --- A plain model of filter and order, against the real thing -----------------------------------

SECTORS = ("TR21 0", "TR22 0", "TR23 0", "TR24 0", "TR25 0", None)
LISTING = st.fixed_dictionaries(
    {
        "sector": st.sampled_from(SECTORS),
        "kind": st.sampled_from(("community", "peer_group", "micro_enterprise")),
        "days": st.one_of(st.none(), st.integers(0, 127)),
        "price": st.sampled_from((None, 0, 1, 500)),
        "confirmed": st.sampled_from((None, -30, -1, 0, 1, 30)),
    }
)
ASKED = st.fixed_dictionaries(
    {
        "near": st.sampled_from((None, "TR21 0", "TR24 0")),
        "within_metres": st.sampled_from((100, 1_500, 5_000, 50_000)),
        "day": st.one_of(st.none(), st.sampled_from(DAYS)),
        "kind": st.sampled_from((None, "community", "peer_group")),
        "free": st.booleans(),
        "section": st.sampled_from(("confirmed", "not_confirmed_lately")),
        "limit": st.integers(1, 7),
    }
)
_INSERT = """
INSERT INTO listings (id, kind, source, natural_key, content_hash, name, summary, easting,
    northing, sessions, days, price_pence, access, confirmed_on, confirmed_until, version,
    created_at, updated_at) VALUES (%(id)s, %(kind)s, 'model', %(id)s::text, '', 'x', 'x',
    %(easting)s, %(northing)s, '[]', %(days)s, %(price)s, '{}',
    current_date - 400, current_date + %(confirmed)s::int, 1, now(), now())
"""
_PUBLISH = """
INSERT INTO listing_public (listing_id, kind, area, name, summary, easting, northing, sessions,
    days, price_pence, access, confirmed_on, confirmed_until)
SELECT id, kind, %s, name, summary, easting, northing, sessions, days, price_pence, access,
    confirmed_on, confirmed_until FROM listings WHERE id = ANY(%s)
"""


def model(rows: list[dict[str, Any]], asked: dict[str, Any]) -> list[UUID]:
    """Return what ought to be found, in order, by looking at every row."""
    place = locate(asked["near"]).point if asked["near"] is not None else None

    def distance(row: dict[str, Any]) -> float:
        assert place is not None
        east, north = row["easting"] - place.easting, row["northing"] - place.northing
        return float((east**2 + north**2) ** 0.5)

    def fits(row: dict[str, Any]) -> bool:
        lately = row["confirmed"] is not None and row["confirmed"] >= 0
        return (
            lately == (asked["section"] == "confirmed")
            and (asked["kind"] is None or row["kind"] == asked["kind"])
            and (not asked["free"] or row["price"] == 0)
            and (
                asked["day"] is None
                or (row["days"] is not None and row["days"] >> DAYS.index(asked["day"]) & 1 == 1)
            )
            and (
                place is None
                or (row["easting"] is not None and distance(row) <= asked["within_metres"])
            )
        )

    found = [row for row in rows if fits(row)]
    if place is None:
        return [row["id"] for row in sorted(found, key=lambda row: row["id"], reverse=True)]
    return [row["id"] for row in sorted(found, key=lambda row: (distance(row), row["id"]))]


@contextmanager
def laid_out(
    connection: psycopg.Connection, area: str, drawn: list[dict[str, Any]]
) -> Iterator[list[dict[str, Any]]]:
    """Put drawn listings into the database; take them away again."""
    rows: list[dict[str, Any]] = []
    for one in drawn:
        point = locate(one["sector"]).point if one["sector"] is not None else None
        rows.append(
            one
            | {
                "id": new_id(),
                "easting": point.easting if point else None,
                "northing": point.northing if point else None,
            }
        )
    ids = [row["id"] for row in rows]
    try:
        for row in rows:
            connection.execute(_INSERT, row)
        connection.execute(_PUBLISH, [area, ids])
        yield rows
    finally:
        connection.execute("DELETE FROM listings WHERE id = ANY(%s)", [ids])


@given(drawn=st.lists(LISTING, max_size=25), searches=st.lists(ASKED, min_size=1, max_size=5))
def test_pages_are_what_a_plain_look_at_every_row_finds_whole_in_order_and_without_repeats(
    settings: Settings, drawn: list[dict[str, Any]], searches: list[dict[str, Any]]
) -> None:
    async def walk(database: Database, asked: dict[str, Any], area: str) -> list[UUID]:
        seen: list[UUID] = []
        cursor = None
        while True:
            filters = Filters(**asked, area=area, cursor=cursor)
            page = await service.browse(database, now=now(), filters=filters)
            assert len(page.items) <= asked["limit"]
            seen += [item.id for item in page.items]
            cursor = page.next
            if cursor is None:
                return seen

    async def check(rows: list[dict[str, Any]], area: str) -> None:
        database = Database(settings.database_url, application_name="kith-test", pool_size=1)
        for asked in searches:
            assert await walk(database, asked, area) == model(rows, asked), asked
        await database.close()

    area = f"model-{new_id().hex[-12:]}"
    with (
        psycopg.connect(settings.migrate_url or "", autocommit=True) as connection,
        laid_out(connection, area, drawn) as rows,
    ):
        asyncio.run(check(rows, area))
