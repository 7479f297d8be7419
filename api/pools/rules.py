"""How a group that puts money together may move, vote, split and part. No I/O here.

The states and their money are those of the Care Act market of pooled personal budgets: each
person's money stays tied to their own plan and source (Care Act 2014 ss.26 and 31 to 33;
SI 2014/2871).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid5

from api.core.errors import Conflict, NotAllowed, Refusal, invalid
from api.core.money import in_words

State = Literal[
    "gathering",
    "costed",
    "pledging",
    "review",
    "approved",
    "contracted",
    "delivering",
    "reviewed",
    "closed",
    "expired",
]
Topic = Literal["illness", "holiday", "leaving", "joining", "unhappiness", "closing"]
Motion = Literal["choose_offer", "confirm", "shrink", "close"]
Split = Literal["equal", "by_promise"]

# What may follow what. PostgreSQL holds the same table (pools_moves) and refuses anything else.
MOVES: Mapping[State, frozenset[State]] = {
    "gathering": frozenset({"costed", "closed"}),
    "costed": frozenset({"pledging", "closed"}),
    "pledging": frozenset({"costed", "review", "expired", "closed"}),
    "expired": frozenset({"pledging", "closed"}),
    "review": frozenset({"approved", "pledging", "closed"}),
    "approved": frozenset({"contracted", "pledging", "closed"}),
    "contracted": frozenset({"delivering", "reviewed"}),
    "delivering": frozenset({"reviewed"}),
    "reviewed": frozenset({"closed"}),
    "closed": frozenset(),
}
BEFORE_CONTRACT: frozenset[State] = frozenset(
    {"gathering", "costed", "pledging", "expired", "review", "approved"}
)
RUNNING: frozenset[State] = frozenset({"contracted", "delivering"})

# Chosen before the first pound (Ruils, Richmond: what pooling groups learned to agree first).
# The first choice of each is the plain default.
CHOICES: Mapping[Topic, Mapping[str, str]] = {
    "illness": {
        "place_kept": "If you are ill your place is kept. You pay your share as usual.",
        "three_free": "If you are ill for three sessions or more, you may leave without notice.",
    },
    "holiday": {
        "place_kept": "If you are away your place is kept. You pay your share as usual.",
        "swap": "If you are away somebody else from the group's list may come in your place.",
    },
    "leaving": {
        "notice": "You can leave at any time. You pay your share of the agreed notice, no more.",
        "no_notice": "You can leave at any time and pay nothing more.",
    },
    "joining": {
        "when_room": "New people can join while there is room, and pay from then on.",
        "closed": "Nobody joins once it has begun.",
    },
    "unhappiness": {
        "say_first": "Say so to the group or your worker. A part you dispute is not paid then.",
        "helper_first": "A helper whom you choose says it for you, and it is talked through.",
    },
    "closing": {
        "back_to_source": "When it closes, what is left goes back where it came from.",
    },
}
TOPICS: tuple[Topic, ...] = tuple(CHOICES)

FEWEST = 2
MOST_PEOPLE = 200
PROMISE_DAYS_AGAIN = 10
DEFAULT_VOTE_DAYS = 7
REGISTERED_FOR = frozenset({"personal_care", "nursing"})
# Who may pass a contract: two of them, neither author nor payee nor member.
APPROVERS = ("finance", "manager", "commissioner")
# Whoever has one of these is no citizen when votes are counted (S64: a citizen majority).
NOT_CITIZENS = ("professional", "manager", "scheme_worker", "provider", "commissioner", "finance")

_USES = UUID("5b0c9c1e-6f0e-5d53-9b1c-6b6974680011")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A member's money in one source, as far as a split needs to know it.

    ``number`` is the joining order: it breaks ties. ``left_pence`` is what may be taken.
    """

    key: UUID
    number: int
    left_pence: int
    weight: int
    purposes: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What a part of the price is for, in pence."""

    purpose: str
    pence: int


def use_id(pool_id: UUID, budget_id: UUID) -> UUID:
    """Return the id under which one budget's use in one group is signed off, for ever the same."""
    return uuid5(_USES, f"{pool_id}:{budget_id}")


def payee_key(offer_account_id: UUID | None, offer_id: UUID) -> str:
    """Return the books' code of whoever is paid for an offer."""
    return f"payee:{offer_account_id or offer_id}"


def share_owner(pool_id: UUID, number: int) -> str:
    """Return the books' code of a member's share. There is one account of it for each source."""
    return f"pool:{pool_id}:{number}"


def split(amount_pence: int, shares: Sequence[Share]) -> dict[UUID, int]:
    """Divide pence over shares by weight: largest remainder, ties in joining order.

    No share gives more than it has; what it cannot give is divided over the others. The parts
    always sum to the whole. Raises ValueError when the shares do not hold that much.
    """
    if amount_pence < 0 or any(one.left_pence < 0 or one.weight < 1 for one in shares):
        raise ValueError("pence and what is left are not negative, weights are positive")
    if sum(one.left_pence for one in shares) < amount_pence:
        raise ValueError("the shares hold less than this")
    parts = {one.key: 0 for one in shares}
    giving = sorted((one for one in shares if one.left_pence), key=lambda one: one.number)
    left = amount_pence
    while left:
        # At most one round for each share: every round but the last uses one up.
        weights = sum(one.weight for one in giving)
        quotas = {one.key: divmod(left * one.weight, weights) for one in giving}
        short = [one for one in giving if quotas[one.key][0] >= one.left_pence]
        if short:
            for one in short:
                parts[one.key] = one.left_pence
                left -= one.left_pence
            giving = [one for one in giving if one not in short]
            continue
        odd = left - sum(whole for whole, _ in quotas.values())
        by_remainder = sorted(giving, key=lambda one: (-quotas[one.key][1], one.number))
        for place, one in enumerate(by_remainder):
            parts[one.key] = quotas[one.key][0] + (1 if place < odd else 0)
        left = 0
    return parts


def split_lines(
    lines: Sequence[Line], shares: Sequence[Share], *, first: Sequence[Share] = ()
) -> dict[UUID, int]:
    """Divide a stage's lines over the shares whose rules allow each line's purpose.

    Lines that the same shares may pay are added up before they are divided, so that odd pennies
    do not add up. Lines that few may pay come first. ``first`` are notice moneys of people who
    left: they pay before the others do. Raises ``unpayable`` naming the purpose.
    """
    left = {one.key: one.left_pence for one in (*first, *shares)}
    parts = dict.fromkeys(left, 0)
    groups: dict[frozenset[UUID], list[Line]] = {}
    for line in lines:
        able = frozenset(one.key for one in (*first, *shares) if line.purpose in one.purposes)
        groups.setdefault(able, []).append(line)
    for able in sorted(groups, key=lambda keys: (len(keys), sorted(keys))):
        amount = sum(line.pence for line in groups[able])
        for among in (first, shares):
            may = [_with_left(one, left[one.key]) for one in among if one.key in able]
            now = min(amount, sum(one.left_pence for one in may)) if among is first else amount
            try:
                for key, pence in split(now, may).items():
                    parts[key] += pence
                    left[key] -= pence
            except ValueError:
                raise unpayable(groups[able][0].purpose) from None
            amount -= now
    return parts


def _with_left(one: Share, left_pence: int) -> Share:
    return Share(
        key=one.key,
        number=one.number,
        left_pence=left_pence,
        weight=one.weight,
        purposes=one.purposes,
    )


def stages_of(sessions: int, stages: int) -> list[tuple[int, int]]:
    """Return the first and last session of each stage, the longer stages first."""
    whole, more = divmod(sessions, stages)
    found, start = [], 1
    for number in range(stages):
        end = start + whole + (1 if number < more else 0) - 1
        found.append((start, end))
        start = end + 1
    return found


def confirmations_needed(people: int) -> int:
    """Return how many members must say that a stage happened: a third of them, two at least.

    Where one is left, that one; where nobody is, nobody's silence is a yes.
    """
    return max(1, min(people, max(2, -(-people // 3))))


def votes_needed(people: int) -> int:
    """Return how many must vote for a vote to count: more than half."""
    return people // 2 + 1


def outcome(
    *, yes: int, no: int, citizens: int, ballots: int, people: int
) -> Literal["passed", "failed", "not_counted"]:
    """Return what a vote by yes and no came to (J3.7).

    It counts when more than half have voted and more than half of those are citizens.
    """
    if ballots < votes_needed(people) or citizens * 2 <= ballots:
        return "not_counted"
    return "passed" if yes > no else "failed"


def winner(counts: Mapping[UUID, int], order: Sequence[UUID]) -> UUID:
    """Return the offer with most votes; of equals the one made first."""
    return max(order, key=lambda one: (counts.get(one, 0), -order.index(one)))


def check_move(now_at: State, to: State) -> None:
    """Raise Conflict for a step that does not follow from where the group stands."""
    if to not in MOVES[now_at]:
        raise Conflict(
            rule="step-in-order",
            detail=f"The group is at '{SHOWN[now_at]}', so '{SHOWN[to]}' cannot come next.",
            who_can_change_it="The people of the group, by taking the steps before it.",
            what_else=["Next can come: " + _listed(MOVES[now_at])],
        )


def check_choices(chosen: Mapping[Topic, str]) -> None:
    """Raise Invalid for a topic's choice that is not known."""
    for topic, choice in chosen.items():
        if choice not in CHOICES[topic]:
            raise invalid(
                "choice-known",
                f"choices.{topic}",
                f"For {topic} you can choose: {', '.join(CHOICES[topic])}.",
            )


def check_registered(purposes: Collection[str], *, registered: bool) -> None:
    """Raise Invalid for personal care by somebody who is not registered (law.md 8)."""
    if not registered and not REGISTERED_FOR.isdisjoint(purposes):
        raise invalid(
            "registered-provider",
            "registered",
            "Personal care for a group is given by a provider registered with the Care Quality"
            " Commission.",
            who="Nobody here: it is in the Health and Social Care Act 2008.",
            what_else=["Ask a registered provider.", "Leave the personal care out of the offer."],
        )


SHOWN: Mapping[State, str] = {
    "gathering": "people come together",
    "costed": "an offer is chosen",
    "pledging": "promises are made",
    "review": "each go-ahead is asked",
    "approved": "everybody has a go-ahead",
    "contracted": "it is signed",
    "delivering": "it has begun",
    "reviewed": "it is over and looked back on",
    "closed": "closed",
    "expired": "the time for promises ran out",
}


def _listed(states: Collection[State]) -> str:
    return ", ".join(sorted(SHOWN[state] for state in states)) or "nothing, it is closed"


def unpayable(purpose: str) -> Refusal:
    """Return the refusal of a part that nobody's money, as it stands, may or can pay."""
    return Conflict(
        rule="money-for-each-part",
        detail=f"The money that may be used for '{plain(purpose)}' is not enough for that part.",
        who_can_change_it="Members, by promising more; funders, by what a plan allows.",
        what_else=[
            "Ask a funder to look at a plan again.",
            "Use own money for this part.",
            "Vote to do less.",
        ],
    )


def plain(code: str) -> str:
    """Return a purpose's code as people read it."""
    return code.replace("_", " ")


def too_late() -> Refusal:
    """Return the refusal of a promise after the last day for it."""
    return Conflict(
        rule="promise-in-time",
        detail="The time for promises is over. Your money was not touched.",
        who_can_change_it="The group, by setting a new day for promises.",
        what_else=["Ask the group to set a new day.", "Join later, where the group allows it."],
    )


def not_promising(state: State) -> Refusal:
    """Return the refusal of a promise at another time than that for promises."""
    return Conflict(
        rule="promise-at-its-time",
        detail=f"No promises are taken now: {SHOWN[state]}. Your money was not touched.",
        who_can_change_it="The people of the group, by the step that comes next.",
        what_else=["See what comes next in the group's page.", "Ask for another day to promise."],
    )


def full(most: int) -> Refusal:
    """Return the refusal of one more than there is room for."""
    return Conflict(
        rule="room-for-so-many",
        detail=f"There is room for {most} people, and there are so many already. Your money was"
        " not touched.",
        who_can_change_it="Whoever made the offer, by making room.",
        what_else=["Ask to be told when somebody leaves.", "Start a second group."],
    )


def paused() -> Refusal:
    """Return the refusal of a change while the group is paused. It never says why."""
    return Conflict(
        rule="group-paused",
        detail="This is paused, and nothing new is done with its money meanwhile.",
        who_can_change_it="A manager of the area ends the pause.",
        what_else=["You can still leave.", "Ask your worker or an advocate about it."],
    )


def close_by_vote() -> Refusal:
    """Return the refusal of somebody who would close a group for everybody in it."""
    return Conflict(
        rule="closed-by-vote",
        detail="Others are in this too. It closes when more of you say yes to that than no.",
        who_can_change_it="The people of the group, by a vote.",
        what_else=["Leave: no reason is needed.", "Ask for a vote on closing."],
    )


def members_only() -> Refusal:
    """Return the refusal of somebody who is not in the group."""
    return NotAllowed(
        rule="members-only",
        detail="This is for the people of the group.",
        who_can_change_it="You can, by joining it while it is open.",
        what_else=["Join with POST /v1/pools/{id}/members."],
    )


def left_it() -> Refusal:
    """Return the refusal of the group's page for somebody who left."""
    return NotAllowed(
        rule="members-only",
        detail="You are not in this group now. What the others say and do is for its people.",
        who_can_change_it="You can, by joining it again while it is open.",
        what_else=[
            "Your own part stays yours to read: GET /v1/pools/{id}/mine.",
            "The money, yours and all, stays open to you: GET /v1/pools/{id}/books.",
        ],
    )


def two_others() -> Refusal:
    """Return the refusal of somebody who would pass what is theirs."""
    return NotAllowed(
        rule="two-others-approve",
        detail="Whoever wrote it, is paid by it or takes part in it does not pass it.",
        who_can_change_it="Nobody: two others do it, so that nobody passes their own.",
        what_else=["Ask two others with that role in the area."],
    )


def too_small(pence: int) -> Refusal:
    """Return the refusal of a group step whose money does not reach the price."""
    return Conflict(
        rule="target-met",
        detail=f"{in_words(pence)} are still missing for the price that was chosen.",
        who_can_change_it="Members, by promising more, or more people who join.",
        what_else=["Wait until more is promised.", "Choose another offer."],
    )
