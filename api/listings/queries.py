"""Reads of listings. The public ones read the projection alone, on the read-only pool."""

from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from api.listings.models import Listing

_COLUMNS = (
    "listing_id, kind, area, name, summary, description, provider_name, town, near, address,"
    " website, sessions::text AS sessions, price_pence, price_per, places_left,"
    " access::text AS access, confirmed_on, confirmed_until"
)
_HERE = "point(:easting, :northing)"
# Names alike are sorted by how alike; of a syllable that half the country has, only so many.
_SPELT_AT_MOST = 200
_WHERE = {
    "confirmed": "confirmed_until >= :today",
    "not_confirmed_lately": "confirmed_until IS NULL OR confirmed_until < :today",
}


class Shape(NamedTuple):
    """Which conditions a search has: few shapes, so that few statements are ever composed.

    ``spelling``: the words are looked for as a misspelling of words in names.
    """

    section: str
    near: bool
    words: bool
    spelling: bool
    day: bool
    kind: bool
    free: bool
    area: bool
    after: bool


@lru_cache(maxsize=1024)
def search_statement(shape: Shape) -> str:
    """Return the SQL of a search. Nearest first where a place is given, else newest first.

    Both orders walk an index from one end and stop at the page's end, so a page costs the same
    in a town and in a country; a condition on words is answered by whichever index the planner
    finds more selective.
    """
    distance = f"(point(easting, northing) <-> {_HERE})" if shape.near else "NULL::float8"
    conditions = _conditions(shape)
    if shape.spelling:
        return (
            f"SELECT {_COLUMNS}, distance FROM (SELECT *, {distance} AS distance"
            f" FROM listing_public WHERE {conditions} LIMIT {_SPELT_AT_MOST}) spelt"
            " ORDER BY name <->> :words, listing_id LIMIT :limit"
        )
    if shape.near:
        order = f"{distance}, listing_id"
        after = f"({distance}, listing_id) > (:after_distance, :after_id)"
    else:
        order, after = "listing_id DESC", "listing_id < :after_id"
    if shape.after:
        conditions = f"{conditions} AND {after}"
    return (
        f"SELECT {_COLUMNS}, {distance} AS distance FROM listing_public"
        f" WHERE {conditions} ORDER BY {order} LIMIT :limit"
    )


def _conditions(shape: Shape) -> str:
    asked = {
        f"point(easting, northing) <@ circle({_HERE}, :within)": shape.near,
        "tsv @@ websearch_to_tsquery('english'::regconfig, :words)": shape.words,
        "name %> :words": shape.spelling,
        "days & :day <> 0": shape.day,
        "kind = :kind": shape.kind,
        "price_pence = 0": shape.free,
        "area = :area": shape.area,
    }
    return " AND ".join([f"({_WHERE[shape.section]})", *(one for one in asked if asked[one])])


@lru_cache(maxsize=1024)
def _clause(shape: Shape) -> TextClause:
    return text(search_statement(shape))


async def search(connection: AsyncConnection, *, shape: Shape, values: dict[str, Any]) -> list[Any]:
    """Return rows of the projection, with ``distance`` in metres or None."""
    return list((await connection.execute(_clause(shape), values)).all())


_ONE = text(
    f"SELECT {_COLUMNS}, NULL::float8 AS distance FROM listing_public"
    " WHERE listing_id = :listing_id"
)


async def public_one(connection: AsyncConnection, *, listing_id: UUID) -> Any | None:
    """Return one listing of the projection, or None."""
    return (await connection.execute(_ONE, {"listing_id": listing_id})).one_or_none()


async def listing(tx: AsyncSession, *, listing_id: UUID) -> Listing | None:
    """Return one listing that the actor may see, locked, or None."""
    found = await tx.scalars(
        select(Listing)
        .where(Listing.id == listing_id, Listing.closed_at.is_(None))
        .with_for_update()
    )
    return found.one_or_none()


async def own_offers(tx: AsyncSession, *, person_id: UUID) -> list[Listing]:
    """Return a person's open offers, oldest first."""
    found = await tx.scalars(
        select(Listing)
        .where(Listing.person_id == person_id, Listing.closed_at.is_(None))
        .order_by(Listing.id)
    )
    return list(found)


async def offers_by_id(tx: AsyncSession, *, listing_ids: list[UUID]) -> dict[UUID, Listing]:
    """Return listings and offers that the actor may see, closed ones too, by id."""
    if not listing_ids:
        return {}
    found = await tx.scalars(select(Listing).where(Listing.id.in_(listing_ids)))
    return {one.id: one for one in found}
