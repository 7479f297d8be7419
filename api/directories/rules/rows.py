"""Rows of a recognised file, each read whole or refused whole, with every reason."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from string import Formatter
from typing import Final, NamedTuple, cast

import msgspec

from api.areas.places import Place, Postcode
from api.directories.rules import mappings
from api.directories.rules.mappings import Column
from api.directories.rules.names import name_to_compare
from api.directories.rules.opening import Session, parse_opening
from api.directories.rules.readers import CellRefused, is_absent
from api.directories.rules.records import Record, Table

LONGEST_SUMMARY: Final = 280
_NIGHT_STARTS: Final = time(17)
_NIGHT_ENDS: Final = time(12)


class NaturalKey(NamedTuple):
    """What makes a row the same row when it comes again, whatever its place in the file."""

    source: str
    name: str
    postcode: str


class ImportedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row, ready to become a listing.

    ``postcode`` is whole and for the key and the owner's eyes; where ``address_shown`` is False
    only ``place.label`` may be shown. ``slots`` None: not known when; () never occurs. ``facts``
    holds only what is known, (code, "yes" or "no"). ``price_pence`` None: not known; 0: free.
    ``left_out`` names the fields whose cell could not be read and counts as not given.
    ``content_hash`` covers all but ``row``: equal hashes, nothing to change.
    """

    row: int
    source: str
    natural_key: NaturalKey
    kind: str
    name: str
    provider_name: str
    summary: str
    description: str
    postcode: str
    place: Place
    address: str | None = None
    address_shown: bool
    website: str | None = None
    sessions: tuple[Session, ...] = ()
    slots: tuple[str, ...] | None = None
    referral_note: str | None = None
    price_pence: int | None = None
    price_per: str | None = None
    places_total: int | None = None
    places_left: int | None = None
    facts: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    content_hash: str = ""


@dataclass(frozen=True, slots=True)
class RowError:
    """One reason why a row did not come in. ``row`` is the spreadsheet's, the header being 1."""

    row: int
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class SameRow:
    """A row that an earlier row of this file already is, by natural key: it is not taken in.

    No error. ``identical`` is False where the two say different things.
    """

    row: int
    same_as_row: int
    identical: bool


Outcome = ImportedRow | RowError | SameRow


def read_rows(table: Table, mapping: mappings.Mapping) -> Iterator[Outcome]:
    """Yield every row of ``table`` as an ImportedRow, as RowErrors (one per field), or a SameRow.

    Never raises on account of a row. ``table.header`` must be one ``mapping`` recognises.
    """
    at = {header: place for place, header in enumerate(table.header)}
    seen: dict[NaturalKey, ImportedRow] = {}
    for record in table.records():
        errors = _shape_errors(record, table.header)
        if errors:
            yield from errors
            continue
        cells = {column.header: record.cells[at[column.header]] for column in mapping.columns}
        found = _read_row(record.row, cells, mapping)
        if not isinstance(found, ImportedRow):
            yield from found
        elif (first := seen.setdefault(found.natural_key, found)) is not found:
            identical = first.content_hash == found.content_hash
            yield SameRow(found.row, first.row, identical)
        else:
            yield found


def _shape_errors(record: Record, header: Sequence[str]) -> list[RowError]:
    if record.fault is not None:
        column = record.fault.column
        field = header[column] if column < len(header) else f"cell {column + 1}"
        return [RowError(record.row, field, record.fault.message)]
    count = len(record.cells)
    if count < len(header):
        message = f"the row has {count} cells and {len(header)} columns: it ends before this one."
        return [RowError(record.row, header[count], message)]
    if count > len(header):
        message = f"the row has {count} cells and {len(header)} columns: no column names this one."
        return [RowError(record.row, f"cell {len(header) + 1}", message)]
    return []


def _read_row(
    row: int, cells: Mapping[str, str], mapping: mappings.Mapping
) -> ImportedRow | list[RowError]:
    values: dict[str, object] = {}
    errors: list[RowError] = []
    left_out: list[str] = []
    for column in mapping.columns:
        if column.into is None:
            continue
        try:
            values[column.into] = _cell(cells[column.header], column)
        except CellRefused as refused:
            values[column.into] = None
            if column.unreadable_is_absent:
                left_out.append(column.into)
            else:
                errors.append(RowError(row, column.header, str(refused)))
    named = {error.field for error in errors}
    errors += [
        RowError(row, field, message)
        for field, message in _disagreements(values)
        if field not in named
    ]
    if errors:
        return errors
    return _imported(row, values, tuple(left_out), mapping)


def _cell(cell: str, column: Column) -> object:
    if "\0" in cell:
        raise CellRefused("it holds a NUL byte, which no text has.")
    if is_absent(cell):
        if column.required:
            raise CellRefused("it is empty, and it is needed.")
        return None
    value = column.read(cell.strip())
    # A cell of nothing but invisible signs reads as "": that is no text at all.
    if value == "":
        if column.required:
            raise CellRefused("it is empty, and it is needed.")
        return None
    return value


def _disagreements(values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield what single cells cannot tell: fields that are right alone and wrong together."""
    starts, ends = values.get("starts"), values.get("ends")
    if starts is not None and values.get("days") is None:
        yield "days", "there is a time, and no day."
    if ends is not None and starts is None:
        yield "starts", "there is an end, and no start."
    if isinstance(starts, time) and isinstance(ends, time):
        overnight = starts >= _NIGHT_STARTS and ends <= _NIGHT_ENDS
        if ends <= starts and not overnight:
            yield "ends", "it ends before it starts."
    if values.get("price_per") is not None and values.get("price_pence") is None:
        yield "price_pence", "it says what the price is for, and not the price; free is 0."
    total, left = values.get("places_total"), values.get("places_left")
    if isinstance(left, int) and isinstance(total, int) and left > total:
        yield "places_left", "more places are left than there are."
    if values.get("kind") == "shared_lives" and values.get("address") is not None:
        # Law: a household's listing shows its area and a summary, never its address.
        yield "address", "a Shared Lives home's address is never taken in: leave it empty."


def _imported(
    row: int, values: Mapping[str, object], left_out: tuple[str, ...], mapping: mappings.Mapping
) -> ImportedRow:
    postcode = cast(Postcode, values["postcode"])
    name = str(values["name"])
    kind = _words(values, "kind") or "community"
    summary = next(filter(None, (_filled(form, values) for form in mapping.summary)), name)
    paragraphs = [found for form in mapping.description if (found := _filled(form, values))]
    sessions = _sessions(values, mapping)
    facts = [(field[5:], str(value)) for field, value in values.items() if field[:5] == "fact:"]
    imported = ImportedRow(
        row=0,
        source=mapping.source,
        natural_key=_natural_key(values, mapping, postcode),
        kind=kind,
        name=name,
        provider_name=_words(values, "provider_name") or name,
        summary=shorten(summary),
        description="\n\n".join(paragraphs) or summary,
        postcode=str(postcode),
        place=postcode.place,
        address=_words(values, "address") if mapping.address_shown else None,
        address_shown=mapping.address_shown and kind != "shared_lives",
        website=_words(values, "website"),
        sessions=sessions,
        slots=mapping.slots(sessions),
        referral_note=_words(values, "referral_note"),
        price_pence=_number(values, "price_pence"),
        price_per=_words(values, "price_per"),
        places_total=_number(values, "places_total"),
        places_left=_number(values, "places_left"),
        facts=tuple((code, value) for code, value in facts if value != "None"),
        left_out=left_out,
    )
    digest = hashlib.sha256(msgspec.json.encode(imported)).hexdigest()
    return msgspec.structs.replace(imported, row=row, content_hash=digest)


def shorten(words: str, *, longest: int = LONGEST_SUMMARY) -> str:
    """Return ``words`` on one line, cut after a word, with "…", where it is over ``longest``."""
    line = " ".join(words.split())
    if len(line) <= longest:
        return line
    cut = line[:longest]
    whole, _, _ = cut.rpartition(" ")
    return (whole or cut[:-1]).rstrip(" ,;:-(") + "…"


def _natural_key(
    values: Mapping[str, object], mapping: mappings.Mapping, postcode: Postcode
) -> NaturalKey:
    words = " ".join(name_to_compare(str(values[field])) for field in mapping.key)
    return NaturalKey(mapping.source, words, str(postcode))


def _sessions(values: Mapping[str, object], mapping: mappings.Mapping) -> tuple[Session, ...]:
    if mapping.opening is not None:
        return parse_opening(_words(values, mapping.opening) or "")
    days = cast(tuple[str, ...], values.get("days") or ())
    starts = cast(time | None, values.get("starts"))
    ends = cast(time | None, values.get("ends"))
    return tuple(Session(day, starts, ends) for day in days)


def _filled(form: str, values: Mapping[str, object]) -> str | None:
    """Return ``form`` with its fields filled in, or None where one of them is absent."""
    fields = [field for _, field, _, _ in Formatter().parse(form) if field]
    if any(values.get(field) is None for field in fields):
        return None
    filled = form.format_map(values)
    return re.sub(r"([.!?])\.$", r"\1", filled)


def _words(values: Mapping[str, object], field: str) -> str | None:
    value = values.get(field)
    return None if value is None else str(value)


def _number(values: Mapping[str, object], field: str) -> int | None:
    value = values.get(field)
    return value if isinstance(value, int) else None
