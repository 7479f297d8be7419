"""Points: whole numbers out of 1,000, the sum of five named components.

Meaning combines statements as 1 - (1 - w1*s1)(1 - w2*s2)..., s being the calibrated strength of
a connection, so that more in common never lowers it. Everything is exact integers or single
IEEE operations in the order of statement ids: the same bytes whatever order came in.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from matching.bert import Floats
from matching.place import Integers, distances_metres
from matching.rules import (
    CALIBRATION,
    COST_AT_LIMIT_POINTS,
    GIFTS,
    ONLINE_POINTS,
    SHARED_TIME_POINTS,
    STATEMENT_WEIGHTS,
    UNKNOWN_POINTS,
    WEIGHTS,
)
from matching.table import UNKNOWN, OfferTable
from matching.text import UNIT, stack
from matching.values import Seeker, Statement


@dataclass(frozen=True, slots=True)
class Connections:
    """How strongly a person's statements meet offers, in thousandths; 0 is no connection.

    `strengths[k, n]`: statement k and offer n (row of the table); `products[k, p]`: the exact
    dot product behind it, for each passage p. Statements are in the order of their ids.
    """

    statements: tuple[Statement, ...]
    strengths: Integers
    products: Integers


@dataclass(frozen=True, slots=True)
class Mutual:
    """What owners ask for and the person brings: `strengths[k, w]`, gift k and wish w.

    `wish_rows[w]` is a row of the table's wishes, and `offer_rows[w]` whose offer it is.
    """

    gifts: tuple[Statement, ...]
    wish_rows: Integers
    offer_rows: Integers
    strengths: Integers


def calibrated(dots: Integers) -> Integers:
    """Exact dot products to strengths in thousandths: 0 below the threshold, never falling."""
    knots = [(cosine * UNIT // 1000, strength) for cosine, strength in CALIBRATION]
    strengths = np.zeros_like(dots)
    for (low, weak), (high, strong) in itertools.pairwise(knots):
        line = weak + (dots - low) * (strong - weak) // (high - low)
        strengths = np.where(dots >= low, np.minimum(line, strong), strengths)
    return strengths


def connect(seeker: Seeker, table: OfferTable) -> Connections:
    """Compare what the person said with every offer."""
    spoken = _of_kinds(seeker, tuple(STATEMENT_WEIGHTS))
    products = _products(spoken, table.vectors)
    if len(table) == 0 or not spoken:
        best = np.zeros((len(spoken), len(table)), dtype=np.int64)
    else:
        best = np.maximum.reduceat(products, table.starts, axis=1)
    return Connections(statements=spoken, strengths=calibrated(best), products=products)


def connect_back(seeker: Seeker, table: OfferTable, rows: Integers) -> Mutual:
    """Compare what the person brings with what the owners of some offers ask for."""
    gifts = _of_kinds(seeker, GIFTS)
    wish_rows = np.flatnonzero(np.isin(table.wish_rows, rows))
    wishes = np.ascontiguousarray(table.wishes[wish_rows].T)
    return Mutual(
        gifts=gifts,
        wish_rows=wish_rows,
        offer_rows=table.wish_rows[wish_rows],
        strengths=calibrated(_products(gifts, wishes)),
    )


def distances(seeker: Seeker, table: OfferTable) -> Integers:
    """Whole metres to every offer; UNKNOWN where either place is not known."""
    if seeker.place is None:
        return np.full(len(table), UNKNOWN, dtype=np.int64)
    metres = distances_metres(table.places, seeker.place)
    return np.where(table.place_known, metres, UNKNOWN)


def components(
    seeker: Seeker,
    table: OfferTable,
    rows: Integers,
    *,
    connections: Connections,
    mutual: Mutual,
    metres: Integers,
) -> dict[str, Integers]:
    """Points of the offers at `rows` by component, in the order of rules.WEIGHTS."""
    return {
        "meaning": _meaning_points(connections, rows),
        "distance": _distance_points(seeker, table, rows, metres[rows]),
        "time": _time_points(seeker, table.times[rows]),
        "cost": _cost_points(seeker, table.price_pence[rows]),
        "mutual": _mutual_points(table, rows, connections, mutual),
    }


def _of_kinds(seeker: Seeker, kinds: Sequence[str]) -> tuple[Statement, ...]:
    ordered = sorted(seeker.statements, key=lambda statement: str(statement.id))
    return tuple(statement for statement in ordered if statement.kind in kinds)


def _products(statements: Sequence[Statement], columns: Floats) -> Integers:
    """Dot products, shape (statements, columns): float32 holding whole numbers, so exact."""
    return (stack([each.vector for each in statements]) @ columns).astype(np.int64)


def _meaning_points(connections: Connections, rows: Integers) -> Integers:
    left = np.ones(len(rows), dtype=np.float64)
    for k, statement in enumerate(connections.statements):
        # One product per statement, in id order: rounding can never make it grow.
        met = connections.strengths[k, rows] * STATEMENT_WEIGHTS[statement.kind]
        left = left * (1.0 - met / 1_000_000)
    return np.rint(WEIGHTS["meaning"] * (1.0 - left)).astype(np.int64)


def _distance_points(
    seeker: Seeker, table: OfferTable, rows: Integers, metres: Integers
) -> Integers:
    """All at the door, falling evenly to none at the person's own travel limit."""
    most, limit = WEIGHTS["distance"], max(seeker.travel_limit_metres, 1)
    known = np.clip(most * (limit - metres) // limit, 0, most)
    points = np.where(metres == UNKNOWN, UNKNOWN_POINTS["distance"], known)
    online = table.facts_yes.get("online")
    if online is None:
        return points
    return np.where(online[rows], np.maximum(points, ONLINE_POINTS), points)


def _time_points(seeker: Seeker, times: Integers) -> Integers:
    if seeker.free_times is None:
        return np.full(len(times), UNKNOWN_POINTS["time"], dtype=np.int64)
    shared = np.bitwise_count(np.where(times == UNKNOWN, 0, times) & seeker.free_times)
    steps = np.array(SHARED_TIME_POINTS, dtype=np.int64)
    points = steps[np.minimum(shared, len(steps) - 1)]
    return np.where(times == UNKNOWN, UNKNOWN_POINTS["time"], points)


def _cost_points(seeker: Seeker, price: Integers) -> Integers:
    """All when free, falling evenly to COST_AT_LIMIT_POINTS at the person's own limit."""
    most = WEIGHTS["cost"]
    unknown = np.full(len(price), UNKNOWN_POINTS["cost"], dtype=np.int64)
    limit = seeker.spend_limit_pence
    if not limit:
        return np.where(price == 0, most, unknown)
    paid = np.maximum(most - (most - COST_AT_LIMIT_POINTS) * price // limit, 0)
    return np.where(price == UNKNOWN, unknown, paid)


def _mutual_points(
    table: OfferTable, rows: Integers, connections: Connections, mutual: Mutual
) -> Integers:
    """What the other side gains: an owner's wishes met by the person's gifts.

    Without an owner nobody's wish is known: what the person is good at, met by the offer
    itself, then stands for being useful there.
    """
    met = np.zeros(len(table), dtype=np.int64)
    for k, statement in enumerate(connections.statements):
        if statement.kind == "strength":
            met = np.maximum(met, connections.strengths[k])
    met = np.where(table.owned, 0, met)
    if mutual.strengths.size:
        np.maximum.at(met, mutual.offer_rows, mutual.strengths.max(axis=0))
    return met[rows] * WEIGHTS["mutual"] // 1000
