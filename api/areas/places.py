"""Places by postcode: what was typed becomes a point good to about a postcode sector.

A place here is never finer than a sector ("M32 8", some 160 postcodes), so a point on a map
gives nobody's door away. The figures stand in ``postcode_sectors.csv`` beside this file.

Attribution: OS Code-Point Open, September 2025, Open Government Licence v3. Contains OS data
© Crown copyright and database right 2025, Royal Mail data © Royal Mail copyright and database
right 2025, National Statistics data © Crown copyright and database right 2025.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Self

from api.core.errors import THE_CALLER, FieldError, Invalid

_TABLE = Path(__file__).with_name("postcode_sectors.csv")

_OUTWARD = "[A-Z]{1,2}[0-9][0-9A-Z]?"
_FULL = re.compile(f"({_OUTWARD}) ?([0-9][A-Z]{{2}})")
_SECTOR = re.compile(f"({_OUTWARD}) ([0-9])")
_SECTOR_UNSPACED = re.compile(f"({_OUTWARD})([0-9])")
_OUTWARD_ONLY = re.compile(_OUTWARD)
_LONGEST = 8
_LOOK_ALIKE = {
    "O": ("0", "the letter O where the figure 0 belongs"),
    "I": ("1", "the letter I where the figure 1 belongs"),
}


class PlaceNotUnderstood(Invalid):
    """What was typed is no British postcode, sector or outward code (422); says what is wrong."""

    title = "That place was not understood"

    def __init__(self, message: str, *, field: str = "place") -> None:
        super().__init__(
            rule="a-british-postcode",
            detail=message,
            who_can_change_it=THE_CALLER,
            what_else=["Give a whole postcode, like M32 8BH.", "Give its first half alone: M32."],
            errors=[FieldError(field, message)],
        )
        self.message = message


class Point(NamedTuple):
    """A point on the British National Grid (EPSG:27700), whole metres."""

    easting: int
    northing: int


@dataclass(frozen=True, slots=True)
class Sector:
    """One row of the table: the mean point of a sector's ``postcodes`` postcodes."""

    outward: str
    sector: str
    easting: int
    northing: int
    postcodes: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is, at sector or outward level. ``point`` is None where the table has none.

    Northern Ireland, Jersey, Guernsey, the Isle of Man and new or closed sectors are real places
    without a point: they can be shown, not measured to.
    """

    outward: str
    sector: str | None
    point: Point | None

    @property
    def label(self) -> str:
        """What may be shown to anybody: "M32 8" or "M32"."""
        return self.outward if self.sector is None else f"{self.outward} {self.sector}"


@dataclass(frozen=True, slots=True)
class Postcode:
    """A whole British postcode, by its form: that it is in use is not checked."""

    outward: str
    inward: str

    @classmethod
    def parse(cls, text: str, *, field: str = "postcode") -> Self:
        """Return the postcode in ``text``, whatever its case and spacing.

        Raises PlaceNotUnderstood with a sentence that names what is wrong.
        """
        typed = _tidy(text)
        match = _FULL.fullmatch(typed)
        if match is None:
            raise PlaceNotUnderstood(_what_is_wrong(typed), field=field)
        return cls(match[1], match[2])

    def __str__(self) -> str:
        return f"{self.outward} {self.inward}"

    @property
    def place(self) -> Place:
        """The sector this postcode lies in."""
        return _place(self.outward, self.inward[0])


def locate(text: str, *, field: str = "place") -> Place:
    """Return the place of a postcode ("M32 8BH"), a sector ("M32 8") or an outward code ("M32").

    An outward code stands for the mean of its sectors, weighted by their postcodes. Without a
    space "M11" is read as the outward code it is, not as sector 1 of M1.
    Raises PlaceNotUnderstood.
    """
    typed = _tidy(text)
    if match := _FULL.fullmatch(typed):
        return _place(match[1], match[2][0])
    if match := _SECTOR.fullmatch(typed):
        return _place(match[1], match[2])
    if _OUTWARD_ONLY.fullmatch(typed):
        return Place(typed, None, _tables().outward_codes.get(typed))
    if match := _SECTOR_UNSPACED.fullmatch(typed):
        return _place(match[1], match[2])
    raise PlaceNotUnderstood(_what_is_wrong(typed), field=field)


def distance_metres(a: Place, b: Place) -> int:
    """Return the straight line between two places in whole metres, as the grid has it.

    Raises ValueError when either has no point: a caller asks ``point`` first.
    """
    if a.point is None or b.point is None:
        missing = a.label if a.point is None else b.label
        raise ValueError(f"{missing} has no point to measure from")
    return round(hypot(a.point.easting - b.point.easting, a.point.northing - b.point.northing))


def sectors() -> Mapping[tuple[str, str], Sector]:
    """Return every sector of the table by (outward code, sector figure)."""
    return _tables().sectors


def _tidy(text: str) -> str:
    return " ".join(text.upper().split())


def _place(outward: str, sector: str) -> Place:
    row = _tables().sectors.get((outward, sector))
    return Place(outward, sector, None if row is None else Point(row.easting, row.northing))


def _what_is_wrong(typed: str) -> str:
    """Say what keeps ``typed`` (tidied) from being a postcode. Quotes at most eight characters."""
    if not typed:
        return "There is no postcode."
    if not _letters_and_figures(typed):
        return f"{typed[:_LONGEST]}: a postcode has only letters, figures and one space."
    if len(typed) > _LONGEST and " " not in typed:
        return f"{typed[:_LONGEST]}… is too long for a postcode."
    if swapped := _look_alike(typed):
        return f"{typed} has {swapped}."
    first, _, second = typed.partition(" ")
    if second and not _OUTWARD_ONLY.fullmatch(first):
        return (
            f"The first half, {first[:_LONGEST]}, is not one: "
            "one or two letters come first, then one or two figures, like M32 or WA15."
        )
    if second:
        return (
            f"The second half, {second[:_LONGEST]}, is not one: "
            "it has one figure and then two letters, like 8BH."
        )
    if _OUTWARD_ONLY.fullmatch(typed):
        return f"{typed} is only the first half: the second half, like 8BH, is missing."
    return f"{typed[:_LONGEST]} is not a British postcode; one looks like M32 8BH."


def _letters_and_figures(typed: str) -> bool:
    return all(
        character.isascii() and (character.isalnum() or character == " ") for character in typed
    )


def _look_alike(typed: str) -> str | None:
    """Name a letter that stands where only a figure makes a postcode of ``typed``."""
    if len(typed) > _LONGEST:
        return None
    for place, letter in enumerate(typed):
        figure, sentence = _LOOK_ALIKE.get(letter, ("", ""))
        if figure and _FULL.fullmatch(typed[:place] + figure + typed[place + 1 :]):
            return sentence
    return None


@dataclass(frozen=True, slots=True)
class _Tables:
    sectors: Mapping[tuple[str, str], Sector]
    outward_codes: Mapping[str, Point]


class _Once:
    """The tables, read from disk at first need and once, however many threads ask together."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tables: _Tables | None = None

    def get(self) -> _Tables:
        if self._tables is None:
            with self._lock:
                if self._tables is None:
                    self._tables = _load()
        return self._tables


_once = _Once()


def _tables() -> _Tables:
    return _once.get()


def _load() -> _Tables:
    with _TABLE.open(encoding="ascii", newline="") as file:
        rows = [
            Sector(outward, sector, int(easting), int(northing), int(postcodes))
            for outward, sector, easting, northing, postcodes in list(csv.reader(file))[1:]
        ]
    sums: dict[str, list[int]] = {}
    for row in rows:
        total = sums.setdefault(row.outward, [0, 0, 0])
        total[0] += row.easting * row.postcodes
        total[1] += row.northing * row.postcodes
        total[2] += row.postcodes
    return _Tables(
        sectors={(row.outward, row.sector): row for row in rows},
        outward_codes={
            outward: Point(round(east / weight), round(north / weight))
            for outward, (east, north, weight) in sums.items()
        },
    )
