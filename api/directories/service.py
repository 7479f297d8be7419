"""Directories coming in: one file, one transaction, every row whole or not at all."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final, cast

import msgspec

from api.areas.rules import Day, days_mask, slots_mask
from api.core.db import Database, WriteSession
from api.directories.rules import (
    ImportedRow,
    RowError,
    read_rows,
    read_table,
    recognise,
)
from api.directories.schemas import FileReport, RowProblem
from api.identity.rules import Service

# rule: side-door because bulk rows are a way into listings of their own, beside the service
from api.listings.imports import Incoming, Upserted, upsert
from api.listings.rules import PublicKind, Session

IMPORTER: Final = Service("import")
_LONGEST_KEY_BYTES: Final = 600  # PostgreSQL indexes at most some 2,700 bytes
# "kith" as a listing's source means: made here, by somebody who signed in.
_STORED_SOURCES: Final = {"kith": "kith_csv"}


class _Reading(msgspec.Struct):
    """A file as read: the rows to take in by natural key, and what is to be said of the rest."""

    source: str
    rows: dict[str, tuple[int, Incoming]] = {}
    errors: list[RowProblem] = []
    left_out: list[RowProblem] = []
    same: int = 0
    read: int = 0


async def import_file(
    database: Database,
    *,
    now: datetime,
    name: str,
    data: bytes,
    progress: Callable[[int, int], None] | None = None,
) -> FileReport:
    """Take in one CSV file in one transaction, and say what came of every row.

    Again the same file: nothing is written. ``progress`` hears how many rows are stored, of how
    many. Raises FileRefused when the file or its header cannot be read, and Unavailable when the
    database stays busy; nothing is stored then.
    """
    reading = await asyncio.to_thread(_read, data)
    rows = [row for _, row in reading.rows.values()]

    async def work(tx: WriteSession) -> Upserted:
        return await upsert(
            tx, actor=IMPORTER, now=now, source=reading.source, rows=rows, progress=progress
        )

    stored = await database.run(work, actor=IMPORTER, now=now)
    errors = reading.errors + [
        RowProblem(
            row=reading.rows[key][0],
            field="kind",
            message="it is here already as another kind of thing: a listing stays of its kind.",
        )
        for key in stored.other_kind
    ]
    return FileReport(
        file=name,
        source=reading.source,
        read=reading.read,
        new=stored.new,
        changed=stored.changed,
        unchanged=stored.unchanged,
        same=reading.same,
        errors=sorted(errors, key=lambda error: error.row),
        left_out=reading.left_out,
    )


def _read(data: bytes) -> _Reading:
    table = read_table(data)
    mapping = recognise(table.header)
    reading = _Reading(source=_STORED_SOURCES.get(mapping.source, mapping.source))
    refused: set[int] = set()
    for found in read_rows(table, mapping):
        if isinstance(found, RowError):
            refused.add(found.row)
            problem = RowProblem(row=found.row, field=found.field, message=found.message)
            reading.errors.append(problem)
        elif isinstance(found, ImportedRow):
            reading.read += 1
            _take(reading, found)
        else:
            reading.read += 1
            reading.same += 1
            if not found.identical:
                message = f"row {found.same_as_row} has this name and postcode, and comes first."
                reading.left_out.append(RowProblem(row=found.row, field="name", message=message))
    reading.read += len(refused)
    return reading


def _take(reading: _Reading, row: ImportedRow) -> None:
    key = _key(row)
    if key in reading.rows:
        # Only of homes, whose whole postcode is not kept: two of one name in one sector.
        message = (
            f"row {reading.rows[key][0]} has this name near {row.place.label}: "
            "give each home a name of its own."
        )
        reading.errors.append(RowProblem(row=row.row, field="name", message=message))
        return
    for field in row.left_out:
        message = "it cannot be read, so it counts as not given."
        reading.left_out.append(RowProblem(row=row.row, field=field, message=message))
    if row.kind == "shared_lives" and row.website is not None:
        message = "a Shared Lives home shows its area only, so this is not taken in."
        reading.left_out.append(RowProblem(row=row.row, field="website", message=message))
    reading.rows[key] = (row.row, _incoming(row, key))


def _key(row: ImportedRow) -> str:
    """Return a row's natural key as text, within its source. A home's has no whole postcode."""
    where = row.place.label if row.kind == "shared_lives" else row.natural_key.postcode
    words = row.natural_key.name
    if len(words.encode()) > _LONGEST_KEY_BYTES:
        words = hashlib.sha256(words.encode()).hexdigest()
    return f"{words} | {where}"


def _incoming(row: ImportedRow, key: str) -> Incoming:
    return Incoming(
        natural_key=key,
        kind=cast(PublicKind, row.kind),
        name=row.name,
        summary=row.summary,
        description=row.description,
        provider_name=row.provider_name,
        place=row.place,
        postcode=row.postcode,
        address=row.address if row.address_shown else None,
        website=row.website,
        sessions=tuple(
            Session(cast(Day, one.day), f"{one.starts:%H:%M}", f"{one.ends:%H:%M}")
            for one in row.sessions
            if one.starts is not None and one.ends is not None
        ),
        times=slots_mask(list(row.slots)) if row.slots is not None else None,
        days=days_mask([one.day for one in row.sessions]) if row.sessions else None,
        price_pence=row.price_pence,
        price_per=row.price_per,
        places_total=row.places_total,
        places_left=row.places_left,
        access=dict(row.facts),
    )
