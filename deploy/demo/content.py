"""Who and what the demo is about: read from content/, which holds data alone."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "content"
Things = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Content:
    """Areas, staff, people and listings, as the files hold them."""

    areas: Things
    staff: Things
    people: Things
    listings: Things


def load() -> Content:
    """Read the demo's content."""
    return Content(*(_read(name) for name in ("areas", "staff", "people", "listings")))


def _read(name: str) -> Things:
    things: Things = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return things
