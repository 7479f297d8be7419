"""How well everyday words find what they mean, on a set judged before any model ran over it.

`judged.json`: 70 statements, 84 offers, 173 grades. The half called "tune" chose the threshold;
"held" only reports, but its mistakes had been read once before `essence` was written, so it is
not blind to that. The floors asserted lie well below what is reached (given beside each).
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from matching import Offer, Seeker, Statement, match, pack
from matching.metrics import ndcg, precision
from matching.score import connect
from matching.text import MiniLM, embed_offer, embed_statements

SET = json.loads((Path(__file__).parent / "judged.json").read_text("utf-8"))
STATEMENTS: list[dict[str, Any]] = SET["statements"]
WITH_ANSWER = [each for each in STATEMENTS if each["grades"]]
GRADES = {
    (statement["id"], offer): grade
    for statement in STATEMENTS
    for offer, grade in statement["grades"].items()
}


@dataclass(frozen=True)
class Found:
    """What the library made of the judged set."""

    rankings: dict[str, list[str]]
    suggested: list[tuple[str, str]]


@pytest.fixture(scope="module")
def found(minilm: MiniLM) -> Found:
    """All rankings by likeness, and what `match` suggests for each statement on its own."""
    table = pack(
        Offer(
            id=each["id"],
            kind=each["kind"],
            vectors=embed_offer(minilm, name=each["name"], text=each["text"]),
        )
        for each in SET["offers"]
    )
    vectors = embed_statements(minilm, [each["text"] for each in STATEMENTS])
    rankings, suggested = {}, []
    for each, vector in zip(STATEMENTS, vectors, strict=True):
        statement = Statement(id=each["id"], kind=each["kind"], vector=vector)
        person = Seeker(id=f"person of {each['id']}", statements=(statement,))
        products = connect(person, table).products[0]
        best = {
            offer.id: int(products[table.passage_rows(row)].max())
            for row, offer in enumerate(table.offers)
        }
        rankings[each["id"]] = sorted(best, key=lambda key: (-best[key], key))
        suggested += [(each["id"], str(idea.offer_id)) for idea in match(person, table).suggestions]
    return Found(rankings, suggested)


def _mean_ndcg(rankings: dict[str, list[str]], statements: list[dict[str, Any]]) -> float:
    return sum(ndcg(rankings[each["id"]], each["grades"]) for each in statements) / len(statements)


def _by_shared_words() -> dict[str, list[str]]:
    """The plainest rival: offers by how many words of four letters or more they share."""

    def words(text: str) -> set[str]:
        return {word.casefold() for word in re.findall(r"\w{4,}", text)}

    about = {each["id"]: words(f"{each['name']} {each['text']}") for each in SET["offers"]}
    return {
        each["id"]: sorted(about, key=lambda key: (-len(about[key] & words(each["text"])), key))
        for each in STATEMENTS
    }


@pytest.mark.parametrize("half", ["tune", "held"])
def test_everyday_statements_rank_what_they_mean_far_above_chance(found: Found, half: str) -> None:
    # Reached: .78 on the tuning half, .70 on the half held back; by shared words .47 and .39,
    # by chance .07.
    statements = [each for each in WITH_ANSWER if each["half"] == half]
    reached = _mean_ndcg(found.rankings, statements)
    rng = random.Random(0)
    offers = [each["id"] for each in SET["offers"]]
    by_chance = {each["id"]: rng.sample(offers, len(offers)) for each in statements}
    assert reached > 0.62
    assert reached > 4 * _mean_ndcg(by_chance, statements)
    assert reached > 1.5 * _mean_ndcg(_by_shared_words(), statements)


@pytest.mark.parametrize("half", ["tune", "held"])
def test_what_is_suggested_is_seldom_wrong(found: Found, half: str) -> None:
    # Reached: .89 and .88. A suggestion made at random would be right in .03.
    names = {each["id"] for each in STATEMENTS if each["half"] == half}
    suggested = [pair for pair in found.suggested if pair[0] in names]
    assert len(suggested) >= 15
    assert precision(suggested, GRADES) >= 0.8


def test_about_half_of_what_can_be_answered_is_answered(found: Found) -> None:
    # Reached: 32 of 63. The rest get an honest "nothing here yet", the price of few silly ideas.
    answered = {statement for statement, offer in found.suggested if (statement, offer) in GRADES}
    assert len(answered) >= 26


def test_wishes_that_nothing_answers_are_seldom_given_a_silly_idea(found: Found) -> None:
    # Reached: 1 of 7 (a wish to learn Welsh is offered help with letters in Urdu and English).
    hopeless = {each["id"] for each in STATEMENTS if not each["grades"]}
    assert len({pair[0] for pair in found.suggested} & hopeless) <= 2


def test_the_model_alone_hears_dogs_and_not_the_no(minilm: MiniLM) -> None:
    # Why avoidances are facts and never meaning: by likeness dog walking comes first.
    walk, tea = minilm.embed(["We all like dogs and walk them together", "Tea and a chat"])
    (avoidance,) = embed_statements(minilm, ["I don't like dogs"])
    said = Statement(id="a", kind="avoidance", vector=avoidance)
    liked = Statement(id="a", kind="interest", vector=avoidance)
    offers = [
        Offer(id="walk", kind="community", vectors=(walk,)),
        Offer(id="tea", kind="community", vectors=(tea,)),
    ]
    as_meaning = match(Seeker(id="p", statements=(liked,)), offers)
    assert [idea.offer_id for idea in as_meaning.suggestions] == ["walk"]
    assert match(Seeker(id="p", statements=(said,)), offers).suggestions == ()
