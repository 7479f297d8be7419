"""Each rule refused, with who can change it and other ways; own money knows none. No database."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.budgets.rules import (
    BODY_OF,
    BudgetFacts,
    FunderRule,
    Kind,
    PayeeFacts,
    check,
    check_authority,
    check_rules,
    must_act,
)
from api.core.errors import Refusal
from tests.architecture.test_words import NEVER_SHOWN

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SELF = UUID(int=1)
CODES = ("dance", "meals", "personal_care")


def budget(**changed: Any) -> BudgetFacts:
    """Return the facts of a direct payment for dancing, changed as asked."""
    kind: Kind = changed.get("kind", "direct_payment")
    body = BODY_OF[kind]
    usual: dict[str, Any] = {
        "budget_id": uuid4(),
        "person_id": uuid4(),
        "area_id": uuid4(),
        "kind": kind,
        "body": body,
        "funder_id": uuid4() if body else None,
        "funder_called": "Trafford Council" if body else None,
        "holder_called": "The card",
        "state": "active",
        "running": True,
        "pooling_authority": False,
        "purposes": frozenset({"dance"}),
        "rules": (),
        "account_id": uuid4(),
        "source_account_id": uuid4(),
        "source_key": "budget:x",
        "acting_accounts": frozenset({SELF}),
        "acts_by": "own_say_so",
    }
    return BudgetFacts(**usual | changed)


def rule(code: str, **params: Any) -> FunderRule:
    """Return a rule of a funder's."""
    return FunderRule(
        code=code, params=params, words="We keep it simple.", who_can_change="Pat at the council."
    )


def refused(facts: BudgetFacts, **asked: Any) -> Refusal:
    """Return the refusal that a use of the money gets, after checking that it is a whole one."""
    usual: dict[str, Any] = {"purposes": ["dance"], "amount_pence": 100, "payee": None, "now": NOW}
    with pytest.raises(Refusal) as caught:
        check(facts, **usual | asked)
    refusal = caught.value
    assert refusal.detail
    assert refusal.who_can_change_it
    assert refusal.what_else
    told = " ".join([refusal.detail, refusal.who_can_change_it, *refusal.what_else])
    assert not NEVER_SHOWN.search(told)
    return refusal


def allowed(facts: BudgetFacts, **asked: Any) -> None:
    """Check that a use of the money is refused by no rule."""
    usual: dict[str, Any] = {"purposes": ["dance"], "amount_pence": 100, "payee": None, "now": NOW}
    check(facts, **usual | asked)


ANYBODY = PayeeFacts(key="p", called="Somebody")
ONESELF = PayeeFacts(key="p", called="Me", account_id=SELF)
RELATIVE = PayeeFacts(key="p", called="Mum", household_relative=True)
REGISTERED = PayeeFacts(key="p", called="Agency", registered=True)


@pytest.mark.parametrize("kind", ["direct_payment", "council_managed", "personal_health_budget"])
def test_public_money_is_for_what_its_plan_names(kind: Kind) -> None:
    allowed(budget(kind=kind))
    refusal = refused(budget(kind=kind), purposes=["dance", "meals"])
    assert refusal.rule == "plan-purpose"
    assert "Trafford Council" in refusal.who_can_change_it
    assert "Use your own money." in refusal.what_else
    assert refused(budget(kind=kind), purposes=[]).rule == "plan-purpose"


def test_a_charitys_money_follows_a_plan_only_where_it_says_so() -> None:
    allowed(budget(kind="grant"), purposes=["meals"])
    strict = budget(kind="grant", rules=(rule("plan_purpose"),))
    assert refused(strict, purposes=["meals"]).rule == "plan-purpose"


def test_a_funders_rule_is_told_in_its_own_words_with_who_it_names() -> None:
    facts = budget(rules=(rule("most_per_promise", pence=4_950),))
    allowed(facts, amount_pence=4_950)
    refusal = refused(facts, amount_pence=4_951)
    assert refusal.rule == "most-per-promise"
    assert "£49.50" in refusal.detail
    assert "We keep it simple." in refusal.detail
    assert refusal.who_can_change_it == "Pat at the council."


def test_care_that_needs_registration_goes_to_somebody_registered() -> None:
    rules = (rule("registered_provider_for", purposes=["personal_care"]),)
    facts = budget(rules=rules, purposes=frozenset(CODES))
    assert refused(facts, purposes=["personal_care"], payee=ANYBODY).rule == "registered-provider"
    allowed(facts, purposes=["personal_care"], payee=REGISTERED)
    allowed(facts, purposes=["meals"], payee=ANYBODY)
    allowed(facts, purposes=["personal_care"], payee=None)


def test_public_money_pays_neither_oneself_nor_a_relative_at_home_whatever_a_funder_says() -> None:
    refusal = refused(budget(), payee=ONESELF)
    assert refusal.rule == "not-oneself"
    assert "Regulations 2014" in refusal.who_can_change_it
    assert "Use your own money." not in refusal.what_else  # paying oneself is no way to be paid
    assert any("benefits" in way for way in refusal.what_else)
    refusal = refused(budget(), payee=RELATIVE)
    assert refusal.rule == "no-household-relative"
    assert "in writing" in refusal.who_can_change_it


def test_money_that_a_provider_looks_after_is_put_together_by_the_persons_word_alone() -> None:
    facts = budget(kind="individual_service_fund")
    refusal = refused(facts)
    assert refusal.rule == "pooling-authority"
    assert refusal.who_can_change_it == "The person whose money it is."
    allowed(budget(kind="individual_service_fund", pooling_authority=True))
    allowed(facts, together=False)


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"state": "frozen"}, "budget-open"),
        ({"state": "ended"}, "budget-open"),
        ({"running": False}, "budget-dates"),
    ],
)
@pytest.mark.parametrize("kind", ["direct_payment", "own_money"])
def test_what_is_on_hold_or_over_says_where_to_ask(
    kind: Kind, changed: dict[str, Any], wanted: str
) -> None:
    refusal = refused(budget(kind=kind, **changed))
    assert refusal.rule == wanted
    assert any("advocate" in way for way in refusal.what_else)
    if kind == "direct_payment":
        assert any("Ombudsman" in way for way in refusal.what_else)


def test_who_may_not_act_is_told_who_can_let_them() -> None:
    assert must_act(budget()) == "own_say_so"
    with pytest.raises(Refusal) as caught:
        must_act(budget(acts_by=None))
    assert caught.value.rule == "authority-needed"
    assert "The person" in caught.value.who_can_change_it


RULES = st.lists(
    st.one_of(
        st.just(rule("plan_purpose")),
        st.integers(1, 10**11).map(lambda pence: rule("most_per_promise", pence=pence)),
        st.lists(st.sampled_from(CODES), min_size=1).map(
            lambda codes: rule("registered_provider_for", purposes=codes)
        ),
    ),
    max_size=3,
    unique_by=lambda one: one.code,
).map(tuple)
PAYEES = st.sampled_from([None, ANYBODY, ONESELF, RELATIVE, REGISTERED])
ASKED = st.fixed_dictionaries(
    {
        "purposes": st.lists(st.sampled_from(CODES), max_size=3),
        "amount_pence": st.integers(1, 10**11),
        "payee": PAYEES,
        "together": st.booleans(),
    }
)


@given(rules=RULES, asked=ASKED)
def test_own_money_is_never_refused_by_a_rule(
    rules: tuple[FunderRule, ...], asked: dict[str, Any]
) -> None:
    check(budget(kind="own_money", rules=rules), now=NOW, **asked)


@given(kind=st.sampled_from(sorted(BODY_OF)), rules=RULES, asked=ASKED, less=st.integers(1, 10**11))
def test_asking_for_less_or_for_fewer_purposes_is_never_refused_where_more_was_not(
    kind: Kind, rules: tuple[FunderRule, ...], asked: dict[str, Any], less: int
) -> None:
    facts = budget(kind=kind, rules=rules, purposes=frozenset(CODES[:2]), pooling_authority=True)
    try:
        check(facts, now=NOW, **asked)
    except Refusal:
        return
    smaller = min(less, asked["amount_pence"])
    fewer = asked["purposes"][:1]
    check(facts, now=NOW, **asked | {"amount_pence": smaller, "purposes": fewer})


@given(rules=RULES, asked=ASKED)
def test_one_rule_more_never_allows_what_was_refused(
    rules: tuple[FunderRule, ...], asked: dict[str, Any]
) -> None:
    try:
        check(budget(rules=rules[1:]), now=NOW, **asked)
    except Refusal:
        with pytest.raises(Refusal):
            check(budget(rules=rules), now=NOW, **asked)


@pytest.mark.parametrize(
    "bad",
    [
        rule("plan_purpose", pence=1),
        rule("most_per_promise"),
        rule("most_per_promise", pence=0),
        rule("most_per_promise", pence=-1),
        rule("most_per_promise", pence=True),
        rule("most_per_promise", pence=[1]),
        rule("registered_provider_for", purposes=[]),
        rule("registered_provider_for", purposes=5),
    ],
)
def test_a_rule_with_values_that_mean_nothing_is_refused_by_its_place(bad: FunderRule) -> None:
    with pytest.raises(Refusal) as caught:
        check_rules([rule("plan_purpose"), bad] if bad.code != "plan_purpose" else [bad])
    assert caught.value.rule == "rule-values"
    assert caught.value.errors[0].field.startswith("rules[")
    with pytest.raises(Refusal, match="rule-once"):
        check_rules([rule("plan_purpose"), rule("plan_purpose")])


@pytest.mark.parametrize(
    ("authority", "may", "in_place", "wanted"),
    [
        ("appointee", ["see", "promise"], False, "appointee-sees"),
        ("appointee", ["see", "pay"], False, "appointee-sees"),
        ("nominee", ["promise"], False, "see-first"),
        ("nominee", ["see", "promise"], True, "in-place-by-law"),
        ("deputy", ["see"], True, "in-place-by-law"),
    ],
)
def test_an_authority_carries_only_what_the_law_lets_it(
    authority: Any, may: Any, in_place: bool, wanted: str
) -> None:
    with pytest.raises(Refusal, match=wanted):
        check_authority(authority, may, in_place=in_place)
