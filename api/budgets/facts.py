"""What a budget is, for its rules: kinds, authorities, and all facts in one value. No I/O here."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import msgspec

Kind = Literal[
    "direct_payment",
    "council_managed",
    "individual_service_fund",
    "personal_health_budget",
    "own_money",
    "grant",
]
Body = Literal["council", "nhs", "charity"]
State = Literal["active", "frozen", "ended"]
Authority = Literal[
    "own_say_so", "nominee", "care_act_s32", "deputy", "property_attorney", "appointee"
]
May = Literal["see", "promise", "pay"]
RuleCode = Literal["plan_purpose", "most_per_promise", "registered_provider_for"]

# Whose money each kind is (money_rules.md); own money is nobody's but the person's.
BODY_OF: dict[Kind, Body | None] = {
    "direct_payment": "council",
    "council_managed": "council",
    "individual_service_fund": "council",
    "personal_health_budget": "nhs",
    "own_money": None,
    "grant": "charity",
}
KIND_WORDS: dict[str, str] = {
    "direct_payment": "Direct payment",
    "council_managed": "Money the council looks after",
    "individual_service_fund": "Money a provider looks after",
    "personal_health_budget": "Health budget",
    "own_money": "Own money",
    "grant": "Money from a charity",
}
AUTHORITY_WORDS: dict[str, str] = {
    "own_say_so": "The person said so",
    "nominee": "Chosen by the person to look after the money (Care Act 2014, section 31)",
    "care_act_s32": "Authorised to look after the money (Care Act 2014, section 32)",
    "deputy": "Deputy (Court of Protection)",
    "property_attorney": "Attorney for property and money",
    "appointee": "Appointee for benefits: may look, and no more",
}
# What a person gives by themselves; the others are recorded by the area when papers were seen.
GIVEN_BY_THE_PERSON: tuple[Authority, ...] = ("own_say_so", "nominee")
IN_PLACE: tuple[Authority, ...] = ("care_act_s32", "deputy", "property_attorney")
RUN_BUDGETS = ("finance", "manager")
OPEN_BUDGETS = (*RUN_BUDGETS, "area_admin")


class FunderRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of a funder, in its own plain words, and who can change it."""

    code: str
    params: dict[str, Any] = {}
    words: str
    who_can_change: str


class RuleInWords(msgspec.Struct, frozen=True, kw_only=True):
    """A rule over a budget as people read it, and who can change it."""

    code: str
    words: str
    who_can_change: str


class BudgetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that a rule needs to know of a budget. The SQL function budget_facts() makes it.

    ``acts_by`` is the authority by which the present actor may promise this money: "own_say_so",
    "nominee" and so on, "task" for a task, None when they may not. ``running``: today is between
    its first and last day.
    """

    budget_id: UUID
    person_id: UUID
    area_id: UUID
    kind: Kind
    body: Body | None
    funder_id: UUID | None
    funder_called: str | None
    holder_called: str
    state: State
    running: bool
    pooling_authority: bool
    purposes: frozenset[str]
    rules: tuple[FunderRule, ...]
    account_id: UUID
    source_account_id: UUID
    source_key: str
    acting_accounts: frozenset[UUID]
    acts_by: str | None

    @property
    def frozen(self) -> bool:
        """Nothing may be promised out of it for now."""
        return self.state != "active"

    @property
    def is_own(self) -> bool:
        """It is the person's own money, and no rule of anybody's stands over it."""
        return self.kind == "own_money"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayeeFacts:
    """Who would be paid. ``household_relative``: of whoever's money it is, in the same home."""

    key: str
    called: str
    account_id: UUID | None = None
    household_relative: bool = False
    registered: bool = False


def decode_facts(value: Any) -> BudgetFacts:
    """Return the facts in one value of budget_facts(): a dict, or JSON as text."""
    if isinstance(value, str | bytes):
        return msgspec.json.decode(value, type=BudgetFacts)
    return msgspec.convert(value, BudgetFacts, strict=False)
