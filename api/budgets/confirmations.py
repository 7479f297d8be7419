"""A holder's file of what was paid and what failed, read line by line. No I/O here.

A good line is taken and a bad one named, by its line, its field and the reason: whoever sent a
thousand lines should not lose them to one.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from api.budgets.schemas import BadLine
from api.core.errors import Invalid, invalid

MOST_LINES = 900
_MOST_PENCE = 100_000_000_000

_REFERENCE = re.compile(r"[A-Z0-9]{4}(-[A-Z0-9]{4}){2}", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,12}", re.ASCII)
_POUNDS = re.compile(r"([0-9]{1,10})(?:\.([0-9]{2}))?", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_HEAD = "The first line names the columns: reference, amount (or amount_pence), paid_on, outcome."


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one line says of one payment. ``paid_on`` is None where it failed."""

    line: int
    reference: str
    amount_pence: int
    outcome: Literal["paid", "failed"]
    paid_on: date | None


@dataclass(frozen=True, slots=True)
class _Bad(Exception):
    field: str
    rule: str
    why: str


def read_file(text: str) -> tuple[list[Said], list[BadLine]]:
    """Return what the good lines say, and the bad ones; raise Invalid for what is no such file."""
    rows = _rows(text)
    head = [name.strip().lower() for name in rows[0][1]] if rows else []
    wanted = {"reference", "outcome", "paid_on"}
    if not (wanted <= set(head) and {"amount", "amount_pence"} & set(head)):
        raise invalid("file-columns", "csv", _HEAD)
    if len(set(head)) != len(head):
        raise invalid("file-columns", "csv", "Each column stands once.", what_else=[_HEAD])
    if len(rows) - 1 > MOST_LINES:
        raise invalid(
            "file-length",
            "csv",
            f"A file has {MOST_LINES} lines at most.",
            what_else=["Send it in parts."],
        )
    said: list[Said] = []
    bad: list[BadLine] = []
    seen: set[str] = set()
    for line, cells in rows[1:]:
        try:
            one = _said(line, head, cells)
            if one.reference in seen:
                raise _Bad("reference", "reference-once", "An earlier line says this already.")
        except _Bad as why:
            bad.append(BadLine(line=line, field=why.field, rule=why.rule, why=why.why))
        else:
            seen.add(one.reference)
            said.append(one)
    return said, bad


def _rows(text: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(text.removeprefix("\ufeff").splitlines(), strict=True)
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error:
        raise _unreadable(reader.line_num) from None


def _unreadable(line: int) -> Invalid:
    return invalid("file-readable", "csv", f"Line {line} cannot be read as CSV.", what_else=[_HEAD])


def _said(line: int, head: Sequence[str], cells: Sequence[str]) -> Said:
    if len(cells) != len(head):
        raise _Bad(
            "line", "line-cells", f"There are {len(cells)} cells here and {len(head)} names."
        )
    row = {name: cell.strip() for name, cell in zip(head, cells, strict=True)}
    reference = row["reference"].upper()
    if not _REFERENCE.fullmatch(reference):
        raise _Bad("reference", "reference-form", "A reference looks like K7Q2-9FXM-3TBD.")
    outcome = row["outcome"].lower()
    if outcome not in ("paid", "failed"):
        raise _Bad("outcome", "outcome-known", "The outcome is paid or failed.")
    paid = outcome == "paid"
    return Said(
        line=line,
        reference=reference,
        amount_pence=_amount(row),
        outcome="paid" if paid else "failed",
        paid_on=_day(row["paid_on"]) if paid else None,
    )


def _amount(row: dict[str, str]) -> int:
    """Return the pence of a line, from either column; both must say the same."""
    found: set[int] = set()
    if row.get("amount_pence"):
        if not _WHOLE.fullmatch(row["amount_pence"]):
            raise _Bad("amount_pence", "amount-form", "Whole pence, in digits alone: 1250.")
        found.add(int(row["amount_pence"]))
    if row.get("amount"):
        pounds = _POUNDS.fullmatch(row["amount"])
        if pounds is None:
            raise _Bad(
                "amount", "amount-form", "Pounds in digits, with two for pence if any: 1250.00."
            )
        found.add(int(pounds[1]) * 100 + int(pounds[2] or 0))
    field = "amount" if "amount" in row else "amount_pence"
    if not found:
        raise _Bad(field, "amount-needed", "The sum is missing.")
    if len(found) > 1:
        raise _Bad(field, "amount-twice", "amount and amount_pence say different sums.")
    pence = found.pop()
    if not 1 <= pence <= _MOST_PENCE:
        raise _Bad(field, "amount-out-of-bounds", "No payment has such a sum.")
    return pence


def _day(cell: str) -> date:
    try:
        if _DAY.fullmatch(cell):
            return date.fromisoformat(cell)
    except ValueError:
        pass
    raise _Bad("paid_on", "day-form", "A day is written 2026-03-31.")
