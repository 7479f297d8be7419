"""Places: exact whole metres, and a selection by cells that neither misses nor adds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.place import (
    CELL_METRES,
    PlaceIndex,
    cell,
    cells_within,
    distance_metres,
    distances_metres,
)

grid = st.tuples(st.integers(0, 700_000), st.integers(0, 1_300_000))
town = st.tuples(st.integers(370_000, 400_000), st.integers(380_000, 410_000))


@given(a=grid, b=grid)
def test_distances_are_whole_metres_rounded_down_and_the_same_both_ways(
    a: tuple[int, int], b: tuple[int, int]
) -> None:
    squared = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
    assert distance_metres(a, b) == distance_metres(b, a) == math.isqrt(squared)
    assert distances_metres(np.array([a], dtype=np.int64), b)[0] == math.isqrt(squared)


@pytest.mark.parametrize("n", [1, 94_906_266 // 100, 1_399_999, 1_999_999])
def test_one_metre_short_of_a_perfect_square_is_still_rounded_down(n: int) -> None:
    # dx and dy with dx*dx + dy*dy = n*n - 1 cannot be written for every n: test the root itself.
    assert int(np.sqrt(np.float64(n * n - 1))) == n - 1


@settings(max_examples=60)
@given(places=st.lists(st.none() | town, max_size=60), centre=town, metres=st.integers(0, 20_000))
def test_near_finds_exactly_what_measuring_everything_finds(
    places: list[tuple[int, int] | None], centre: tuple[int, int], metres: int
) -> None:
    reach = metres * metres
    expected = [
        n
        for n, place in enumerate(places)
        if place is not None and (place[0] - centre[0]) ** 2 + (place[1] - centre[1]) ** 2 <= reach
    ]
    assert PlaceIndex.of(places).near(centre, metres=metres).tolist() == expected


@given(centre=town, place=town, metres=st.integers(0, 20_000))
def test_the_cells_within_reach_hold_every_place_within_reach(
    centre: tuple[int, int], place: tuple[int, int], metres: int
) -> None:
    cells = cells_within(centre, metres=metres)
    assert cell(centre) in cells
    assert len(set(cells)) == len(cells)
    if (place[0] - centre[0]) ** 2 + (place[1] - centre[1]) ** 2 <= metres * metres:
        assert cell(place) in cells


def test_cells_wholly_out_of_reach_are_left_out() -> None:
    middle = (CELL_METRES // 2, CELL_METRES // 2)
    assert cells_within(middle, metres=100) == [(0, 0)]
    corners = {(-1, -1), (-1, 1), (1, -1), (1, 1)}
    assert corners.isdisjoint(cells_within(middle, metres=CELL_METRES // 2 + 10))


@pytest.mark.parametrize("metres", [-1, 3_000_000])
def test_a_distance_out_of_range_is_refused(metres: int) -> None:
    with pytest.raises(ValueError, match="between 0 and"):
        cells_within((0, 0), metres=metres)
    with pytest.raises(ValueError, match="between 0 and"):
        PlaceIndex.of([(0, 0)]).near((0, 0), metres=metres)
