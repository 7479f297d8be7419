"""Why, why not, and what nobody knows: reasons as codes with scalars, to be worded elsewhere.

Every suggestion has at least one "for" in meaning. Every requirement whose fact is not known,
and every practical thing not known, is an "unknown": something to ask.
"""

from __future__ import annotations

from collections.abc import Iterator

from matching.rules import (
    FAR_SHARE,
    FEW_PLACES,
    LOOSE_STRENGTH,
    MOST_OF_BUDGET_SHARE,
    NEAR_SHARE,
    PRIVATE_ROUNDING_METRES,
)
from matching.score import Connections, Mutual
from matching.table import UNKNOWN, OfferTable, offer_times
from matching.values import Offer, Reason, Scalar, Seeker, Side

_ORDER: dict[Side, int] = {"for": 0, "against": 1, "unknown": 2}


def reasons(
    seeker: Seeker,
    table: OfferTable,
    row: int,
    *,
    connections: Connections,
    mutual: Mutual,
    metres: int,
) -> tuple[Reason, ...]:
    """All reasons for one row of the table: for, against, not known, each in a fixed order.

    `metres`: how far it is, or UNKNOWN.
    """
    offer = table.offers[row]
    found = [
        *_meaning(table, row, connections),
        *_mutual(table, row, mutual),
        *_distance(seeker, offer, metres),
        *_time(seeker, offer),
        *_cost(seeker, offer),
        *_places(offer),
        *_facts(seeker, offer),
    ]
    return tuple(sorted(found, key=lambda reason: _ORDER[reason.side]))


def _reason(side: Side, code: str, **params: Scalar) -> Reason:
    return Reason(side=side, code=code, params=params)


def _meaning(table: OfferTable, row: int, connections: Connections) -> Iterator[Reason]:
    """The statements that meet the offer, the strongest first; `passage` is which part of it."""
    offer, passages = table.offers[row], connections.products[:, table.passage_rows(row)]
    strengths = connections.strengths[:, row]
    ranked = sorted(range(len(strengths)), key=lambda k: (-int(strengths[k]), k))
    met = [k for k in ranked if strengths[k] > 0]
    for k in met:
        statement = connections.statements[k]
        yield _reason(
            "for",
            f"{statement.kind}_meets_offer",
            statement_id=statement.id,
            offer_id=offer.id,
            passage=int(passages[k].argmax()),
        )
    if met and strengths[met[0]] < LOOSE_STRENGTH:
        yield _reason("against", "loose_fit", statement_id=connections.statements[met[0]].id)


def _mutual(table: OfferTable, row: int, mutual: Mutual) -> Iterator[Reason]:
    """What the owner asks for that the person brings: the best gift for each wish."""
    if not mutual.gifts:
        return
    for w in (mutual.offer_rows == row).nonzero()[0]:
        best = int(mutual.strengths[:, w].argmax())
        if mutual.strengths[best, w] > 0:
            wish, gift = table.wish_statements[mutual.wish_rows[w]], mutual.gifts[best]
            yield _reason(
                "for",
                f"their_{wish.kind}_meets_your_{gift.kind}",
                statement_id=gift.id,
                their_statement_id=wish.id,
                offer_id=table.offers[row].id,
            )


def _distance(seeker: Seeker, offer: Offer, metres: int) -> Iterator[Reason]:
    if "online" in offer.facts_yes:
        yield _reason("for", "online")
    if seeker.place is None:
        yield _reason("unknown", "own_place")
        return
    if metres == UNKNOWN:
        yield _reason("unknown", "place")
        return
    limit = seeker.travel_limit_metres
    told = metres
    if offer.owner is not None:
        told = min(-(-metres // PRIVATE_ROUNDING_METRES) * PRIVATE_ROUNDING_METRES, limit)
    if _beyond(metres, limit, FAR_SHARE):
        yield _reason("against", "far_side", metres=told, limit_metres=limit)
    elif _beyond(metres, limit, NEAR_SHARE):
        yield _reason("for", "within_reach", metres=told, limit_metres=limit)
    else:
        yield _reason("for", "near", metres=told)


def _time(seeker: Seeker, offer: Offer) -> Iterator[Reason]:
    times, free = offer_times(offer), seeker.free_times
    if times is None:
        yield _reason("unknown", "times")
    elif free is None:
        yield _reason("unknown", "own_times", mask=times)
    else:
        shared, other = times & free, times & ~free
        yield _reason("for", "shared_time", mask=shared)
        if other.bit_count() > shared.bit_count():
            yield _reason("against", "only_some_times", mask=shared, other_mask=other)


def _cost(seeker: Seeker, offer: Offer) -> Iterator[Reason]:
    price, limit = offer.price_pence, seeker.spend_limit_pence
    if price is None:
        yield _reason("unknown", "price")
    elif price == 0:
        yield _reason("for", "free")
    elif limit is None:
        yield _reason("unknown", "own_limit", pence=price)
    elif _beyond(price, limit, MOST_OF_BUDGET_SHARE):
        yield _reason("against", "most_of_budget", pence=price, limit_pence=limit)
    else:
        yield _reason("for", "within_budget", pence=price, limit_pence=limit)


def _places(offer: Offer) -> Iterator[Reason]:
    left = offer.places_left
    if left is None:
        yield _reason("unknown", "places")
    elif left <= FEW_PLACES:
        yield _reason("against", "few_places", places=left)


def _facts(seeker: Seeker, offer: Offer) -> Iterator[Reason]:
    """Each confirmed requirement, met or not known; contrary ones never come this far."""
    known = offer.facts_yes | offer.facts_no
    for need in sorted(
        seeker.requirements, key=lambda each: (each.fact, each.wanted, str(each.statement_id))
    ):
        params: dict[str, Scalar] = {"fact": need.fact, "statement_id": need.statement_id}
        if need.fact not in known:
            yield Reason(side="unknown", code="fact", params={**params, "wanted": need.wanted})
        elif need.wanted:
            yield Reason(side="for", code="need_met", params=params)
        else:
            yield Reason(side="for", code="avoidance_met", params=params)


def _beyond(value: int, limit: int, share: tuple[int, int]) -> bool:
    part, whole = share
    return value * whole > limit * part
