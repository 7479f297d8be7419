"""Reads of listings. The public ones read the projection alone, on the read-only pool."""

import re
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from api.core.reads import PublicReads
from api.listings.models import Listing

_NAMED = re.compile(r"(?<![:\w]):([a-z_]+)")

# In the order of schemas.ListingOut; the exact distance comes last, for cursors. PostgreSQL's own
# JSON goes out as it is.
_COLUMNS = (
    "listing_id, kind, area, name, summary, description, provider_name, town, nullif(near, ''),"
    " round(distance)::int, address, website, sessions::text, price_pence, price_per, places_left,"
    " access::text, confirmed_on, coalesce(confirmed_until >= :today, false), distance"
)
_HERE = "point(:easting, :northing)"
_WHERE = {
    "confirmed": "confirmed_until >= :today",
    "not_confirmed_lately": "confirmed_until IS NULL OR confirmed_until < :today",
}


class Shape(NamedTuple):
    """Which conditions a search has: few shapes, so that few statements are ever composed.

    ``close``: near, and so few metres around that words are looked for in each listing there.
    """

    section: str
    near: bool
    close: bool
    words: bool
    day: bool
    kind: bool
    free: bool
    area: bool
    after: bool


@lru_cache(maxsize=1024)
def search_statement(shape: Shape) -> str:
    """Return the SQL of a search. Nearest first where a place is given, else newest first.

    Both orders walk an index from one end and stop at the page's end, so a page costs the same
    in a town and in a country. A condition on words is answered by whichever index the planner
    finds more selective; but close by, only the place's: the word's lists the whole country, and
    the planner thinks too well of walking through ten thousand entries for twenty.
    """
    distance = f"(point(easting, northing) <-> {_HERE})" if shape.near else "NULL::float8"
    conditions = _conditions(shape)
    if shape.near:
        order = f"{distance}, listing_id"
        after = f"({distance}, listing_id) > (:after_distance, :after_id)"
    else:
        order, after = "listing_id DESC", "listing_id < :after_id"
    if shape.after:
        conditions = f"{conditions} AND {after}"
    columns = _COLUMNS.replace("distance", distance)
    return f"SELECT {columns} FROM listing_public WHERE {conditions} ORDER BY {order} LIMIT :limit"


def _conditions(shape: Shape) -> str:
    said = "websearch_to_tsquery('english'::regconfig, :words)"
    asked = {
        f"point(easting, northing) <@ circle({_HERE}, :within)": shape.near,
        f"tsv @@ {said}": shape.words and not shape.close,
        f"ts_match_vq(tsv, {said})": shape.words and shape.close,
        "days & :day <> 0": shape.day,
        "kind = :kind": shape.kind,
        "price_pence = 0": shape.free,
        "area = :area": shape.area,
    }
    return " AND ".join([f"({_WHERE[shape.section]})", *(one for one in asked if asked[one])])


@lru_cache(maxsize=1024)
def positional(statement: str) -> tuple[str, tuple[str, ...]]:
    """Return a statement with $1, $2, … for its :names, and the names in that order."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    return _NAMED.sub(number, statement), tuple(names)


async def search(reads: PublicReads, *, shape: Shape, values: dict[str, Any]) -> list[Any]:
    """Return rows of the projection, in the columns of ListingOut and the exact distance."""
    sql, names = positional(search_statement(shape))
    return await reads.fetch(sql, *[values[name] for name in names])


_ONE = (
    f"SELECT {_COLUMNS.replace('distance', 'NULL::float8')} FROM listing_public"
    " WHERE listing_id = :listing_id"
)


async def public_one(reads: PublicReads, *, listing_id: UUID, today: date) -> Any | None:
    """Return one listing of the projection, or None."""
    sql, names = positional(_ONE)
    values = {"listing_id": listing_id, "today": today}
    rows = await reads.fetch(sql, *[values[name] for name in names])
    return rows[0] if rows else None


SPELT = """
SELECT asked.word, alike.word FROM unnest($1::text[]) WITH ORDINALITY AS asked(word, at)
LEFT JOIN LATERAL (SELECT w.word FROM listing_words w WHERE w.word % asked.word
    ORDER BY w.word <-> asked.word, w.word LIMIT 1) alike ON true ORDER BY asked.at
"""


async def spelt(reads: PublicReads, *, words: list[str]) -> list[tuple[str, str | None]]:
    """Return each word with the most alike of those that listings have, or None."""
    return [(row[0], row[1]) for row in await reads.fetch(SPELT, words)]


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
