"""The laws of a look, over made-up towns: order never matters, more in common never hurts."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matching_make import STRETFORD, offer, person, said, vector

from matching import MatchResult, Offer, Requirement, Seeker, Statement, match, pack
from matching.rules import GATES, WEIGHTS
from matching.score import calibrated, connect
from matching.table import OfferTable

TOPICS = ("dance", "bread", "chess")
FACTS = ("step_free", "dogs", "crowds", "online")

EVERYTHING = (1 << 35) - 1
NAMES = ("ann", "bel", "cat", "dai", "eve")

# Most draws leave the way open, so that most worlds hold suggestions to be tested, and a shut gate
# is an exception, as in life.
masks = st.sampled_from([None, EVERYTHING, EVERYTHING, 0b1011 << 8, 0b0110 << 8, 1 << 30])
pence = st.sampled_from([None, 0, 0, 300, 999, 1_000, 1_001])
near = st.integers(-4_000, 4_000)
places = st.none() | st.tuples(
    near.map(lambda metres: STRETFORD[0] + metres), near.map(lambda metres: STRETFORD[1] + metres)
)
vectors = st.sampled_from(
    [vector(topic, cosine=cosine) for topic in TOPICS for cosine in (1.0, 0.7, 0.55, 0.47, 0.2)]
)
kinds = st.sampled_from(["strength", "goal", "interest", "avoidance", "access_need"])
needs = st.builds(
    Requirement,
    fact=st.sampled_from(FACTS),
    wanted=st.booleans(),
    statement_id=st.sampled_from(["n1", "n2"]),
)


@st.composite
def seekers(draw: st.DrawFn, name: str | None = None) -> Seeker:
    said_ = draw(st.lists(st.tuples(kinds, vectors), min_size=1, max_size=4))
    return Seeker(
        id=name or draw(st.sampled_from(NAMES)),
        statements=tuple(Statement(f"s{n}", kind, v) for n, (kind, v) in enumerate(said_)),
        requirements=tuple(draw(st.lists(needs, max_size=2))),
        place=draw(places),
        travel_limit_metres=draw(st.sampled_from([0, 3_000, 8_000, 20_000])),
        free_times=draw(masks),
        spend_limit_pence=draw(pence),
        blocked=draw(st.frozensets(st.sampled_from([*NAMES, "o1", "o4"]), max_size=1)),
    )


@st.composite
def offers(draw: st.DrawFn, identifier: str = "o0") -> Offer:
    facts = draw(st.dictionaries(st.sampled_from(FACTS), st.booleans()))
    return Offer(
        id=identifier,
        kind="community",
        vectors=tuple(draw(st.lists(vectors, min_size=1, max_size=3))),
        place=draw(places),
        times=draw(masks),
        price_pence=draw(pence),
        places_left=draw(st.sampled_from([None, 9, 9, 1, 0])),
        facts_yes=frozenset(fact for fact, known in facts.items() if known),
        facts_no=frozenset(fact for fact, known in facts.items() if not known),
        owner=draw(st.none() | seekers()),
        confirmed=draw(st.sampled_from([True, True, True, False])),
        approved=draw(st.sampled_from([True, True, True, False])),
    )


@st.composite
def towns(draw: st.DrawFn) -> list[Offer]:
    size = draw(st.integers(2, 8))
    return [draw(offers(f"o{n}")) for n in range(size)]


a_short_round = settings(max_examples=60, deadline=None)


def points(result: MatchResult) -> dict[Any, int]:
    return {idea.offer_id: idea.points for idea in result.suggestions}


@a_short_round
@given(seeker=seekers(), town=towns(), shuffler=st.randoms(use_true_random=False))
def test_the_order_of_what_goes_in_never_changes_what_comes_out(
    seeker: Seeker, town: list[Offer], shuffler: random.Random
) -> None:
    first = match(seeker, town)
    shuffler.shuffle(town)
    said_, needed = list(seeker.statements), list(seeker.requirements)
    shuffler.shuffle(said_)
    shuffler.shuffle(needed)
    again = dataclasses.replace(seeker, statements=tuple(said_), requirements=tuple(needed))
    assert repr(match(again, town)) == repr(first)
    assert repr(match(again, pack(town))) == repr(first)


@a_short_round
@given(seeker=seekers(), town=towns())
def test_every_suggestion_keeps_every_law(seeker: Seeker, town: list[Offer]) -> None:
    result = match(seeker, town)
    by_id = {each.id: each for each in town}
    assert len(result.suggestions) <= 5
    assert [idea.points for idea in result.suggestions] == sorted(
        (idea.points for idea in result.suggestions), reverse=True
    )
    for idea in result.suggestions:
        thing = by_id[idea.offer_id]
        assert sum(idea.components.values()) == idea.points
        assert list(idea.components) == list(WEIGHTS)
        assert all(0 <= idea.components[name] <= most for name, most in WEIGHTS.items())
        assert any(each.side == "for" and "_meets_" in each.code for each in idea.reasons)
        assert thing.confirmed
        assert thing.approved
        assert thing.places_left != 0
        assert thing.id not in seeker.blocked
        if thing.owner is not None:
            assert thing.owner.id != seeker.id
            assert thing.owner.id not in seeker.blocked
            assert seeker.id not in thing.owner.blocked
        asked = {
            (each.params["fact"], each.params["statement_id"])
            for each in idea.reasons
            if each.side == "unknown" and each.code == "fact"
        }
        for need in seeker.requirements:
            contrary = thing.facts_no if need.wanted else thing.facts_yes
            assert need.fact not in contrary
            known = need.fact in thing.facts_yes | thing.facts_no
            assert known or (need.fact, need.statement_id) in asked


@a_short_round
@given(seeker=seekers(), town=towns())
def test_every_wish_has_an_idea_or_a_typed_nothing_here_yet(
    seeker: Seeker, town: list[Offer]
) -> None:
    result = match(seeker, town, limit=len(town))
    unmet = {each.statement_id for each in result.unmet}
    answered = {
        reason.params["statement_id"]
        for idea in result.suggestions
        for reason in idea.reasons
        if reason.code in ("goal_meets_offer", "interest_meets_offer")
    }
    wishes = {each.id for each in seeker.statements if each.kind in ("goal", "interest")}
    assert unmet | answered == wishes
    assert unmet.isdisjoint(answered)
    for each in result.unmet:
        assert each.kind in (*GATES, "nothing_like_it")
        assert (each.kind == "nothing_like_it") is (not each.counts)
        assert each.kind == "nothing_like_it" or each.counts[each.kind] > 0


@a_short_round
@given(seeker=seekers(), town=towns(), kind=st.sampled_from(["goal", "interest", "strength"]))
def test_more_in_common_never_lowers_points(seeker: Seeker, town: list[Offer], kind: Any) -> None:
    more = dataclasses.replace(seeker, statements=(*seeker.statements, said("more", kind, "dance")))
    before, after = (points(match(each, town, limit=99)) for each in (seeker, more))
    assert before.keys() <= after.keys()
    assert all(after[each] >= before[each] for each in before)


@a_short_round
@given(
    seeker=seekers(),
    town=towns(),
    kind=st.sampled_from(["avoidance", "access_need"]),
    fact=st.sampled_from(FACTS),
)
def test_an_avoidance_or_a_need_never_adds_an_offer_or_a_point(
    seeker: Seeker, town: list[Offer], kind: Any, fact: str
) -> None:
    strict = dataclasses.replace(
        seeker,
        statements=(*seeker.statements, said("strict", kind, "dance")),
        requirements=(*seeker.requirements, Requirement(fact, kind == "access_need", "strict")),
    )
    before, after = (points(match(each, town, limit=99)) for each in (seeker, strict))
    assert after.items() <= before.items()


@a_short_round
@given(seeker=seekers(), thing=offers(), data=st.data())
def test_nearer_cheaper_or_more_shared_times_never_lowers_points(
    seeker: Seeker, thing: Offer, data: st.DataObject
) -> None:
    before = points(match(seeker, [thing]))
    better = [thing]
    if seeker.place is not None and thing.place is not None:
        share = data.draw(st.integers(0, 10))
        x, y = ((b - a) * share // 10 + a for a, b in zip(seeker.place, thing.place, strict=True))
        # Whole metres: rounding down may step one metre the wrong way.
        if abs(x - seeker.place[0]) <= abs(thing.place[0] - seeker.place[0]) and abs(
            y - seeker.place[1]
        ) <= abs(thing.place[1] - seeker.place[1]):
            better.append(dataclasses.replace(thing, place=(x, y)))
    if thing.price_pence is not None:
        cheaper = data.draw(st.integers(0, thing.price_pence))
        better.append(dataclasses.replace(thing, price_pence=cheaper))
    if thing.times is not None and seeker.free_times is not None:
        more = thing.times | (data.draw(st.integers(0, (1 << 35) - 1)) & seeker.free_times)
        better.append(dataclasses.replace(thing, times=more))
    for each in better:
        after = points(match(seeker, [each]))
        assert all(after.get(key, -1) >= value for key, value in before.items())


@a_short_round
@given(seeker=seekers(), town=towns(), limit=st.integers(0, 4))
def test_a_shorter_list_holds_only_what_the_full_list_holds(
    seeker: Seeker, town: list[Offer], limit: int
) -> None:
    full, short = points(match(seeker, town, limit=99)), match(seeker, town, limit=limit)
    assert len(short.suggestions) == min(limit, len(full))
    assert points(short).items() <= full.items()


def test_ties_are_broken_by_id() -> None:
    town = [offer(each) for each in ("c", "a", "d", "b")]
    found = match(person(), town, limit=3)
    assert [idea.offer_id for idea in found.suggestions] == ["a", "b", "c"]


def test_each_wish_gets_its_best_offer_before_points_fill_the_list() -> None:
    seeker = person(
        "person", said("a", "goal", "dance"), said("b", "interest", "chess", cosine=0.5)
    )
    town = [*(offer(f"dance-{n}") for n in range(6)), offer("chess", "chess")]
    found = match(seeker, town, limit=3)
    assert [idea.offer_id for idea in found.suggestions] == ["dance-0", "dance-1", "chess"]


def test_nobody_without_statements_is_suggested_anything() -> None:
    result = match(Seeker(id="quiet"), [offer("a"), offer("b", owner=person("kay"))])
    assert result == MatchResult(person_id="quiet", suggestions=(), unmet=(), looked_at=2)


def test_an_empty_town_leaves_every_wish_unmet() -> None:
    result = match(person(), [])
    assert [each.kind for each in result.unmet] == ["nothing_like_it"]
    assert result.looked_at == 0


def test_an_offer_without_words_is_looked_at_and_not_suggested() -> None:
    result = match(person(), [offer("a"), Offer(id="b", kind="community", vectors=())])
    assert [idea.offer_id for idea in result.suggestions] == ["a"]
    assert result.looked_at == 2


def test_two_offers_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="same id"):
        pack([offer("a"), offer("a")])


def test_two_statements_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="same id"):
        person("person", said("a", "goal", "dance"), said("a", "goal", "chess"))


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="limit"):
        match(person(), [], limit=-1)


def test_the_weights_sum_to_a_thousand() -> None:
    assert sum(WEIGHTS.values()) == 1_000


def test_the_calibration_never_falls_and_stays_between_nothing_and_all() -> None:
    strengths = calibrated(np.arange(-17_000, 17_000, dtype=np.int64))
    assert (np.diff(strengths) >= 0).all()
    assert (strengths.min(), strengths.max()) == (0, 1_000)


def _big_town(size: int) -> OfferTable:
    rng = random.Random(5)
    pool = [vector(f"topic {n}", cosine=0.9) for n in range(300)]
    return pack(
        offer(
            f"offer-{n:05}",
            place=(STRETFORD[0] + rng.randint(-9_000, 9_000), STRETFORD[1]),
            price_pence=rng.choice([None, 0, 300, 2_000]),
        )
        if n % 50 == 0
        else Offer(id=f"offer-{n:05}", kind="community", vectors=tuple(rng.sample(pool, 2)))
        for n in range(size)
    )


def test_a_look_among_thousands_gives_the_same_as_a_look_among_the_few_that_matter() -> None:
    table = _big_town(3_000)
    alike = connect(person(), table).strengths[0] > 0
    few = [each for each, near in zip(table.offers, alike, strict=True) if near]
    assert 10 < len(few) < 200
    assert match(person(), table).suggestions == match(person(), few).suggestions
