"""A CSV file of unknown make, cut into records without ever giving up half way.

The standard library's reader is not used: met with a quotation mark that nobody closed it
swallows the rest of the file, or stops. Here such a row is a fault of that row alone, and reading
goes on at the next line. Quoting follows RFC 4180; any of the three line ends is understood.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from api.core.errors import THE_CALLER, FieldError, Invalid

MOST_BYTES: Final = 20 * 1024 * 1024
MOST_LINES: Final = 200_000
MOST_COLUMNS: Final = 100
MOST_CELLS: Final = 2 * MOST_COLUMNS
LONGEST_CELL: Final = 20_000

_PLAIN = re.compile(r'[^,"\r\n]*+')
_QUOTED = re.compile(r'"([^"]*+(?:""[^"]*+)*+)"')
_LINE_END = re.compile(r"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"
_NOT_TEXT = (
    (b"PK\x03\x04", "It is a workbook (xlsx or ods), not a CSV file."),
    (b"\xd0\xcf\x11\xe0", "It is an old Excel workbook (xls), not a CSV file."),
    (b"\xff\xfe", "It is in UTF-16, not in UTF-8."),
    (b"\xfe\xff", "It is in UTF-16, not in UTF-8."),
)


class FileRefused(Invalid):
    """The file as a whole cannot be read, so nothing of it came in (422)."""

    title = "This file cannot be read"

    def __init__(
        self, rule: str, detail: str, *, what_else: tuple[str, ...], field: str = "file"
    ) -> None:
        super().__init__(
            rule=rule,
            detail=detail,
            who_can_change_it=THE_CALLER,
            what_else=what_else,
            errors=[FieldError(field, detail)],
        )
        self.message = detail


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a record cannot be read. ``column`` counts from 0."""

    column: int
    message: str


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``row`` is the spreadsheet's row: the header is 1, a many-line cell one row.

    With a ``fault``, ``cells`` holds what stood before it. ``end`` is where the next one starts.
    """

    row: int
    cells: tuple[str, ...]
    fault: Fault | None
    end: int


@dataclass(frozen=True, slots=True)
class Table:
    """A file that can be read: its header, and its rows as often as they are asked for."""

    header: tuple[str, ...]
    _text: str
    _header: Record

    def records(self) -> Iterator[Record]:
        """Yield every record below the header. Rows with nothing in them count, and are skipped."""
        return _records(self._text, self._header.end, self._header.row + 1)


def read_table(data: bytes) -> Table:
    """Return the table in ``data`` (UTF-8, with or without a byte order mark).

    Raises FileRefused: too large, not UTF-8 (names the first wrong byte and its line), empty, or
    with a header that cannot be read.
    """
    text = _decode(data)
    first = next(_records(text, 0, 1), None)
    if first is None:
        raise FileRefused(
            "a-file-with-a-header",
            "The file is empty.",
            what_else=("Send a CSV file whose first line names its columns.",),
        )
    if first.fault is not None:
        raise FileRefused(
            "a-file-with-a-header",
            f"The line that names the columns cannot be read: {first.fault.message}",
            what_else=("Save the file again as CSV UTF-8, separated by commas.",),
        )
    header = tuple(cell.strip() for cell in first.cells)
    if len(header) > MOST_COLUMNS:
        raise FileRefused(
            "file-size",
            f"The file has {len(header)} columns; {MOST_COLUMNS} can be read.",
            what_else=("Keep only the columns that are needed.",),
        )
    return Table(header, text, first)


def _decode(data: bytes) -> str:
    save = ("Save the file again as CSV UTF-8, separated by commas.",)
    if len(data) > MOST_BYTES:
        limit = f"The file is larger than {MOST_BYTES // 1024 // 1024} MB."
        raise FileRefused(
            "file-size", limit, what_else=("Send it in parts, each with the header.",)
        )
    for begins, sentence in _NOT_TEXT:
        if data.startswith(begins):
            raise FileRefused("file-encoding", sentence, what_else=save)
    skipped = len(_BOM) if data.startswith(_BOM) else 0
    try:
        text = data[skipped:].decode("utf-8")
    except UnicodeDecodeError as error:
        at = skipped + error.start
        line = len(re.findall(rb"\r\n|\r|\n", data[:at])) + 1
        raise FileRefused(
            "file-encoding",
            f"The file is not in UTF-8: byte 0x{data[at]:02X} on line {line} (byte {at + 1} of the "
            "file) is no character there.",
            what_else=save,
        ) from None
    if text.count("\n") + text.count("\r") > MOST_LINES:
        limit = f"The file has more than {MOST_LINES:,} lines."
        raise FileRefused(
            "file-size", limit, what_else=("Send it in parts, each with the header.",)
        )
    return text


def _records(text: str, at: int, row: int) -> Iterator[Record]:
    while at < len(text):
        cells, fault, at = _cut(text, at)
        if fault is not None or any(cell.strip() for cell in cells):
            yield Record(row, cells, fault, at)
        row += 1


def _cut(text: str, at: int) -> tuple[tuple[str, ...], Fault | None, int]:
    """Return the cells of the record at ``at``, its fault if any, and where the next one starts."""
    cells: list[str] = []
    while True:
        begun = at
        quoted = text.startswith('"', at)
        match = _QUOTED.match(text, at) if quoted else _PLAIN.match(text, at)
        if match is None:
            message = "a quotation mark opens the cell and none closes it."
            return tuple(cells), Fault(len(cells), message), _next_line(text, begun)
        at = match.end()
        following = text[at : at + 1]
        if following not in (",", "\r", "\n", ""):
            message = (
                "something follows the quotation mark that closes the cell."
                if quoted
                else "a quotation mark stands in a cell that is not in quotation marks."
            )
            return tuple(cells), Fault(len(cells), message), _next_line(text, begun)
        cell = match[1].replace('""', '"') if quoted else match[0]
        if len(cell) > LONGEST_CELL:
            message = f"the cell holds {len(cell):,} characters; {LONGEST_CELL:,} can be read."
            # From where the cell began: a forgotten closing mark must not take other rows with it.
            return tuple(cells), Fault(len(cells), message), _next_line(text, begun)
        cells.append(cell)
        if following != ",":
            return tuple(cells), None, _next_line(text, at)
        if len(cells) == MOST_CELLS:
            message = f"the row has more than {MOST_CELLS} cells."
            return tuple(cells), Fault(len(cells), message), _next_line(text, at)
        at += 1


def _next_line(text: str, at: int) -> int:
    match = _LINE_END.search(text, at)
    return len(text) if match is None else match.end()
