"""What people write, choose and own while they put money together, checked as plain data."""

from datetime import date
from typing import Any

import pytest

from api.budgets.rules import BODY_OF
from api.decisions.rules import signers_of
from api.pools.rules import CHOICES, TOPICS
from deploy.demo.content import load
from deploy.demo.together import rings_by
from tests.demo.test_content import BANNED, CONTACT, words_in

CONTENT = load()
SCRIPT = CONTENT.together
BUDGETS = {one["person"]: one for one in CONTENT.budgets}
PEOPLE = {one["key"] for one in CONTENT.people}
STAFF = {one["key"]: one for one in CONTENT.staff}
CODES = frozenset(
    {"key", "person", "kind", "funder", "code", "body", "by", "members", "purpose", "choices"}
    | {"approvers", "finance", "starts_at", "leaves", "ground", "no", "away", "other", "helped"}
    | {"starts", "leads"}
)


def test_twelve_people_bring_three_kinds_of_money() -> None:
    members = SCRIPT["members"]
    assert len(members) == len(set(members)) == 12
    assert set(members) <= PEOPLE
    assert set(members) == set(BUDGETS)
    kinds = [BUDGETS[key]["kind"] for key in members]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    assert counts == {"direct_payment": 8, "personal_health_budget": 2, "own_money": 2}


@pytest.mark.parametrize("one", CONTENT.budgets, ids=lambda one: str(one["person"]))
def test_a_budget_has_the_funder_of_its_kind_and_more_than_is_promised(one: dict[str, Any]) -> None:
    bodies = {funder["key"]: funder["body"] for funder in SCRIPT["funders"]}
    body = bodies[one["funder"]] if one["funder"] is not None else None
    assert body == BODY_OF[one["kind"]]
    assert type(one["pence"]) is int
    assert one["pence"] > SCRIPT["promise_pence"]
    assert one["holder_called"].strip()
    assert bool(one["purposes"]) == (body is not None)


def test_everybody_whose_money_needs_a_go_ahead_says_what_they_want_and_has_a_signer() -> None:
    bodies = {funder["key"]: funder["body"] for funder in SCRIPT["funders"]}
    asked = {key: one for key, one in BUDGETS.items() if one["funder"] is not None}
    assert set(SCRIPT["wishes"]) == set(asked)
    signed = {key: who for who, words in SCRIPT["go_aheads"].items() for key in words}
    no = SCRIPT["not_yet"]
    assert set(signed) | {no["person"]} == set(asked)
    for key, who in {**signed, no["person"]: no["by"]}.items():
        signer = STAFF[who]
        professions = {role.get("profession") for role in signer["roles"]}
        assert key in signer["works_with"]
        assert professions & signers_of(bodies[asked[key]["funder"]]).professions


def test_a_plan_without_dance_is_the_only_one() -> None:
    purposes = all_purposes_of(SCRIPT["offers"][0])
    for key, one in BUDGETS.items():
        codes = {purpose["code"] for purpose in one["purposes"]}
        if one["funder"] is None:
            continue
        assert (purposes <= codes) == (key != SCRIPT["not_yet"]["person"]), key
        assert purposes & codes, key


def all_purposes_of(offer: dict[str, Any]) -> set[str]:
    return {line["purpose"] for line in offer["lines"]}


def test_the_second_offer_is_dearer_and_the_first_is_met_with_one_fewer() -> None:
    totals = [
        sum(line["pence"] for line in offer["lines"]) * offer["sessions"]
        for offer in SCRIPT["offers"]
    ]
    assert totals[0] < totals[1]
    assert totals[0] <= (len(SCRIPT["members"]) - 1) * SCRIPT["promise_pence"]


def test_all_six_things_are_agreed_in_choices_that_exist() -> None:
    assert set(SCRIPT["choices"]) == set(TOPICS)
    assert all(choice in CHOICES[topic] for topic, choice in SCRIPT["choices"].items())


def test_whoever_passes_it_is_neither_payee_nor_author_nor_member() -> None:
    payees = {offer["by"] for offer in SCRIPT["offers"]}
    approvers = set(SCRIPT["approvers"])
    assert len(approvers) == 2
    assert not approvers & (payees | set(SCRIPT["members"]) | {SCRIPT["body"]["by"]})


def test_nobody_is_helped_to_vote_who_does_not_vote() -> None:
    asked = SCRIPT["confirming"]
    assert not set(asked["helped"]) & set(asked["away"])
    assert set(asked["no"]) | set(asked["away"]) | set(asked["helped"]) <= set(SCRIPT["members"])


def test_no_banned_word_and_no_number_to_ring_is_written_while_they_put_money_together() -> None:
    texts = words_in([SCRIPT, CONTENT.budgets], skip=CODES)
    texts += [*SCRIPT["wishes"].values()]
    assert len(texts) > 50
    assert [text for text in texts if BANNED.search(text) or CONTACT.search(text)] == []


@pytest.mark.parametrize(
    ("today", "wanted"),
    [
        (date(2026, 11, 28), date(2026, 12, 3)),
        (date(2026, 12, 2), date(2026, 12, 3)),
        (date(2026, 12, 3), date(2026, 12, 10)),
    ],
)
def test_somebody_rings_by_the_next_thursday(today: date, wanted: date) -> None:
    assert rings_by(today) == wanted
