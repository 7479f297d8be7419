"""Gates: what is never suggested, what is never told, and what was in the way."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from matching_make import (
    STRETFORD,
    THURSDAY_MORNING,
    codes,
    offer,
    person,
    said,
)

from matching import Offer, Requirement, match
from matching.rules import GATES

NEEDS_RAMP = (Requirement(fact="step_free", wanted=True, statement_id="ramp"),)
NO_DOGS = (Requirement(fact="dogs", wanted=False, statement_id="no-dogs"),)

CLOSED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "not_confirmed": ({}, {"confirmed": False}),
    "full": ({}, {"places_left": 0}),
    "access": ({"requirements": NEEDS_RAMP}, {"facts_no": frozenset({"step_free"})}),
    "avoided": ({"requirements": NO_DOGS}, {"facts_yes": frozenset({"dogs"})}),
    "too_far": ({"travel_limit_metres": 1_999}, {}),
    "not_then": ({}, {"times": THURSDAY_MORNING}),
    "costs_too_much": ({}, {"price_pence": 1_001}),
}


def test_there_is_a_case_here_for_every_gate() -> None:
    assert set(CLOSED) == set(GATES)


@pytest.mark.parametrize("gate", CLOSED)
def test_a_closed_offer_is_not_suggested_and_the_wish_says_what_was_in_the_way(gate: str) -> None:
    about_person, about_offer = CLOSED[gate]
    seeker = person(**about_person)
    result = match(seeker, [offer(**about_offer)])
    assert result.suggestions == ()
    (unmet,) = result.unmet
    assert (unmet.kind, dict(unmet.counts)) == (gate, {gate: 1})
    assert result.looked_at == 1
    # The same offer without the obstacle is suggested: nothing but the gate closed it.
    assert match(person(), [offer()]).suggestions


@pytest.mark.parametrize(
    ("about_person", "about_offer"),
    [
        ({"travel_limit_metres": 2_000}, {}),
        ({"spend_limit_pence": 500}, {"price_pence": 500}),
        ({"spend_limit_pence": 0}, {"price_pence": 0}),
        ({}, {"places_left": 1}),
        ({"requirements": NEEDS_RAMP}, {"facts_yes": frozenset({"step_free"})}),
        ({"requirements": NO_DOGS}, {"facts_no": frozenset({"dogs"})}),
    ],
)
def test_the_edge_of_a_limit_is_inside_it(
    about_person: dict[str, Any], about_offer: dict[str, Any]
) -> None:
    assert match(person(**about_person), [offer(**about_offer)]).suggestions


def test_something_online_is_never_too_far() -> None:
    far = (STRETFORD[0] + 300_000, STRETFORD[1])
    assert not match(person(), [offer(place=far)]).suggestions
    (idea,) = match(person(), [offer(place=far, facts_yes=frozenset({"online"}))]).suggestions
    assert "online" in codes(idea.reasons, "for")


UNKNOWN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "own_place": ({"place": None}, {}),
    "place": ({}, {"place": None}),
    "own_times": ({"free_times": None}, {}),
    "times": ({}, {"times": None}),
    "own_limit": ({"spend_limit_pence": None}, {"price_pence": 300}),
    "price": ({}, {"price_pence": None}),
    "places": ({}, {"places_left": None}),
    "fact": ({"requirements": NEEDS_RAMP}, {}),
}


@pytest.mark.parametrize("question", UNKNOWN)
def test_what_is_not_known_never_closes_and_is_always_named(question: str) -> None:
    about_person, about_offer = UNKNOWN[question]
    (idea,) = match(person(**about_person), [offer(**about_offer)]).suggestions
    assert codes(idea.reasons, "unknown") == [question]


@pytest.mark.parametrize("question", [q for q in UNKNOWN if q not in ("places", "fact")])
def test_what_is_not_known_scores_below_a_good_answer(question: str) -> None:
    about_person, about_offer = UNKNOWN[question]
    (unknown,) = match(person(**about_person), [offer(**about_offer)]).suggestions
    (known,) = match(person(), [offer()]).suggestions
    assert unknown.points < known.points


def test_a_persons_own_offer_is_never_suggested_to_them_nor_counted() -> None:
    mine = offer(owner=person("person"))
    result = match(person("person"), [mine])
    assert (result.suggestions, result.looked_at) == ((), 0)


@pytest.mark.parametrize(
    ("about_person", "about_offer"),
    [
        ({"blocked": frozenset({"offer"})}, {}),
        ({"blocked": frozenset({"kay"})}, {"owner": person("kay")}),
        ({}, {"owner": person("kay", blocked=frozenset({"person"}))}),
        ({}, {"approved": False}),
        ({}, {"approved": False, "places_left": 0}),
        ({"blocked": frozenset({"offer"})}, {"times": THURSDAY_MORNING}),
    ],
)
def test_what_is_blocked_by_either_side_or_not_approved_leaves_no_trace(
    about_person: dict[str, Any], about_offer: dict[str, Any]
) -> None:
    # A count of one would tell a person that somebody has blocked them.
    result = match(person(**about_person), [offer(**about_offer)])
    assert (result.suggestions, result.looked_at) == ((), 0)
    assert [(u.kind, dict(u.counts)) for u in result.unmet] == [("nothing_like_it", {})]


def test_a_block_holds_whether_ids_are_uuids_or_their_text() -> None:
    kay = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
    theirs = offer(owner=person(str(kay)))
    assert match(person(blocked=frozenset({kay})), [theirs]).suggestions == ()


def test_an_unmet_wish_names_the_gate_whose_opening_alone_would_help_most() -> None:
    far = (STRETFORD[0] + 9_000, STRETFORD[1])
    offers = [
        offer("a", place=far, times=THURSDAY_MORNING),
        offer("b", place=far, times=THURSDAY_MORNING),
        offer("c", price_pence=5_000),
        offer("d", "knitting"),
    ]
    (unmet,) = match(person(), offers).unmet
    # Two are both too far and at the wrong time: neither change alone would open them.
    assert dict(unmet.counts) == {"too_far": 2, "not_then": 2, "costs_too_much": 1}
    assert unmet.kind == "costs_too_much"


def test_a_wish_that_nothing_is_like_says_so_and_a_strength_is_never_unmet() -> None:
    seeker = person(
        "person",
        said("g", "goal", "flying"),
        said("i", "interest", "bees"),
        said("s", "strength", "joinery"),
    )
    result = match(seeker, [offer()])
    assert [(u.statement_id, u.kind) for u in result.unmet] == [
        ("g", "nothing_like_it"),
        ("i", "nothing_like_it"),
    ]


def test_a_wish_that_one_offer_meets_is_not_unmet_though_others_are_closed() -> None:
    assert match(person(), [offer("a"), offer("b", places_left=0)]).unmet == ()


def test_a_fact_that_is_both_yes_and_no_is_refused() -> None:
    with pytest.raises(ValueError, match="both yes and no"):
        Offer(id="x", kind="c", vectors=(), facts_yes=frozenset("a"), facts_no=frozenset("a"))


@pytest.mark.parametrize(
    "wrong",
    [{"times": -1}, {"price_pence": -5}, {"places_left": -1}, {"place": (9_000_000, 0)}],
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"whole numbers|Grid"):
        offer(**wrong)
