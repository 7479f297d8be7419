"""What came of reading a directory."""

from msgspec import Struct


class RowProblem(Struct, kw_only=True, frozen=True):
    """One thing about one row. ``row`` is the spreadsheet's, the header being 1."""

    row: int
    field: str
    message: str


class FileReport(Struct, kw_only=True, frozen=True):
    """What came of one file that was read.

    ``read``: rows with anything in them. ``new``, ``changed`` and ``unchanged`` are listings.
    ``same``: rows that an earlier row of the file already is. ``errors``: why rows did not come
    in, one for each field. ``left_out``: what did not come in without being an error: a web
    address that is none, or a repeated row that says something else than the first.
    """

    file: str
    source: str
    read: int
    new: int
    changed: int
    unchanged: int
    same: int
    errors: list[RowProblem]
    left_out: list[RowProblem]
