"""Listings out of directories: many rows at once, each by its source and natural key."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
from sqlalchemy import text

from api.areas import service as areas
from api.areas.places import Place
from api.areas.rules import town_of
from api.areas.schemas import AreaOut
from api.core import audit, outbox
from api.core.db import WriteSession
from api.core.ids import new_id
from api.identity.rules import Actor
from api.listings import service
from api.listings.rules import PublicKind, Session

ROWS_A_STATEMENT: Final = 250
_LONGEST_WAIT: Final = "60s"
_DIRECTORIES: Final = UUID("6b697468-0000-5000-8000-646972656374")

# Column by column, in the order of the insert. What a file says; the rest is Kith's.
_CONTENT: Final = {
    "area_id": "uuid",
    "name": "text",
    "summary": "text",
    "description": "text",
    "provider_name": "text",
    "outward": "text",
    "sector": "text",
    "town": "text",
    "easting": "bigint",
    "northing": "bigint",
    "postcode": "text",
    "address": "text",
    "website": "text",
    "sessions": "jsonb",
    "times": "bigint",
    "days": "smallint",
    "price_pence": "bigint",
    "price_per": "text",
    "places_total": "bigint",
    "places_left": "bigint",
    "access": "jsonb",
}
_ROW: Final = {"id": "uuid", "kind": "text", "natural_key": "text", "content_hash": "text"}

# What an owner said when confirming stands until the file says otherwise.
_PLACES_LEFT = (
    "CASE WHEN excluded.places_left IS NULL AND l.confirmed_on IS NOT NULL"
    " THEN least(l.places_left, excluded.places_total) ELSE excluded.places_left END"
)
_COLUMNS = ", ".join([*_ROW, *_CONTENT])
_TYPES = ", ".join(f"{name} {kind}" for name, kind in (_ROW | _CONTENT).items())
_SET = ", ".join(f"{name} = excluded.{name}" for name in _CONTENT if name != "places_left")
_UPSERT = text(
    f"INSERT INTO listings AS l ({_COLUMNS}, source, version, created_at, updated_at)"
    f" SELECT {_COLUMNS}, CAST(:source AS text), 1, CAST(:now AS timestamptz),"
    f" CAST(:now AS timestamptz) FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r({_TYPES})"
    f" ON CONFLICT (source, natural_key) DO UPDATE SET {_SET}, places_left = {_PLACES_LEFT},"
    " content_hash = excluded.content_hash, version = l.version + 1,"
    " updated_at = excluded.updated_at"
    " WHERE l.content_hash <> excluded.content_hash AND l.kind = excluded.kind"
    " RETURNING l.id, old.id IS NULL AS is_new, l.confirmed_until IS NOT NULL AS confirmed"
)
_KNOWN = text(
    "SELECT natural_key, kind, content_hash FROM listings"
    " WHERE source = :source AND natural_key = ANY(:keys)"
)
_WAIT = text(
    "SELECT set_config('lock_timeout', :longest, true),"
    " set_config('statement_timeout', :longest, true)"
)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('listings.import:' || :source, 7310))")


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """One listing as a directory has it. ``times``: 35 bits, ``days``: 7; None is not known.

    A session that ends at or before its start ends on the next day. ``price_pence`` None: not
    known, 0: free. ``postcode`` is kept and never shown.
    """

    natural_key: str
    kind: PublicKind
    name: str
    summary: str
    description: str | None
    provider_name: str | None
    place: Place
    postcode: str | None
    address: str | None
    website: str | None
    sessions: tuple[Session, ...]
    times: int | None
    days: int | None
    price_pence: int | None
    price_per: str | None
    places_total: int | None
    places_left: int | None
    access: dict[str, str]


class Upserted(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows were new, said something else than before, or said the same.

    ``other_kind``: the natural keys of rows that are here as another kind of thing. A listing
    stays of its kind, so these were not taken in.
    """

    new: int
    changed: int
    unchanged: int
    other_kind: tuple[str, ...]


async def upsert(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    source: str,
    rows: Sequence[Incoming],
    progress: Callable[[int, int], None] | None = None,
) -> Upserted:
    """Bring the listings of one source in step with these rows, and the projection with them.

    New ones are not confirmed, so they are shown apart and never suggested; one that its owner
    has confirmed stays confirmed when its content changes. A row that says nothing new writes
    nothing, and a file of such rows leaves no record either. Imports of one source wait for each
    other, at most a minute. ``progress`` hears how many rows are done, of how many.

    Raises ValueError for Kith's own source and for two rows of one natural key.
    """
    if source == "kith":
        raise ValueError("'kith' is the source of listings made here, not of a directory")
    if len({row.natural_key for row in rows}) != len(rows):
        raise ValueError("two rows of one natural key")
    await _one_at_a_time(tx, source=source)
    areas_by_outward = {
        outward: area
        for area in reversed((await areas.list_areas(tx)).items)
        for outward in area.settings.outwards
    }
    new = changed = 0
    other_kind: list[str] = []
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        chunk = rows[start : start + ROWS_A_STATEMENT]
        written, clashes = await _chunk(
            tx, now=now, source=source, rows=chunk, areas_by_outward=areas_by_outward
        )
        new += sum(row.is_new for row in written)
        changed += sum(not row.is_new for row in written)
        other_kind += clashes
        if progress is not None:
            progress(start + len(chunk), len(rows))
    if new or changed:
        await audit.record(
            tx,
            actor=actor,
            now=now,
            action="listings.imported",
            subject_type="directory",
            subject_id=directory_id(source),
        )
    unchanged = len(rows) - new - changed - len(other_kind)
    return Upserted(new=new, changed=changed, unchanged=unchanged, other_kind=tuple(other_kind))


def directory_id(source: str) -> UUID:
    """Return the id under which the record keeps the imports of one source."""
    return uuid5(_DIRECTORIES, source)


async def _one_at_a_time(tx: WriteSession, *, source: str) -> None:
    """Wait for other imports of this source: afterwards what is known here stays so."""
    await tx.execute(_WAIT, {"longest": _LONGEST_WAIT})
    await tx.execute(_LOCK, {"source": source})
    await tx.execute(text("SET LOCAL lock_timeout TO DEFAULT"))
    await tx.execute(text("SET LOCAL statement_timeout TO DEFAULT"))


async def _chunk(
    tx: WriteSession,
    *,
    now: datetime,
    source: str,
    rows: Sequence[Incoming],
    areas_by_outward: dict[str, AreaOut],
) -> tuple[Sequence[Any], list[str]]:
    """Write what differs; return the rows written and the natural keys of another kind."""
    keys = [row.natural_key for row in rows]
    found = await tx.execute(_KNOWN, {"source": source, "keys": keys})
    known = {key: (kind, content_hash) for key, kind, content_hash in found}
    values: list[dict[str, object]] = []
    other_kind: list[str] = []
    for row in rows:
        content = _content(row, areas_by_outward.get(row.place.outward))
        digest = hashlib.sha256(msgspec.json.encode(content)).hexdigest()
        kind, content_hash = known.get(row.natural_key, (row.kind, None))
        if kind != row.kind:
            other_kind.append(row.natural_key)
        elif content_hash != digest:
            mine = {"id": new_id(), "kind": row.kind, "natural_key": row.natural_key}
            values.append(mine | {"content_hash": digest} | content)
    if not values:
        return (), other_kind
    # An update that changes nothing would lock its row: only what differs is sent at all.
    sent = {"source": source, "now": now, "rows": msgspec.json.encode(values).decode()}
    written = (await tx.execute(_UPSERT, sent)).all()
    await service.publish(tx, listing_ids=[row.id for row in written])
    for stored in written:
        if stored.confirmed:
            await _tell_matches(tx, now=now, listing_id=stored.id)
    return written, other_kind


async def _tell_matches(tx: WriteSession, *, now: datetime, listing_id: UUID) -> None:
    """Have a confirmed listing matched anew: one that is not confirmed is suggested to nobody."""
    await outbox.enqueue(
        tx,
        task="matches.listing_changed",
        payload={"listing_id": listing_id, "person_id": None},
        now=now,
        coalesce_key=f"matches.listing_changed:{listing_id}",
    )


def _content(row: Incoming, area: AreaOut | None) -> dict[str, object]:
    """Return a row as it is stored. Its hash covers the area too, which may come or go."""
    place = row.place
    town = place.outward
    if area is not None:
        town = town_of(area.settings, outward=place.outward, sector=place.sector)
    # Of a family's home only the area is kept (law.md 1).
    home = row.kind == "shared_lives"
    return {
        "area_id": area.id if area is not None else None,
        "name": row.name,
        "summary": row.summary,
        "description": row.description,
        "provider_name": row.provider_name,
        "outward": place.outward,
        "sector": place.sector,
        "town": town,
        "easting": place.point.easting if place.point is not None else None,
        "northing": place.point.northing if place.point is not None else None,
        "postcode": None if home else row.postcode,
        "address": None if home else row.address,
        "website": None if home else row.website,
        "sessions": row.sessions,
        "times": row.times,
        "days": row.days,
        "price_pence": row.price_pence,
        "price_per": row.price_per,
        "places_total": row.places_total,
        "places_left": row.places_left,
        "access": row.access,
    }
