"""One look for one person: gates, points, order, reasons, and what was not found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from matching.explain import reasons
from matching.gates import closed, hidden
from matching.place import Integers
from matching.rules import GATES, WISHES
from matching.score import Connections, components, connect, connect_back, distances
from matching.table import Booleans, OfferTable, pack
from matching.values import Id, MatchResult, Offer, Seeker, Suggestion, Unmet


def match(seeker: Seeker, offers: Iterable[Offer] | OfferTable, *, limit: int = 5) -> MatchResult:
    """Ideas for one person, best first, each with reasons; and each wish nothing was found for.

    An offer is suggested only when a goal, interest or strength truly connects with it and no
    gate closes it. Order: points, then id. Before points decide, each goal and interest that
    anything can answer gets its best offer into the list, while `limit` allows, so that no
    wish is left without either an idea or an honest "nothing here yet".
    Pass a table from `pack` when looking for several people among the same offers.
    Raises ValueError for a negative limit, two offers of one id, or a malformed vector.
    """
    if limit < 0:
        raise ValueError("limit must not be negative")
    table = offers if isinstance(offers, OfferTable) else pack(offers)
    metres = distances(seeker, table)
    connections = connect(seeker, table)
    sight = ~hidden(seeker, table)
    gates = closed(seeker, table, metres)
    passing = sight & ~np.logical_or.reduce(list(gates.values()))
    rows = np.flatnonzero(passing & (connections.strengths > 0).any(axis=0))
    mutual = connect_back(seeker, table, rows)
    parts = components(seeker, table, rows, connections=connections, mutual=mutual, metres=metres)
    points = np.sum(list(parts.values()), axis=0)
    # Rows are in id order, so a stable sort by points alone breaks ties by id.
    order = np.argsort(-points, kind="stable")
    wishes_met = [
        connections.strengths[k, rows] > 0
        for k, statement in enumerate(connections.statements)
        if statement.kind in WISHES
    ]
    return MatchResult(
        person_id=seeker.id,
        suggestions=tuple(
            Suggestion(
                offer_id=table.offers[rows[n]].id,
                points=int(points[n]),
                components={name: int(values[n]) for name, values in parts.items()},
                reasons=reasons(
                    seeker,
                    table,
                    int(rows[n]),
                    connections=connections,
                    mutual=mutual,
                    metres=int(metres[rows[n]]),
                ),
            )
            for n in _chosen(order, wishes_met, limit=limit)
        ),
        unmet=_unmet(connections, sight=sight, passing=passing, gates=gates),
        looked_at=int(sight.sum()),
    )


def _chosen(order: Integers, wishes_met: Sequence[Booleans], *, limit: int) -> list[int]:
    """Which to suggest, best first: the best for each wish, then the best of the rest."""
    firsts: set[int] = set()
    for met in wishes_met:
        firsts.update(order[met[order]][:1].tolist())
    wanted = [n for n in order.tolist() if n in firsts][:limit]
    others = [n for n in order[: limit + len(firsts)].tolist() if n not in firsts]
    taken = {*wanted, *others[: limit - len(wanted)]}
    return [n for n in order.tolist() if n in taken]


def _unmet(
    connections: Connections,
    *,
    sight: Booleans,
    passing: Booleans,
    gates: Mapping[str, Booleans],
) -> tuple[Unmet, ...]:
    """Each goal and interest that no passing offer meets, in the order of ids."""
    found: list[Unmet] = []
    for k, statement in enumerate(connections.statements):
        alike = sight & (connections.strengths[k] > 0)
        if statement.kind not in WISHES or bool((alike & passing).any()):
            continue
        found.append(_why_unmet(statement.id, alike, gates))
    return tuple(found)


def _why_unmet(statement_id: Id, alike: Booleans, gates: Mapping[str, Booleans]) -> Unmet:
    counts = {gate: int((alike & gates[gate]).sum()) for gate in GATES}
    told: dict[str, int] = {gate: count for gate, count in counts.items() if count}
    if not told:
        return Unmet(statement_id=statement_id, kind="nothing_like_it", counts={})
    number_closing = np.sum(list(gates.values()), axis=0)
    alone = {gate: int((alike & gates[gate] & (number_closing == 1)).sum()) for gate in GATES}
    kind = max(GATES, key=lambda gate: (alone[gate], counts[gate], -GATES.index(gate)))
    return Unmet(statement_id=statement_id, kind=kind, counts=told)
