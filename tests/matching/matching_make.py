"""Small builders for matching tests: vectors whose likeness is chosen, offers, people."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from matching import Offer, Seeker, Statement
from matching.text import DIMENSIONS

STRETFORD = (379_500, 394_500)
TUESDAY_EVENING = 1 << 8
THURSDAY_MORNING = 1 << 16
SATURDAY_MORNING = 1 << 26


def topic(name: str) -> np.ndarray:
    """A direction of its own for each name: any two are all but at right angles."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    direction = np.random.default_rng(seed).normal(size=DIMENSIONS)
    return direction / np.linalg.norm(direction)


def vector(name: str, *, cosine: float = 1.0) -> bytes:
    """A stored vector about a topic, so far from its middle that the cosine is as asked."""
    middle, side = topic(name), topic("something else")
    side = side - (side @ middle) * middle
    side /= np.linalg.norm(side)
    mixed = cosine * middle + (1 - cosine**2) ** 0.5 * side
    return np.rint(mixed * 127).astype(np.int8).tobytes()


def said(identifier: str, kind: Any, about: str, *, cosine: float = 1.0) -> Statement:
    return Statement(id=identifier, kind=kind, vector=vector(about, cosine=cosine))


def person(identifier: str = "person", *statements: Statement, **changes: Any) -> Seeker:
    """Somebody in Stretford with Tuesday evenings and £10, who wants to dance."""
    fields: dict[str, Any] = {
        "statements": statements or (said("wants-dance", "goal", "dance"),),
        "place": STRETFORD,
        "travel_limit_metres": 8_000,
        "free_times": TUESDAY_EVENING | SATURDAY_MORNING,
        "spend_limit_pence": 1_000,
    }
    return Seeker(id=identifier, **{**fields, **changes})


def offer(identifier: str = "offer", *about: str, **changes: Any) -> Offer:
    """A free, open dance group two kilometres away on Tuesday evenings, with nothing unknown."""
    fields: dict[str, Any] = {
        "kind": "community",
        "vectors": tuple(vector(each) for each in (about or ("dance",))),
        "place": (STRETFORD[0] + 2_000, STRETFORD[1]),
        "times": TUESDAY_EVENING,
        "price_pence": 0,
        "places_left": 8,
    }
    return Offer(id=identifier, **{**fields, **changes})


def codes(reasons: Sequence[Any], side: str) -> list[str]:
    return [reason.code for reason in reasons if reason.side == side]
