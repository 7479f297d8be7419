"""Who and what the demo is about: read from content/, which holds data alone."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "content"
Things = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Content:
    """Areas, staff, people, things to join and budgets, as the files hold them.

    ``together`` is what people write and choose while they put money together.
    """

    areas: Things
    staff: Things
    people: Things
    listings: Things
    budgets: Things
    together: dict[str, Any]


def load() -> Content:
    """Read the demo's content."""
    names = ("areas", "staff", "people", "listings", "budgets", "together")
    return Content(*(_read(name) for name in names))


def _read(name: str) -> Any:
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
