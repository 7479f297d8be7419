"""Places on the British National Grid: cells of 5 km, whole metres, and what is near."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from matching.values import FARTHEST_METRES, Place

CELL_METRES: Final = 5_000

Integers = npt.NDArray[np.int64]


def cell(place: Place) -> tuple[int, int]:
    """The 5 km cell of a place: (column, row)."""
    return place[0] // CELL_METRES, place[1] // CELL_METRES


def cells_within(place: Place, *, metres: int) -> list[tuple[int, int]]:
    """Every cell that may hold something within `metres` of a place, in order.

    For choosing rows by cell before measuring; cells wholly out of reach are left out.
    """
    reach = _checked(metres)
    west, south = cell((place[0] - reach, place[1] - reach))
    east, north = cell((place[0] + reach, place[1] + reach))
    return [
        (column, row)
        for column in range(west, east + 1)
        for row in range(south, north + 1)
        if _gap(place[0], column) ** 2 + _gap(place[1], row) ** 2 <= reach * reach
    ]


def distance_metres(a: Place, b: Place) -> int:
    """Whole metres between two places as the crow flies, rounded down."""
    return math.isqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)


def distances_metres(places: Integers, centre: Place) -> Integers:
    """As `distance_metres`, for an array of shape (n, 2).

    Exact although it goes through float64: squares on the grid stay far below 2 to the 52nd,
    where the rounded root of n*n - 1 cannot reach n.
    """
    away = places - np.array(centre, dtype=np.int64)
    metres: Integers = np.sqrt((away * away).sum(axis=1).astype(np.float64)).astype(np.int64)
    return metres


@dataclass(frozen=True, slots=True)
class PlaceIndex:
    """Places ordered by cell, so that what is near is found without looking at a country.

    Build with `PlaceIndex.of(places)`; None (not known) is never near anything.
    """

    rows: Integers
    places: Integers
    keys: Integers

    @classmethod
    def of(cls, places: Sequence[Place | None]) -> PlaceIndex:
        """Index places by their position in the sequence."""
        known = [(n, *place) for n, place in enumerate(places) if place is not None]
        table = np.array(known, dtype=np.int64).reshape(-1, 3)
        cells = table[:, 1:] // CELL_METRES
        keys = _key(cells[:, 0], cells[:, 1])
        order = np.lexsort((table[:, 0], keys))
        return cls(rows=table[order, 0], places=table[order, 1:], keys=keys[order])

    def near(self, centre: Place, *, metres: int) -> Integers:
        """Positions of all places within `metres`, the edge included, in rising order."""
        reach = _checked(metres)
        west, south = cell((centre[0] - reach, centre[1] - reach))
        east, north = cell((centre[0] + reach, centre[1] + reach))
        columns = np.arange(west, east + 1, dtype=np.int64)
        starts = np.searchsorted(self.keys, _key(columns, south), side="left")
        ends = np.searchsorted(self.keys, _key(columns, north), side="right")
        found = np.concatenate([np.arange(a, b) for a, b in zip(starts, ends, strict=True)])
        away = self.places[found] - np.array(centre, dtype=np.int64)
        inside = (away * away).sum(axis=1) <= reach * reach
        return np.sort(self.rows[found[inside]])


_COLUMN: Final = 1 << 20


def _key(column: Integers, row: Integers | int) -> Integers:
    """One number per cell: cells of one column lie together, from south to north."""
    key: Integers = column * _COLUMN + row
    return key


def _gap(coordinate: int, index: int) -> int:
    low = index * CELL_METRES
    return max(low - coordinate, coordinate - (low + CELL_METRES - 1), 0)


def _checked(metres: int) -> int:
    if not 0 <= metres <= FARTHEST_METRES:
        raise ValueError(f"a distance must be between 0 and {FARTHEST_METRES} metres")
    return metres
