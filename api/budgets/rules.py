"""What a budget may be used for and who may act for it. No I/O here.

A rule is the funder's, kept as data with its words, or built in because the law says it. Own money
knows no rule (law.md 6). Each refusal names its rule, who can change it and what else is possible.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from api.budgets.facts import (
    AUTHORITY_WORDS,
    BODY_OF,
    GIVEN_BY_THE_PERSON,
    IN_PLACE,
    KIND_WORDS,
    OPEN_BUDGETS,
    RUN_BUDGETS,
    Authority,
    Body,
    BudgetFacts,
    FunderRule,
    Kind,
    May,
    PayeeFacts,
    RuleCode,
    RuleInWords,
    State,
    decode_facts,
)
from api.core.errors import Conflict, NotAllowed, Refusal, invalid
from api.core.money import in_words as pounds

# Every decision on a person's money can be looked at again (money_rules.md, law.md 6).
APPEAL = [
    "Ask for this to be looked at again: somebody else decides then.",
    "Ask for an advocate: someone on your side.",
]
OMBUDSMAN: dict[str | None, str] = {
    "council": "After that: the Local Government and Social Care Ombudsman, 0300 061 0614.",
    "nhs": "After that: the Parliamentary and Health Service Ombudsman, 0345 015 4033.",
    "charity": "After that: the charity's own complaints way, then the Charity Commission.",
}
OTHER_WAYS = [
    "Use your own money.",
    "Ask for your plan to be looked at.",
    "Ask for an advocate: someone on your side.",
]

# Whoever is to be paid is not helped by paying with their own money.
WAYS_TO_BE_PAID = [
    "Other people's money can pay for this work: ask them.",
    "Get advice about benefits before you say yes to pay.",
    OTHER_WAYS[-1],
]


_PLAN = "This money is for what the plan says."
_ONESELF = "Public money for support does not pay the person it is for, or whoever acts for them."
_LAW = "Nobody here: it is in the Direct Payments Regulations 2014."
_RELATIVE = (
    "Public money for support does not usually pay a partner or close relative who lives in the"
    " same home."
)
_IN_WRITING = "by agreeing in writing that it is needed (Direct Payments Regulations 2014)."
_TOGETHER = (
    "A provider looks after this money. It can be put together with others' money once the person"
    " has said so."
)
_PERSON = "The person whose money it is."


def check(
    facts: BudgetFacts,
    *,
    purposes: Sequence[str],
    amount_pence: int,
    payee: PayeeFacts | None,
    now: datetime,
    together: bool = True,
) -> None:
    """Raise Conflict for the first rule that this use of the money would break.

    ``purposes``: what it is for; each must be in the plan. ``payee`` None: not known yet, and what
    depends on it is asked later. ``together``: it is put together with others' money. Who acts is
    asked apart (``must_act``). ``now`` is the moment of the facts.
    """
    if now.tzinfo is None:
        raise ValueError("a check needs an aware time")
    refusal = _not_open(facts)
    if refusal is None and not facts.is_own:
        found = (
            one(facts, purposes, amount_pence, payee)
            for one in (*_BUILT_IN, *((_pooling,) if together else ()), *_LOCAL)
        )
        refusal = next((one for one in found if one is not None), None)
    if refusal is not None:
        raise refusal


def must_act(facts: BudgetFacts) -> str:
    """Return the authority by which the actor may promise this money; raise NotAllowed if none."""
    if facts.acts_by is None:
        raise NotAllowed(
            rule="authority-needed",
            detail="You can see this money and may not promise it.",
            who_can_change_it="The person whose money it is, or whoever decides in their place.",
            what_else=["Ask the person to give you the right to, until a date."],
        )
    return facts.acts_by


def in_words(facts: BudgetFacts) -> list[RuleInWords]:
    """Return every rule over this money, built in or the funder's; own money has none."""
    if facts.is_own:
        return []
    own = {rule.code: rule for rule in facts.rules}
    built_in: list[tuple[str, str, str]] = []
    if facts.body != "charity":
        built_in = [
            ("plan_purpose", _PLAN, f"{_funder(facts)}, when your plan is looked at."),
            ("not_oneself", _ONESELF, _LAW),
            ("no_household_relative", _RELATIVE, f"{_funder(facts)}, {_IN_WRITING}"),
        ]
    if facts.kind == "individual_service_fund":
        built_in.append(("pooling_authority", _TOGETHER, _PERSON))
    said = [RuleInWords(code=c, words=w, who_can_change=who) for c, w, who in built_in]
    theirs = [
        RuleInWords(code=rule.code, words=rule.words, who_can_change=rule.who_can_change)
        for rule in facts.rules
    ]
    return [*(one for one in said if one.code not in own), *theirs]


def check_kind(kind: Kind, body: Body | None) -> None:
    """Raise Invalid unless this kind of budget comes from this kind of funder."""
    wanted = BODY_OF[kind]
    if wanted != body:
        need = {"council": "a council", "nhs": "the NHS", "charity": "a charity"}
        what = "no funder: it is yours" if wanted is None else need[wanted]
        raise invalid("kind-of-funder", "funder_id", f"Money of this kind comes from {what}.")


def check_authority(authority: Authority, may: Sequence[May], *, in_place: bool) -> None:
    """Raise Invalid for rights that this authority cannot carry (law.md 5)."""
    if "see" not in may:
        raise invalid("see-first", "may", "Whoever acts must see what they act on: add 'see'.")
    if authority == "appointee" and set(may) != {"see"}:
        raise invalid(
            "appointee-sees",
            "may",
            "An appointee is for benefits only: here they may see, and no more.",
            what_else=["A nominee, an attorney for money or a deputy may do more."],
            who="The Court of Protection can name a deputy; a person can name an attorney.",
        )
    if in_place and (authority not in IN_PLACE or "promise" not in may):
        raise invalid(
            "in-place-by-law",
            "in_place_of_person",
            "Only somebody authorised by law decides in a person's place, and then may promise.",
        )


def check_rules(rules: Sequence[FunderRule]) -> None:
    """Raise Invalid for a funder's rule with values that it cannot have, or said twice."""
    if len({rule.code for rule in rules}) != len(rules):
        raise invalid("rule-once", "rules", "Each rule stands once.")
    for number, rule in enumerate(rules):
        if not _PARAMS[rule.code](rule.params):
            raise invalid(
                "rule-values",
                f"rules[{number}].params",
                "This rule cannot have these values; /docs shows what each takes.",
            )


def ways_on(body: Body | None) -> list[str]:
    """Return how a decision on this money can be looked at again, in the order of steps."""
    return [*APPEAL, *([OMBUDSMAN[body]] if body is not None else [])]


def _pence(params: dict[str, Any]) -> bool:
    return set(params) == {"pence"} and type(params["pence"]) is int and params["pence"] > 0


def _codes(params: dict[str, Any]) -> bool:
    codes = params.get("purposes")
    if set(params) != {"purposes"} or not isinstance(codes, list) or not codes:
        return False
    return all(isinstance(code, str) and code for code in codes)


_PARAMS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "plan_purpose": lambda params: not params,
    "most_per_promise": _pence,
    "registered_provider_for": _codes,
}

_Rule = Callable[[BudgetFacts, Sequence[str], int, PayeeFacts | None], Refusal | None]


def _not_open(facts: BudgetFacts) -> Refusal | None:
    if facts.frozen:
        stopped = "has ended" if facts.state == "ended" else "is on hold"
        return Conflict(
            rule="budget-open",
            detail=f"This money {stopped}: nothing new can be promised. The reason was given then.",
            who_can_change_it="Whoever looks after this money in your area.",
            what_else=["Read the notice with the budget.", *ways_on(facts.body)],
        )
    if not facts.running:
        return Conflict(
            rule="budget-dates",
            detail="This money has not begun yet, or its last day is over.",
            who_can_change_it=_funder(facts),
            what_else=["Ask when the next part begins.", *OTHER_WAYS[:1], *ways_on(facts.body)],
        )
    return None


def _funder(facts: BudgetFacts) -> str:
    return facts.funder_called or "You can: it is your own money."


def _standing(facts: BudgetFacts, code: str) -> FunderRule | None:
    return next((rule for rule in facts.rules if rule.code == code), None)


def _refused(
    facts: BudgetFacts,
    rule: FunderRule | None,
    code: str,
    detail: str,
    who: str = "",
    ways: Sequence[str] = OTHER_WAYS,
) -> Refusal:
    said = f" {facts.funder_called} says: {rule.words}" if rule is not None else ""
    return Conflict(
        rule=code,
        detail=detail + said,
        who_can_change_it=rule.who_can_change if rule is not None else who or _funder(facts),
        what_else=ways,
    )


def _plan_purpose(
    facts: BudgetFacts, purposes: Sequence[str], _pence: int, _payee: PayeeFacts | None
) -> Refusal | None:
    """Council money follows the care plan, NHS money the NHS plan; a grant where it says so."""
    rule = _standing(facts, "plan_purpose")
    if rule is None and facts.body not in ("council", "nhs"):
        return None
    if purposes and facts.purposes.issuperset(purposes):
        return None
    return _refused(
        facts,
        rule,
        "plan-purpose",
        "The plan for this money does not name what this is for.",
        f"{_funder(facts)}, when your plan is looked at.",
    )


def _not_oneself(
    facts: BudgetFacts, _purposes: Sequence[str], _pence: int, payee: PayeeFacts | None
) -> Refusal | None:
    """Care and Support (Direct Payments) Regulations 2014; law.md 6."""
    if facts.body == "charity" or payee is None or payee.account_id not in facts.acting_accounts:
        return None
    return _refused(
        facts,
        None,
        "not-oneself",
        _ONESELF,
        _LAW,
        WAYS_TO_BE_PAID,
    )


def _no_household_relative(
    facts: BudgetFacts, _purposes: Sequence[str], _pence: int, payee: PayeeFacts | None
) -> Refusal | None:
    """Care and Support (Direct Payments) Regulations 2014; law.md 6."""
    if facts.body == "charity" or payee is None or not payee.household_relative:
        return None
    return _refused(
        facts,
        None,
        "no-household-relative",
        _RELATIVE,
        f"{_funder(facts)}, {_IN_WRITING}",
    )


def _pooling(
    facts: BudgetFacts, _purposes: Sequence[str], _pence: int, _payee: PayeeFacts | None
) -> Refusal | None:
    """An Individual Service Fund is put together with others' money only by the person's word."""
    if facts.kind != "individual_service_fund" or facts.pooling_authority:
        return None
    return _refused(
        facts,
        None,
        "pooling-authority",
        _TOGETHER,
        _PERSON,
    )


def _most_per_promise(
    facts: BudgetFacts, _purposes: Sequence[str], amount_pence: int, _payee: PayeeFacts | None
) -> Refusal | None:
    rule = _standing(facts, "most_per_promise")
    if rule is None or amount_pence <= rule.params["pence"]:
        return None
    most = pounds(rule.params["pence"])
    return _refused(
        facts, rule, "most-per-promise", f"One promise of this money is {most} at most."
    )


def _registered(
    facts: BudgetFacts, purposes: Sequence[str], _pence: int, payee: PayeeFacts | None
) -> Refusal | None:
    rule = _standing(facts, "registered_provider_for")
    if rule is None or payee is None or payee.registered:
        return None
    if set(purposes).isdisjoint(rule.params["purposes"]):
        return None
    return _refused(
        facts,
        rule,
        "registered-provider",
        "For this the money goes to a provider registered with the Care Quality Commission.",
    )


_BUILT_IN: tuple[_Rule, ...] = (_not_oneself, _no_household_relative)
_LOCAL: tuple[_Rule, ...] = (_plan_purpose, _most_per_promise, _registered)
RULE_KINDS: tuple[str, ...] = (
    *_PARAMS,
    "not_oneself",
    "no_household_relative",
    "pooling_authority",
)

__all__ = [
    "APPEAL",
    "AUTHORITY_WORDS",
    "BODY_OF",
    "GIVEN_BY_THE_PERSON",
    "IN_PLACE",
    "KIND_WORDS",
    "OMBUDSMAN",
    "OPEN_BUDGETS",
    "OTHER_WAYS",
    "RULE_KINDS",
    "RUN_BUDGETS",
    "Authority",
    "Body",
    "BudgetFacts",
    "FunderRule",
    "Kind",
    "May",
    "PayeeFacts",
    "RuleCode",
    "RuleInWords",
    "State",
    "check",
    "check_authority",
    "check_kind",
    "check_rules",
    "decode_facts",
    "in_words",
    "must_act",
    "ways_on",
]
