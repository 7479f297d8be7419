"""What one cell may hold, and how it is read. Each reader takes the cell's text, already stripped
and not absent, and returns its value or raises CellRefused with a sentence about the cell.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import time
from typing import Final

from api.areas.places import PlaceNotUnderstood, Postcode
from api.areas.rules import DAYS
from api.directories.rules.names import readable_name

LONGEST_NAME: Final = 200
LONGEST_LINE: Final = 500
LONGEST_TEXT: Final = 10_000
LONGEST_WEBSITE: Final = 300
MOST_PENCE: Final = 10_000_000  # £100,000: more is a slip of the hand
MOST_PLACES: Final = 10_000

KINDS: Final = ("micro_enterprise", "shared_lives", "peer_group", "community")
PRICE_PER: Final = ("session", "hour", "day", "night", "week", "month", "year", "item")

_ABSENT: Final = frozenset({"", "na", "n/a", "nan", "none", "null", "not known", "-"})
_NOT_SHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
_HOST = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}\.?(?::\d{1,5})?(?:[/?#]\S*)?",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_TRAILING_POINT = re.compile(r"^([^/?#]+?)\.(?=$|[:/?#])")
_TIME = re.compile(r"([01]?\d|2[0-3])[:.]([0-5]\d)")
_YES_OR_NO: Final = {"yes": "yes", "y": "yes", "no": "no", "n": "no"}

Reader = Callable[[str], object]


class CellRefused(ValueError):
    """A cell does not hold what its column is for. The message repeats no more than a postcode."""


def is_absent(cell: str) -> bool:
    """Say whether a cell says nothing: empty, NA, None and the like, in any case."""
    return cell.strip().casefold() in _ABSENT


def line(cell: str) -> str:
    """Read one line: every run of space, line ends too, becomes one space."""
    return _bounded(" ".join(_shown(cell).split()), LONGEST_LINE)


def text(cell: str) -> str:
    """Read text of several lines: paragraphs stay, other runs of space become one."""
    lines = [" ".join(part.split()) for part in _shown(cell).splitlines()]
    return _bounded(re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip(), LONGEST_TEXT)


def address(cell: str) -> str:
    """Read an address: its lines become one, parted by commas."""
    parts = [" ".join(part.split()).strip(" ,") for part in _shown(cell).splitlines()]
    return _bounded(", ".join(part for part in parts if part), LONGEST_LINE)


def name(cell: str) -> str:
    """Read a name as its owner writes it."""
    found = _bounded(" ".join(_shown(cell).split()), LONGEST_NAME)
    if not any(letter.isalnum() for letter in found):
        raise CellRefused("a name needs at least one letter or figure.")
    return found


def name_from_capitals(cell: str) -> str:
    """Read a name out of a register that keeps its names in capitals."""
    return readable_name(name(cell))


def postcode(cell: str) -> Postcode:
    """Read a whole postcode."""
    try:
        return Postcode.parse(cell)
    except PlaceNotUnderstood as error:
        raise CellRefused(error.message) from None


def website(cell: str) -> str:
    """Read a web address; http:// is put before one that has no scheme.

    Only http and https, only a host with a name, nothing before an "@": registers hold private
    e-mail and street addresses in this box, and those must not go out as a link.
    """
    typed = _shown(cell).strip()
    scheme, rest = "http://", typed
    if (found := re.match(r"https?://", typed, re.IGNORECASE)) is not None:
        scheme, rest = found[0].lower(), typed[found.end() :]
    elif _SCHEME.match(typed) and not _HOST.fullmatch(typed):
        raise CellRefused("a web address starts with http:// or https://.")
    if len(rest) > LONGEST_WEBSITE:
        raise CellRefused(f"a web address has at most {LONGEST_WEBSITE} characters.")
    if "@" in rest.split("/")[0] or not _HOST.fullmatch(rest):
        raise CellRefused("that is not a web address, like https://example.org.")
    return scheme + _TRAILING_POINT.sub(r"\1", rest)


def first_website(cell: str) -> str:
    """Read the first of the web addresses in a cell that may hold more than one."""
    return website(cell.split()[0])


def kind(cell: str) -> str:
    """Read what sort of thing it is: one of KINDS."""
    return _one_of(cell, KINDS)


def price_per(cell: str) -> str:
    """Read what a price is for: one of PRICE_PER."""
    return _one_of(cell, PRICE_PER)


def pence(cell: str) -> int:
    """Read whole pence; 0 is free."""
    return _whole(cell, MOST_PENCE, "whole pence, so that £3.50 is 350 and free is 0")


def places(cell: str) -> int:
    """Read a number of places."""
    return _whole(cell, MOST_PLACES, "a whole number of places, like 8")


def days(cell: str) -> tuple[str, ...]:
    """Read days ("mon wed", "Monday, Wednesday") in the week's order."""
    typed = re.split(r"[\s,;/&]+", cell.strip().lower())
    found = {_DAY_NAMES.get(day) for day in typed if day not in ("", "and")}
    if not found or None in found:
        raise CellRefused("days are written mon tue wed thu fri sat sun, with spaces between.")
    return tuple(day for day in DAYS if day in found)


def clock(cell: str) -> time:
    """Read a time of day on the 24-hour clock."""
    found = _TIME.fullmatch(cell.strip())
    if found is None:
        raise CellRefused("a time is written on the 24-hour clock, like 09:30 or 14:00.")
    return time(int(found[1]), int(found[2]))


def yes_or_no(cell: str) -> str | None:
    """Read a fact: "yes", "no", or None for unknown."""
    typed = cell.strip().casefold()
    if typed == "unknown":
        return None
    if typed not in _YES_OR_NO:
        raise CellRefused("write yes, no, or leave it empty when it is not known.")
    return _YES_OR_NO[typed]


_DAY_NAMES: Final = {
    form: code
    for code, full in zip(
        DAYS,
        ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        strict=True,
    )
    for form in (code, full, f"{full}s", f"{code}s")
} | {"tues": "tue", "weds": "wed", "thur": "thu", "thurs": "thu"}


def _shown(cell: str) -> str:
    """Compose accents; drop control signs, those that turn text round among them."""
    return _NOT_SHOWN.sub(" ", unicodedata.normalize("NFC", cell))


def _bounded(found: str, longest: int) -> str:
    if len(found) > longest:
        raise CellRefused(f"it has {len(found):,} characters; {longest:,} is the most.")
    return found


def _one_of(cell: str, codes: tuple[str, ...]) -> str:
    typed = "_".join(cell.casefold().replace("-", " ").split())
    if typed not in codes:
        raise CellRefused(f"write one of: {', '.join(codes)}.")
    return typed


def _whole(cell: str, most: int, what: str) -> int:
    typed = cell.strip()
    if not re.fullmatch("[0-9]{1,9}", typed):
        raise CellRefused(f"write {what}.")
    if int(typed) > most:
        raise CellRefused(f"it is more than {most:,}.")
    return int(typed)
