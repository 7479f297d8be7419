"""Budgets as they come in and go out. All sums are whole pence."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from api.areas.rules import Slug
from api.budgets.rules import Authority, Body, FunderRule, Kind, May, RuleCode, RuleInWords, State

Pence = Annotated[int, Meta(ge=1, le=100_000_000_000)]
Code = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Called = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"\S")]
Plain = Annotated[str, Meta(min_length=1, max_length=600, pattern=r"\S")]
Notice = Annotated[str, Meta(min_length=10, max_length=2000, pattern=r"\S")]
Moment = Annotated[datetime, Meta(tz=True)]
Reference = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:\-]{1,60}$")]


class NewFunder(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who gives money in an area."""

    area: Slug
    body: Body
    name: Called


class NewRule(Struct, kw_only=True, forbid_unknown_fields=True):
    """One rule of a funder, in plain words, with who can change it.

    ``params``: plan_purpose {} · most_per_promise {"pence": 5000} ·
    registered_provider_for {"purposes": ["personal_care"]}.
    """

    code: RuleCode
    params: dict[str, int | list[Code]] = {}
    words: Plain
    who_can_change: Annotated[str, Meta(min_length=1, max_length=300, pattern=r"\S")]


class NewRules(Struct, kw_only=True, forbid_unknown_fields=True):
    """All rules of a funder from now on, and the version that they replace."""

    version: Annotated[int, Meta(ge=1, le=1_000_000_000)]
    rules: Annotated[list[NewRule], Meta(max_length=20)]


class FunderOut(Struct, kw_only=True):
    """A funder with the rules that stand."""

    id: UUID
    area_id: UUID
    body: Body
    name: str
    version: int
    rules: list[FunderRule]


class FunderList(Struct, kw_only=True):
    """The funders of an area."""

    items: list[FunderOut]


class NewPurpose(Struct, kw_only=True, forbid_unknown_fields=True):
    """One thing that the plan says the money is for, until its end if it has one."""

    code: Code
    words: Plain
    until: Moment | None = None


class NewPurposes(Struct, kw_only=True, forbid_unknown_fields=True):
    """All that the money is for from now on."""

    purposes: Annotated[list[NewPurpose], Meta(max_length=40)]


class NewBudget(Struct, kw_only=True, forbid_unknown_fields=True):
    """A budget to be. Own money has no funder. ``holder_called``: who holds the money itself."""

    person_id: UUID
    kind: Kind
    funder_id: UUID | None = None
    holder_called: Called
    holder_account_id: UUID | None = None
    pays_net_or_gross: Literal["net", "gross"] | None = None
    starts_on: date
    ends_on: date | None = None
    purposes: Annotated[list[NewPurpose], Meta(max_length=40)] = []


class BudgetMade(Struct, kw_only=True):
    """A budget that is there now, and its account in the books."""

    id: UUID
    person_id: UUID
    kind: Kind
    account_id: UUID
    source_key: str
    state: State


class MoneyIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Money that came in. ``reference`` names this sum once and for all, such as 2026-week-10."""

    amount_pence: Pence
    reference: Reference


class MoneyInOut(Struct, kw_only=True):
    """The money is in the books. ``again``: it was there already, and counts once."""

    budget_id: UUID
    amount_pence: int
    reference: str
    again: bool


class PurposeOut(Struct, kw_only=True):
    """One thing that the money is for."""

    code: str
    words: str
    until: datetime | None


class NewAuthority(Struct, kw_only=True, forbid_unknown_fields=True):
    """A right for somebody to act for this money, the authority it stands on, and its end."""

    account_id: UUID
    authority: Authority
    may: Annotated[list[May], Meta(min_length=1, max_length=3)]
    in_place_of_person: bool = False
    until: Moment | None = None


class AuthorityOut(Struct, kw_only=True):
    """Who may act for this money, and by what authority."""

    id: UUID
    account_id: UUID
    authority: Authority
    words: str
    may: list[May]
    in_place_of_person: bool
    from_at: datetime
    until: datetime | None


Reason = Literal[
    "review",
    "suspected_misuse",
    "capacity_changed",
    "asked_by_the_person",
    "conditions_ceased",
    "moved_away",
    "plan_ended",
    "death",
    "estate_settled",
    "put_right",
]


class NewState(Struct, kw_only=True, forbid_unknown_fields=True):
    """Put a budget on hold, let it go on, or end it: always with a reason and a notice.

    ``bridge``: what goes on meanwhile and who arranges it; needed unless the person asked for
    this or has died, or the budget goes on.
    """

    to: State
    reason: Reason
    notice: Notice
    bridge: Notice | None = None


class PoolingWord(Struct, kw_only=True, forbid_unknown_fields=True):
    """The person's word whether this money may be put together with others' money."""

    given: bool


class EventOut(Struct, kw_only=True):
    """What happened when; ``words`` is the notice that was given."""

    what: str
    at: datetime
    reason: str | None
    words: str | None
    bridge: str | None
    amount_pence: int | None


class BudgetOut(Struct, kw_only=True):
    """A budget as it stands.

    ``free_pence`` can be used; ``promised_pence`` is kept for promises; ``together_pence`` is put
    together with others; ``waiting_pence`` is on its way to a payee; ``paid_pence`` was confirmed
    by whoever holds the money.
    """

    id: UUID
    person_id: UUID
    kind: Kind
    called: str
    funder: str | None
    holder_called: str
    pays_net_or_gross: str | None
    state: State
    starts_on: date
    ends_on: date | None
    version: int
    free_pence: int
    promised_pence: int
    together_pence: int
    waiting_pence: int
    paid_pence: int
    you_act_by: str | None
    pooling_authority: bool
    purposes: list[PurposeOut]
    rules: list[RuleInWords]
    who_may_act: list[AuthorityOut]
    events: list[EventOut]
    look_again: list[str]


class BudgetLine(Struct, kw_only=True):
    """A budget in a list."""

    id: UUID
    person_id: UUID
    kind: Kind
    called: str
    funder: str | None
    state: State
    free_pence: int
    promised_pence: int


class BudgetList(Struct, kw_only=True):
    """Budgets, the oldest first."""

    items: list[BudgetLine]
    next: str | None


class StatementLine(Struct, kw_only=True):
    """One change of what stands in a budget: positive came in, negative went out."""

    number: int
    at: datetime
    words: str
    amount_pence: int
    balance_pence: int


class StatementOut(Struct, kw_only=True):
    """A page of a budget's statement in the order in which it happened."""

    items: list[StatementLine]
    next: str | None


class PaymentOut(Struct, kw_only=True):
    """A payment. "instructed" waits for whoever holds the money to say that it was made."""

    id: UUID
    budget_id: UUID
    reference: str
    amount_pence: int
    payee: str
    purpose: str
    state: Literal["instructed", "confirmed", "failed"]
    instructed_at: datetime
    paid_on: date | None


class PaymentList(Struct, kw_only=True):
    """Payments, the oldest first."""

    items: list[PaymentOut]
    next: str | None


class Confirmations(Struct, kw_only=True, forbid_unknown_fields=True):
    """A file from whoever holds the money, as text: reference, amount, paid_on, outcome.

    Some nine hundred lines at a time: a longer file is sent in parts.

    ``amount`` is pounds ("12.50"); ``amount_pence`` may stand instead. ``outcome`` is paid or
    failed. ``paid_on`` is a day such as 2026-03-31, needed where it was paid.
    """

    csv: Annotated[str, Meta(min_length=1, max_length=40_000)]


class BadLine(Struct, kw_only=True):
    """A line that was not taken: its number in the file, the field, and why."""

    line: int
    field: str
    rule: str
    why: str


class ConfirmationsOut(Struct, kw_only=True):
    """What came of the file: how many payments were confirmed or failed, and what was left."""

    confirmed: int
    failed: int
    known_already: int
    bad: list[BadLine]
