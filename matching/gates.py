"""What closes an offer to a person before any scoring. Not known never closes, never passes
unnamed: it becomes a question in `explain`.

Two kinds. *Hidden*: one's own offer, not approved, blocked on either side; a person is never
told that these exist. *Told* (rules.GATES): reasons that a person may hear and change. Consent
is decided before this package: only consented statements and offers are passed in.
"""

from __future__ import annotations

import numpy as np

from matching.place import Integers
from matching.rules import GATES
from matching.table import UNKNOWN, Booleans, OfferTable
from matching.values import Seeker


def hidden(seeker: Seeker, table: OfferTable) -> Booleans:
    """Offers that stay out of sight: own, not approved, or blocked by either side."""
    out = ~table.approved
    me = str(seeker.id)
    rows = [*table.rows_owned_by.get(me, ()), *table.rows_closed_to.get(me, ())]
    for blocked in map(str, seeker.blocked):
        rows.extend(table.rows_owned_by.get(blocked, ()))
        if blocked in table.row_of:
            rows.append(table.row_of[blocked])
    out[rows] = True
    return out


def closed(seeker: Seeker, table: OfferTable, distances: Integers) -> dict[str, Booleans]:
    """For each gate of rules.GATES, which offers it closes. `distances`: UNKNOWN where unknown."""
    no_distance = distances == UNKNOWN
    online = table.facts_yes.get("online", np.zeros(len(table), dtype=np.bool_))
    found = {
        "not_confirmed": ~table.confirmed,
        "full": table.places_left == 0,
        "access": _contrary(seeker, table, wanted=True),
        "avoided": _contrary(seeker, table, wanted=False),
        "too_far": ~no_distance & ~online & (distances > seeker.travel_limit_metres),
        "not_then": _no_shared_time(seeker, table),
        "costs_too_much": _too_dear(seeker, table),
    }
    return {gate: found[gate] for gate in GATES}


def _contrary(seeker: Seeker, table: OfferTable, *, wanted: bool) -> Booleans:
    """Known to be the opposite of what the person confirmed they need or avoid."""
    out = np.zeros(len(table), dtype=np.bool_)
    opposite = table.facts_no if wanted else table.facts_yes
    for requirement in seeker.requirements:
        if requirement.wanted is wanted and requirement.fact in opposite:
            out |= opposite[requirement.fact]
    return out


def _no_shared_time(seeker: Seeker, table: OfferTable) -> Booleans:
    if seeker.free_times is None:
        return np.zeros(len(table), dtype=np.bool_)
    disjoint: Booleans = (table.times != UNKNOWN) & ((table.times & seeker.free_times) == 0)
    return disjoint


def _too_dear(seeker: Seeker, table: OfferTable) -> Booleans:
    if seeker.spend_limit_pence is None:
        return np.zeros(len(table), dtype=np.bool_)
    # UNKNOWN is below every limit, so an unknown price never closes.
    dear: Booleans = table.price_pence > seeker.spend_limit_pence
    return dear
