"""Reasons: codes and scalars for, against and not known, with something said in favour."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from matching_make import (
    STRETFORD,
    THURSDAY_MORNING,
    TUESDAY_EVENING,
    codes,
    offer,
    person,
    said,
)

from matching import Reason, Requirement, match


def reasons(seeker: Any, thing: Any) -> tuple[Reason, ...]:
    (idea,) = match(seeker, [thing]).suggestions
    return idea.reasons


def test_a_plain_good_fit_is_told_in_full() -> None:
    assert reasons(person(), offer()) == (
        Reason(
            "for",
            "goal_meets_offer",
            {"statement_id": "wants-dance", "offer_id": "offer", "passage": 0},
        ),
        Reason("for", "near", {"metres": 2_000}),
        Reason("for", "shared_time", {"mask": TUESDAY_EVENING}),
        Reason("for", "free", {}),
    )


def test_the_passage_named_is_the_one_that_met_the_wish() -> None:
    assert reasons(person(), offer("offer", "tea", "dance", "cake"))[0].params["passage"] == 1


@pytest.mark.parametrize("kind", ["goal", "interest", "strength"])
def test_each_kind_of_statement_has_its_own_code(kind: str) -> None:
    (first, *_) = reasons(person("person", said("s", kind, "dance")), offer())
    assert first.code == f"{kind}_meets_offer"


def test_the_strongest_connection_comes_first() -> None:
    seeker = person(
        "person", said("a", "interest", "dance", cosine=0.5), said("b", "interest", "dance")
    )
    found = reasons(seeker, offer())
    assert [each.params["statement_id"] for each in found[:2]] == ["b", "a"]


def test_a_loose_fit_says_so() -> None:
    seeker = person("person", said("g", "goal", "dance", cosine=0.46))
    assert codes(reasons(seeker, offer()), "against") == ["loose_fit"]


@pytest.mark.parametrize(
    ("metres", "side", "code"),
    [
        (4_000, "for", "near"),
        (4_001, "for", "within_reach"),
        (6_000, "for", "within_reach"),
        (6_001, "against", "far_side"),
    ],
)
def test_distance_is_told_against_the_persons_own_limit(metres: int, side: str, code: str) -> None:
    place = (STRETFORD[0] + metres, STRETFORD[1])
    assert code in codes(reasons(person(), offer(place=place)), side)


def test_the_distance_to_another_person_is_told_only_in_whole_kilometres() -> None:
    place = (STRETFORD[0] + 1_234, STRETFORD[1])
    theirs = offer(place=None, owner=person("kay", place=place))
    (near,) = [each for each in reasons(person(), theirs) if each.code == "near"]
    assert near.params["metres"] == 2_000


def test_a_rounded_distance_never_seems_beyond_the_limit() -> None:
    place = (STRETFORD[0] + 7_100, STRETFORD[1])
    theirs = offer(place=None, owner=person("kay", place=place))
    seeker = person(travel_limit_metres=7_500)
    (far,) = [each for each in reasons(seeker, theirs) if each.code == "far_side"]
    assert far.params == {"metres": 7_500, "limit_metres": 7_500}


def test_times_that_the_person_cannot_make_are_told() -> None:
    thing = offer(times=TUESDAY_EVENING | THURSDAY_MORNING | THURSDAY_MORNING << 1)
    (some,) = [each for each in reasons(person(), thing) if each.code == "only_some_times"]
    assert some.params == {
        "mask": TUESDAY_EVENING,
        "other_mask": THURSDAY_MORNING | THURSDAY_MORNING << 1,
    }


@pytest.mark.parametrize(
    ("pence", "side", "code"),
    [(0, "for", "free"), (750, "for", "within_budget"), (751, "against", "most_of_budget")],
)
def test_cost_is_told_against_the_persons_own_limit(pence: int, side: str, code: str) -> None:
    assert code in codes(reasons(person(), offer(price_pence=pence)), side)


@pytest.mark.parametrize(("left", "told"), [(1, True), (2, True), (3, False)])
def test_few_places_left_are_told(left: int, told: bool) -> None:
    assert ("few_places" in codes(reasons(person(), offer(places_left=left)), "against")) is told


def test_needs_and_avoidances_are_told_as_met_or_asked() -> None:
    seeker = person(
        requirements=(
            Requirement("step_free", True, "ramp"),
            Requirement("dogs", False, "no-dogs"),
            Requirement("crowds", False, "no-crowds"),
        )
    )
    thing = offer(facts_yes=frozenset({"step_free"}), facts_no=frozenset({"dogs"}))
    found = reasons(seeker, thing)
    assert {"need_met", "avoidance_met"} <= set(codes(found, "for"))
    (question,) = [each for each in found if each.side == "unknown"]
    assert question == Reason(
        "unknown", "fact", {"fact": "crowds", "statement_id": "no-crowds", "wanted": False}
    )


def test_what_the_other_person_asks_for_is_met_by_what_this_person_brings() -> None:
    kay = person(
        "kay",
        said("kay-wants", "goal", "dance partner"),
        said("kay-likes", "interest", "soul"),
        said("kay-good", "strength", "baking"),
    )
    nadia = person(
        "nadia",
        said("g", "goal", "dance"),
        said("s", "strength", "dance partner"),
        said("i", "interest", "soul"),
    )
    found = reasons(nadia, offer(owner=kay))
    assert [each.code for each in found if each.code.startswith("their_")] == [
        "their_interest_meets_your_interest",
        "their_goal_meets_your_strength",
    ]
    with_kay = match(nadia, [offer(owner=kay)]).suggestions[0]
    without = match(person("nadia", said("g", "goal", "dance")), [offer(owner=kay)]).suggestions[0]
    assert (with_kay.components["mutual"], without.components["mutual"]) == (50, 0)


def test_an_owners_place_and_times_stand_in_for_those_of_the_offer() -> None:
    kay = person("kay", place=STRETFORD, free_times=TUESDAY_EVENING)
    found = reasons(person(), offer(place=None, times=None, owner=kay))
    assert codes(found, "unknown") == []
    elsewhere = person("kay", free_times=THURSDAY_MORNING)
    assert match(person(), [offer(times=None, owner=elsewhere)]).suggestions == ()


def test_ids_go_in_and_come_out_as_they_are() -> None:
    identifier = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
    (idea,) = match(person(), [offer(identifier)]).suggestions  # type: ignore[arg-type]
    assert idea.offer_id is identifier
    assert idea.reasons[0].params["offer_id"] is identifier
