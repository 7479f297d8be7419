"""Which of the known formats a file is in, by the names of its columns."""

import re
from collections.abc import Sequence

from api.directories.rules.mappings import MAPPINGS, Mapping
from api.directories.rules.records import FileRefused

_NAMES_SHOWN = 12


def recognise(header: Sequence[str]) -> Mapping:
    """Return the format whose columns ``header`` names, in whatever order.

    Raises FileRefused that names the closest format, what is missing and what is unexpected.
    """
    names = [cell.strip() for cell in header]
    for mapping in MAPPINGS:
        if sorted(names) == sorted(mapping.header):
            return mapping
    closest = max(MAPPINGS, key=lambda mapping: len(_folded(mapping.header) & _folded(names)))
    faults = [
        f"{what}: {_list(columns)}"
        for what, columns in (
            ("missing", [name for name in closest.header if name not in names]),
            ("unexpected", [name or "(no name)" for name in names if name not in closest.header]),
            ("twice", sorted({name for name in names if name and names.count(name) > 1})),
        )
        if columns
    ]
    if len(names) == 1 and re.search("[;\t|]", names[0]):
        faults = ["its columns are not separated by commas"]
    raise FileRefused(
        "a-header-that-is-known",
        f"The file's columns are not those of a known format. The closest is “{closest.title}”; "
        f"{'; '.join(faults)}.",
        what_else=(
            "Name the columns exactly as one of the known formats does.",
            f"That format has: {', '.join(closest.header)}.",
        ),
        field="header",
    )


def _folded(names: Sequence[str]) -> set[str]:
    return {name.casefold() for name in names}


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
