"""Rules for directories that come in as CSV: pure, from bytes to rows, without a database.

    table = read_table(data)                  # FileRefused: not UTF-8, too large, no header
    mapping = recognise(table.header)         # FileRefused: what is missing, what is unexpected
    for found in read_rows(table, mapping):   # ImportedRow, RowError or SameRow; never raises

``records`` cuts a file into cells, ``mappings`` says which of the ``readers`` a column has,
``headers`` finds the format, ``rows`` puts a row together; ``names`` and ``opening`` serve readers.
"""

from api.directories.rules.headers import recognise
from api.directories.rules.mappings import KITH, MAPPINGS, Column, Mapping
from api.directories.rules.opening import Session
from api.directories.rules.records import FileRefused, Table, read_table
from api.directories.rules.rows import (
    ImportedRow,
    NaturalKey,
    Outcome,
    RowError,
    SameRow,
    read_rows,
)

__all__ = [
    "KITH",
    "MAPPINGS",
    "Column",
    "FileRefused",
    "ImportedRow",
    "Mapping",
    "NaturalKey",
    "Outcome",
    "RowError",
    "SameRow",
    "Session",
    "Table",
    "read_rows",
    "read_table",
    "recognise",
]
