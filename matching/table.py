"""Offers as a struct of arrays: packed once, then looked at for one person after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from matching.bert import DIMENSIONS, Floats
from matching.place import Integers
from matching.rules import WISHES
from matching.text import columns, stack
from matching.threads import one_thread
from matching.values import Id, Offer, Place, Statement

Booleans = npt.NDArray[np.bool_]

UNKNOWN: Final = -1
"""Stands for not known in the arrays of times, pence and places left."""


@dataclass(frozen=True, slots=True)
class OfferTable:
    """Offers ordered by id, one row each; made by `pack`.

    `vectors` holds all passages as columns, shape (384, passages), because few statements are
    multiplied with many of them; those of row n stand at `passage_rows(n)`. `wishes` holds what
    owners ask for, one a row, `wish_rows[w]` being whose. Arrays are int64, UNKNOWN for None.
    """

    offers: tuple[Offer, ...]
    row_of: Mapping[str, int]
    rows_owned_by: Mapping[str, list[int]]
    rows_closed_to: Mapping[str, list[int]]
    vectors: Floats
    starts: Integers
    wishes: Floats
    wish_rows: Integers
    wish_statements: tuple[Statement, ...]
    places: Integers
    place_known: Booleans
    times: Integers
    price_pence: Integers
    places_left: Integers
    facts_yes: Mapping[str, Booleans]
    facts_no: Mapping[str, Booleans]
    owned: Booleans
    confirmed: Booleans
    approved: Booleans

    def __len__(self) -> int:
        return len(self.offers)

    def passage_rows(self, row: int) -> slice:
        """Where the passages of one offer stand in `vectors`."""
        start = int(self.starts[row])
        return slice(start, start + max(len(self.offers[row].vectors), 1))


def pack(offers: Iterable[Offer]) -> OfferTable:
    """Order offers by id and lay them out for looking through; the order given does not matter.

    Raises ValueError when two offers have the same id or a vector is malformed.
    """
    one_thread()
    ordered = tuple(sorted(offers, key=lambda offer: str(offer.id)))
    row_of = {str(offer.id): row for row, offer in enumerate(ordered)}
    if len(row_of) != len(ordered):
        raise ValueError("two offers have the same id")
    # An offer without a vector keeps one row of zeros, so that every offer has a first passage.
    blank = (bytes(DIMENSIONS),)
    counts = np.array([len(offer.vectors) or 1 for offer in ordered], dtype=np.int64)
    wishes = [
        (row, statement)
        for row, offer in enumerate(ordered)
        if offer.owner is not None
        for statement in sorted(offer.owner.statements, key=lambda each: str(each.id))
        if statement.kind in WISHES
    ]
    spots = [offer_place(offer) for offer in ordered]
    rows_owned_by, rows_closed_to = _people(ordered)
    return OfferTable(
        offers=ordered,
        row_of=row_of,
        rows_owned_by=rows_owned_by,
        rows_closed_to=rows_closed_to,
        vectors=columns([v for offer in ordered for v in (offer.vectors or blank)]),
        starts=np.cumsum(counts) - counts,
        wishes=stack([statement.vector for _, statement in wishes]),
        wish_rows=np.array([row for row, _ in wishes], dtype=np.int64),
        wish_statements=tuple(statement for _, statement in wishes),
        places=_places(spots),
        place_known=np.array([spot is not None for spot in spots], dtype=np.bool_),
        times=_numbers(ordered, offer_times),
        price_pence=_numbers(ordered, lambda offer: offer.price_pence),
        places_left=_numbers(ordered, lambda offer: offer.places_left),
        facts_yes=_facts(ordered, lambda offer: offer.facts_yes),
        facts_no=_facts(ordered, lambda offer: offer.facts_no),
        owned=np.array([offer.owner is not None for offer in ordered], dtype=np.bool_),
        confirmed=np.array([offer.confirmed for offer in ordered], dtype=np.bool_),
        approved=np.array([offer.approved for offer in ordered], dtype=np.bool_),
    )


def offer_place(offer: Offer) -> Place | None:
    """Where an offer is: its own place, else its owner's."""
    if offer.place is None and offer.owner is not None:
        return offer.owner.place
    return offer.place


def offer_times(offer: Offer) -> int | None:
    """When an offer is: its own times, else when its owner is free."""
    if offer.times is None and offer.owner is not None:
        return offer.owner.free_times
    return offer.times


def _people(
    ordered: tuple[Offer, ...],
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Rows by the person who owns them, and rows by each person whom their owner blocked."""
    owned: dict[str, list[int]] = {}
    closed: dict[str, list[int]] = {}
    for row, offer in enumerate(ordered):
        if offer.owner is None:
            continue
        owned.setdefault(str(offer.owner.id), []).append(row)
        for blocked in sorted(map(_text, offer.owner.blocked)):
            closed.setdefault(blocked, []).append(row)
    return owned, closed


def _text(value: Id) -> str:
    return str(value)


def _places(spots: list[Place | None]) -> Integers:
    return np.array([spot or (0, 0) for spot in spots], dtype=np.int64).reshape(-1, 2)


def _numbers(ordered: tuple[Offer, ...], read: Callable[[Offer], int | None]) -> Integers:
    values = [UNKNOWN if value is None else value for value in map(read, ordered)]
    return np.array(values, dtype=np.int64)


def _facts(
    ordered: tuple[Offer, ...], read: Callable[[Offer], frozenset[str]]
) -> dict[str, Booleans]:
    known: dict[str, Booleans] = {}
    for row, offer in enumerate(ordered):
        for fact in read(offer):
            if fact not in known:
                known[fact] = np.zeros(len(ordered), dtype=np.bool_)
            known[fact][row] = True
    return known
