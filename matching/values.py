"""The values that go into a match and come out of it: frozen, plain, and free of words.

Ids are strings or UUIDs; two ids are the same when their `str` is. Times are masks of 35 bits
(day * 5 + part of day), places are (easting, northing) in metres on the British National Grid,
money is whole pence. None always means *not known*, never *none*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from uuid import UUID

Id: TypeAlias = str | UUID
Place: TypeAlias = tuple[int, int]
Scalar: TypeAlias = str | int | UUID
StatementKind = Literal["strength", "goal", "interest", "avoidance", "access_need"]
Side = Literal["for", "against", "unknown"]
UnmetKind = Literal[
    "nothing_like_it",
    "not_confirmed",
    "full",
    "access",
    "avoided",
    "too_far",
    "not_then",
    "costs_too_much",
]


FARTHEST_METRES: Final = 2_000_000
"""Beyond the whole grid: coordinates and radii past this are a mistake."""

_MOST: Final = 1 << 50
"""Masks and pence stay below this, so that 64-bit sums cannot overflow."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Something a person said, as the vector of its meaning (384 signed bytes).

    Only strengths, goals and interests are compared by meaning. Avoidances and access needs
    count through the facts the person confirmed (Requirement), because no embedding
    understands "no".
    """

    id: Id
    kind: StatementKind
    vector: bytes


@dataclass(frozen=True, slots=True)
class Requirement:
    """A fact the person confirmed that they need (wanted) or want to avoid (not wanted)."""

    fact: str
    wanted: bool
    statement_id: Id


@dataclass(frozen=True, slots=True)
class Seeker:
    """A person for whom we look: consented statements, confirmed requirements, practical limits.

    `travel_limit_metres` is as the crow flies. `blocked` holds ids of people and offers.
    Raises ValueError when two statements share an id or a number is out of range.
    """

    id: Id
    statements: tuple[Statement, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    place: Place | None = None
    travel_limit_metres: int = 8_000
    free_times: int | None = None
    spend_limit_pence: int | None = None
    blocked: frozenset[Id] = frozenset()

    def __post_init__(self) -> None:
        if len({str(statement.id) for statement in self.statements}) != len(self.statements):
            raise ValueError(f"person {self.id}: two statements have the same id")
        if not 0 <= self.travel_limit_metres <= FARTHEST_METRES:
            raise ValueError(f"person {self.id}: the travel limit is out of range")
        _check_numbers(self.id, self.place, self.free_times, self.spend_limit_pence)


@dataclass(frozen=True, slots=True)
class Offer:
    """Something or someone a person could be introduced to.

    `vectors`: the passages of its text. `facts_yes` and `facts_no` are what is known; any
    other fact is not known. `owner` is set for a person's own offer, so that both sides'
    wishes count; where the offer has no place or times of its own, the owner's stand in.
    `confirmed`: confirmed lately; `approved`: may be suggested at all.
    Raises ValueError when a fact is both yes and no, or a number is out of range.
    """

    id: Id
    kind: str
    vectors: tuple[bytes, ...]
    place: Place | None = None
    times: int | None = None
    price_pence: int | None = None
    places_left: int | None = None
    facts_yes: frozenset[str] = frozenset()
    facts_no: frozenset[str] = frozenset()
    owner: Seeker | None = None
    confirmed: bool = True
    approved: bool = True

    def __post_init__(self) -> None:
        if not self.facts_yes.isdisjoint(self.facts_no):
            raise ValueError(f"offer {self.id}: a fact cannot be both yes and no")
        _check_numbers(self.id, self.place, self.times, self.price_pence, self.places_left)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an offer may fit, may not, or what nobody knows: a code and scalars, never words."""

    side: Side
    code: str
    params: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One idea for a person. `components` sum to `points`, out of 1,000; never shown bare."""

    offer_id: Id
    points: int
    components: Mapping[str, int]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Unmet:
    """A goal or interest for which no offer that can be suggested has the meaning.

    `counts`: for each gate, how many offers had the meaning and were closed by it (one offer
    may be closed by several). `kind`: the gate whose opening alone would help most, or
    "nothing_like_it". Offers a person may not know of are never counted.
    """

    statement_id: Id
    kind: UnmetKind
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MatchResult:
    """What one look found: suggestions best first, what was unmet, how many were looked at."""

    person_id: Id
    suggestions: tuple[Suggestion, ...]
    unmet: tuple[Unmet, ...]
    looked_at: int


def _check_numbers(owner: Id, place: Place | None, *numbers: int | None) -> None:
    if any(number is not None and not 0 <= number < _MOST for number in numbers):
        raise ValueError(f"{owner}: times, pence and places must be whole numbers from 0 up")
    if place is not None and any(abs(metres) > FARTHEST_METRES for metres in place):
        raise ValueError(f"{owner}: the place lies off the British National Grid")
