"""Listings: made, confirmed, closed, and found."""

import re
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID
from zlib import crc32

from msgspec import Raw, to_builtins
from sqlalchemy import insert, text, update

from api.areas import service as areas
from api.areas.places import Postcode, locate
from api.areas.rules import AreaSettings, confirmed_until, days_mask, town_of
from api.core import audit, outbox, pagination
from api.core.db import Database, WriteSession
from api.core.errors import invalid, not_found
from api.core.ids import new_id
from api.identity.rules import Actor
from api.listings import queries
from api.listings.models import Listing
from api.listings.rules import (
    WHO_MAY_LIST,
    check_kind_address,
    check_places,
    check_sessions,
    check_size,
    may_not_list,
    times_of,
)
from api.listings.schemas import (
    Confirmation,
    Filters,
    ListingMade,
    ListingOut,
    ListingPage,
    NewListing,
    NewOffer,
    OfferList,
    OfferOut,
    Search,
)
from api.people import service as people

_PAGING = ("limit", "cursor")
_WORD = re.compile(r"[^\W\d_]{3,40}")
_WORDS_SPELT = 8
_PUBLISH = text(
    "WITH published AS (INSERT INTO listing_public (listing_id, kind, area, name, summary,"
    " description, provider_name, town, near, easting, northing, address, website, sessions, days,"
    " price_pence, price_per, places_left, access, confirmed_on, confirmed_until)"
    " SELECT l.id, l.kind, a.slug, l.name, l.summary,"
    # Of a family's home the area and the summary are public, and no more (law.md 1).
    " CASE WHEN l.kind <> 'shared_lives' THEN l.description END,"
    " CASE WHEN l.kind <> 'shared_lives' THEN l.provider_name END, l.town,"
    " concat_ws(' ', l.outward, l.sector), l.easting, l.northing, l.address, l.website,"
    " l.sessions, l.days, l.price_pence, l.price_per, l.places_left, l.access, l.confirmed_on,"
    " l.confirmed_until FROM listings l LEFT JOIN areas a ON a.id = l.area_id"
    " WHERE l.id = ANY(:ids) AND l.person_id IS NULL AND l.closed_at IS NULL"
    " ON CONFLICT (listing_id) DO UPDATE SET area = excluded.area, name = excluded.name,"
    " summary = excluded.summary, description = excluded.description,"
    " provider_name = excluded.provider_name, town = excluded.town, near = excluded.near,"
    " easting = excluded.easting, northing = excluded.northing, address = excluded.address,"
    " website = excluded.website, sessions = excluded.sessions, days = excluded.days,"
    " price_pence = excluded.price_pence, price_per = excluded.price_per,"
    " places_left = excluded.places_left, access = excluded.access,"
    " confirmed_on = excluded.confirmed_on, confirmed_until = excluded.confirmed_until"
    " RETURNING name, summary)"
    " INSERT INTO listing_words (word) SELECT DISTINCT said FROM published,"
    " unnest(tsvector_to_array(to_tsvector('simple'::regconfig, name || ' ' || summary))) AS said"
    " WHERE said ~ '^[[:alpha:]]{4,40}$'"
    " AND NOT EXISTS (SELECT FROM listing_words known WHERE known.word = said)"
)


async def browse(database: Database, *, now: datetime, filters: Filters) -> ListingPage:
    """Return a page of public listings: open to all, no account, nothing kept.

    Nearest first when ``near`` is given (a sector's middle, so nobody's door), newest first
    otherwise. Words that find nothing are spelt as listings spell them and tried once more;
    the page then says what was looked for.
    """
    shape, values = search_parts(filters, now=now)
    cursor = _cursor(filters)
    searched_for: str | None = None
    rows: list[Any] = []
    if cursor is None or not cursor.spelt:
        rows = await queries.search(database.reads, shape=shape, values=values)
    if shape.words and not rows and (cursor is None or cursor.spelt):
        searched_for = await _spelt(database, words=values["words"])
        if searched_for is not None:
            values["words"] = searched_for
            rows = await queries.search(database.reads, shape=shape, values=values)
    page = rows[: filters.limit]
    following = None
    if len(rows) > filters.limit:
        last = page[-1]
        following = pagination.encode(
            _Cursor(_fingerprint(filters), last[-1], last[0], searched_for is not None)
        )
    return ListingPage(
        items=[_public_out(row) for row in page],
        next=following,
        section=filters.section,
        searched_for=searched_for if page else None,
    )


def search_parts(filters: Filters, *, now: datetime) -> tuple[queries.Shape, dict[str, Any]]:
    """Return the shape of a search's SQL and its values."""
    values: dict[str, Any] = {"limit": filters.limit + 1, "today": now.date()}
    if filters.near is not None:
        point = locate(filters.near, field="near").point
        if point is None:
            raise invalid("place-known", "near", "We do not know where this is. Try a place near.")
        values["easting"], values["northing"] = float(point.easting), float(point.northing)
        values["within"] = float(filters.within_metres)
    if isinstance(filters, Search):
        values["words"] = filters.words
    if filters.day is not None:
        values["day"] = days_mask([filters.day])
    if filters.kind is not None:
        values["kind"] = filters.kind
    if filters.area is not None:
        values["area"] = filters.area
    cursor = _cursor(filters)
    if cursor is not None:
        values["after_id"], values["after_distance"] = cursor.listing_id, cursor.distance
    shape = queries.Shape(
        section=filters.section,
        near=filters.near is not None,
        words="words" in values,
        day=filters.day is not None,
        kind=filters.kind is not None,
        free=filters.free,
        area=filters.area is not None,
        after=cursor is not None,
    )
    return shape, values


class _Cursor(NamedTuple):
    """The last row of a page: of which search, how far, which; found by another spelling?"""

    search: int
    distance: float | None
    listing_id: UUID
    spelt: bool


def _cursor(filters: Filters) -> _Cursor | None:
    """Return the cursor of a search; Invalid for one that another search gave."""
    if filters.cursor is None:
        return None
    found = pagination.decode(filters.cursor, _Cursor)
    near = filters.near is not None
    if found.search != _fingerprint(filters) or (found.distance is None) == near:
        raise invalid(
            "cursor-unknown",
            "cursor",
            "This cursor is of another search. Use it with the same filters, or leave it out.",
        )
    return found


def _fingerprint(filters: Filters) -> int:
    """Return a number that differs from search to search. A page's length may change midway."""
    told = [getattr(filters, name) for name in filters.__struct_fields__ if name not in _PAGING]
    return crc32(repr(told).encode())


async def _spelt(database: Database, *, words: str) -> str | None:
    """Return words as listings spell them; None where that changes nothing."""
    asked = _WORD.findall(words.lower())[:_WORDS_SPELT]
    if not asked:
        return None
    known = await queries.spelt(database.reads, words=asked)
    if all(alike is None or alike == word for word, alike in known):
        return None
    return " ".join(alike or word for word, alike in known)


async def public_one(database: Database, *, now: datetime, listing_id: UUID) -> ListingOut:
    """Return one public listing. A person's own offer is not there for anybody."""
    row = await queries.public_one(database.reads, listing_id=listing_id, today=now.date())
    if row is None:
        raise not_found("thing to join")
    return _public_out(row)


async def create(tx: WriteSession, *, actor: Actor, now: datetime, new: NewListing) -> ListingMade:
    """Make a listing, confirmed today. NotAllowed without a role for this kind in this area."""
    area = await areas.area_named(tx, slug=new.area)
    if not actor.has_role(*WHO_MAY_LIST[new.kind], area=new.area):
        raise may_not_list(new.kind)
    _check(new, area.settings)
    listing_id = new_id()
    until = confirmed_until(now.date(), area.settings)
    await tx.execute(
        insert(Listing).values(
            id=listing_id,
            kind=new.kind,
            area_id=area.id,
            owner_account_id=actor.id,
            confirmed_on=now.date(),
            confirmed_until=until,
            **_new_row(listing_id, now=now),
            **_content(new, area.settings),
        )
    )
    await publish(tx, listing_ids=[listing_id])
    await _changed(tx, actor=actor, now=now, listing_id=listing_id, action="made", version=1)
    return ListingMade(id=listing_id, version=1, confirmed_until=until)


async def replace(
    tx: WriteSession, *, actor: Actor, now: datetime, listing_id: UUID, new: NewListing
) -> ListingMade:
    """Replace what a listing says. Its owner may, or an admin of its area."""
    old = await _mine(tx, actor=actor, listing_id=listing_id)
    version = old.version + 1  # now: after the update `old` says the new one
    area = await areas.area_named(tx, slug=new.area)
    if area.id != old.area_id or new.kind != old.kind:
        raise invalid("kind-and-area-stay", "kind", "It stays in its area and of its kind.")
    _check(new, area.settings)
    await tx.execute(
        update(Listing)
        .where(Listing.id == listing_id)
        .values(version=version, updated_at=now, **_content(new, area.settings))
    )
    await publish(tx, listing_ids=[listing_id])
    await _changed(
        tx,
        actor=actor,
        now=now,
        listing_id=listing_id,
        action="replaced",
        version=version,
    )
    return ListingMade(id=listing_id, version=version, confirmed_until=old.confirmed_until)


async def confirm(
    tx: WriteSession, *, actor: Actor, now: datetime, listing_id: UUID, new: Confirmation
) -> ListingMade:
    """Say that a listing is still right. Without this it is shown apart after a while."""
    old = await _mine(tx, actor=actor, listing_id=listing_id)
    version = old.version + 1  # now: after the update `old` says the new one
    on = new.confirmed_on or now.date()
    if on > now.date():
        raise invalid("confirmed-by-today", "confirmed_on", "This day is still to come.")
    left = new.places_left if new.places_left is not None else old.places_left
    check_places(old.places_total, left)
    until = None
    if old.area_id is not None:
        area = await areas.get_area(tx, area_id=old.area_id)
        until = confirmed_until(on, area.settings)
    await tx.execute(
        update(Listing)
        .where(Listing.id == listing_id)
        .values(
            confirmed_on=on,
            confirmed_until=until,
            places_left=left,
            version=version,
            updated_at=now,
        )
    )
    await publish(tx, listing_ids=[listing_id])
    await _changed(
        tx,
        actor=actor,
        now=now,
        listing_id=listing_id,
        person_id=old.person_id,
        action="confirmed",
        version=version,
    )
    return ListingMade(id=listing_id, version=version, confirmed_until=until)


async def close(tx: WriteSession, *, actor: Actor, now: datetime, listing_id: UUID) -> None:
    """Close a listing or take back an own offer: it is no longer shown or suggested."""
    old = await _mine(tx, actor=actor, listing_id=listing_id)
    version = old.version + 1  # now: after the update `old` says the new one
    await tx.execute(
        update(Listing)
        .where(Listing.id == listing_id)
        .values(closed_at=now, version=version, updated_at=now)
    )
    await tx.execute(
        text("DELETE FROM listing_public WHERE listing_id = :listing_id"),
        {"listing_id": listing_id},
    )
    await _changed(
        tx,
        actor=actor,
        now=now,
        listing_id=listing_id,
        person_id=old.person_id,
        action="closed",
        version=version,
    )


async def offer(
    tx: WriteSession, *, actor: Actor, now: datetime, person_id: UUID, new: NewOffer
) -> OfferOut:
    """Make a person's own offer (S5). It is matched, and shown to a suggested person only."""
    whose = await people.require_own(tx, person_id=person_id)
    place = await people.place_of(tx, person_id=person_id)
    area = await areas.get_area(tx, area_id=whose.area_id)
    check_sessions(new.sessions)
    times, days = times_of(new.sessions)
    listing_id = new_id()
    await tx.execute(
        insert(Listing).values(
            id=listing_id,
            kind="own_offer",
            area_id=area.id,
            person_id=person_id,
            confirmed_on=now.date(),
            confirmed_until=confirmed_until(now.date(), area.settings),
            name=new.name,
            provider_name=whose.called,
            summary=new.words,
            note=new.note,
            sessions=to_builtins(new.sessions),
            times=times,
            days=days,
            price_pence=new.price_pence,
            price_per=new.price_per,
            places_left=new.places_left,
            access=dict(new.access),
            **_new_row(listing_id, now=now),
            **place._asdict(),
        )
    )
    await _changed(
        tx,
        actor=actor,
        now=now,
        listing_id=listing_id,
        person_id=person_id,
        action="offered",
        version=1,
    )
    offers = await queries.own_offers(tx, person_id=person_id)
    return next(offer_out(one) for one in offers if one.id == listing_id)


async def own_offers(tx: WriteSession, *, person_id: UUID) -> OfferList:
    """Return a person's own offers, to that person."""
    await people.require_own(tx, person_id=person_id)
    return OfferList(
        items=[offer_out(one) for one in await queries.own_offers(tx, person_id=person_id)]
    )


async def by_ids(tx: WriteSession, *, listing_ids: list[UUID]) -> dict[UUID, Listing]:
    """Return listings and offers that the actor may see, closed ones too, by id."""
    return await queries.offers_by_id(tx, listing_ids=listing_ids)


async def publish(tx: WriteSession, *, listing_ids: list[UUID]) -> None:
    """Bring the public projection in step with these listings, in the same transaction."""
    await tx.execute(_PUBLISH, {"ids": listing_ids})


def offer_out(one: Listing) -> OfferOut:
    """Return an own offer as its owner, and somebody to whom it was suggested, see it."""
    return OfferOut(
        id=one.id,
        name=one.name,
        words=one.summary,
        note=one.note,
        town=one.town,
        sessions=one.sessions,
        price_pence=one.price_pence,
        price_per=one.price_per,
        places_left=one.places_left,
        access=cast(Any, one.access),
        version=one.version,
    )


def _check(new: NewListing, settings: AreaSettings) -> None:
    check_sessions(new.sessions)
    check_places(new.places_total, new.places_left)
    check_size(new.kind, new.people_working, settings)
    check_kind_address(
        new.kind, {"address": new.address, "postcode": new.postcode, "website": new.website}
    )


def _content(new: NewListing, settings: AreaSettings) -> dict[str, Any]:
    place = locate(new.near, field="near")
    times, days = times_of(new.sessions)
    return {
        "name": new.name,
        "summary": new.summary,
        "description": new.description,
        "provider_name": new.provider_name,
        "outward": place.outward,
        "sector": place.sector,
        "town": town_of(settings, outward=place.outward, sector=place.sector),
        "easting": place.point.easting if place.point else None,
        "northing": place.point.northing if place.point else None,
        "postcode": str(Postcode.parse(new.postcode)) if new.postcode is not None else None,
        "address": new.address,
        "website": new.website,
        "sessions": to_builtins(new.sessions),
        "times": times,
        "days": days,
        "price_pence": new.price_pence,
        "price_per": new.price_per,
        "people_working": new.people_working,
        "places_total": new.places_total,
        "places_left": new.places_left,
        "access": dict(new.access),
    }


def _new_row(listing_id: UUID, *, now: datetime) -> dict[str, Any]:
    return {
        "source": "kith",
        "natural_key": str(listing_id),
        "content_hash": "",
        "version": 1,
        "created_at": now,
        "updated_at": now,
    }


async def _mine(tx: WriteSession, *, actor: Actor, listing_id: UUID) -> Listing:
    """Return a listing that the actor may change; NotFound otherwise.

    The row is locked: the policies let only its owner, or an admin of its area, lock it.
    """
    found = await queries.listing(tx, listing_id=listing_id)
    if found is None or actor.kind == "task":
        raise not_found("thing of yours")
    return found


async def _changed(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    listing_id: UUID,
    action: str,
    version: int,
    person_id: UUID | None = None,
) -> None:
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action=f"listing.{action}",
        subject_type="listing",
        subject_id=listing_id,
        version=version,
    )
    await outbox.enqueue(
        tx,
        task="matches.listing_changed",
        payload={"listing_id": listing_id, "person_id": person_id},
        now=now,
        coalesce_key=f"matches.listing_changed:{listing_id}",
    )


def _public_out(row: Any) -> ListingOut:
    """Return a row of the projection: its columns are in the order of the fields.

    PostgreSQL's own JSON goes out as it is: no parsing on the hot path.
    """
    sessions, access = Raw(row[12].encode()), Raw(row[16].encode())
    fields: tuple[Any, ...] = (*row[:12], sessions, *row[13:16], access, row[17], row[18])
    return ListingOut(*fields)
