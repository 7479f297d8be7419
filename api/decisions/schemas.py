"""Go-aheads, second looks and stops as they come in and go out."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct

from api.areas.rules import AreaSettings, Slug
from api.decisions.rules import (
    AboutType,
    Body,
    Ground,
    Outcome,
    SecondLook,
    State,
    StopAnswer,
    StopGround,
    Subject,
)

OwnWords = Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"\S")]
Called = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"\S")]


class AskSignOff(Struct, kw_only=True, frozen=True):
    """What a slice above asks a go-ahead for.

    ``about`` is plain facts to show the signer. ``not_by`` are accounts that may not decide:
    whoever would be paid. ``settings`` are the area's, for its clock.
    """

    subject: Subject
    person_id: UUID
    area_id: UUID
    settings: AreaSettings
    body: Body
    about: dict[str, Any]
    amount_pence: int
    wish: str | None = None
    not_by: list[UUID] = []


class SignOffState(Struct, kw_only=True, frozen=True):
    """How the go-ahead for a subject stands."""

    subject_id: UUID
    sign_off_id: UUID
    state: State
    amount_pence: int
    decided_at: datetime | None


class NewDecision(Struct, kw_only=True, forbid_unknown_fields=True):
    """Yes; or no with one of three grounds, a plain reason, who can change it and who rings when.

    ``who_rings`` is you where nobody is named.
    """

    outcome: Outcome
    ground: Ground | None = None
    words: OwnWords | None = None
    who_can_change: Annotated[str, Meta(min_length=1, max_length=300, pattern=r"\S")] | None = None
    who_rings: Called | None = None
    rings_by: date | None = None


class NewWish(Struct, kw_only=True, forbid_unknown_fields=True):
    """What you want, in your own words. It stands beside the decision."""

    words: OwnWords


class WishOut(Struct, kw_only=True):
    """What the person wants, in their own words."""

    words: str
    at: datetime


class DecisionOut(Struct, kw_only=True):
    """A decision and who took it; of a no also why, who can change it, and who rings by when."""

    outcome: Outcome
    ground: Ground | None
    ground_means: str | None
    words: str | None
    who_can_change: str | None
    who_rings: str | None
    rings_by: date | None
    decided_by: str
    at: datetime


class ChallengeOut(Struct, kw_only=True):
    """A second look: asked for when, due when, and what came of it."""

    id: UUID
    words: str
    raised_at: datetime
    due_at: datetime
    escalated: bool
    outcome: SecondLook | None
    answer: str | None
    decided_by: str | None
    decided_at: datetime | None


class HappenedOut(Struct, kw_only=True):
    """What happened when."""

    what: str
    at: datetime


class SignOffLine(Struct, kw_only=True):
    """A go-ahead in a list."""

    id: UUID
    subject_type: str
    subject_id: UUID
    person_id: UUID
    area: str
    body: Body
    amount_pence: int
    state: State
    asked_at: datetime
    due_at: datetime
    escalated: bool
    look_again_due_at: datetime | None


class SignOffOut(SignOffLine, kw_only=True):
    """A go-ahead: what it is for, the person's wish beside it, decisions, and the ways on."""

    about: dict[str, Any]
    who_decides: str
    may_decide: bool
    wish: WishOut | None
    decisions: list[DecisionOut]
    challenges: list[ChallengeOut]
    ways_on: list[str]
    events: list[HappenedOut]


class SignOffList(Struct, kw_only=True):
    """Go-aheads: those to decide the soonest due first, one's own the newest first."""

    items: list[SignOffLine]
    next: str | None


class NewChallenge(Struct, kw_only=True, forbid_unknown_fields=True):
    """Look again: what you think is wrong, in your words."""

    words: OwnWords


class NewChallengeDecision(Struct, kw_only=True, forbid_unknown_fields=True):
    """What somebody new found, with a plain reason: the decision stands, or it is changed."""

    outcome: SecondLook
    words: OwnWords


class NewStop(Struct, kw_only=True, forbid_unknown_fields=True):
    """Stop, I'm worried. A slice above may name a subject of its own."""

    subject_type: Annotated[str, Meta(pattern=r"^[a-z_]{1,40}$")]
    subject_id: UUID
    area: Slug
    ground: StopGround = "something_else"
    words: OwnWords


class StopAsked(Struct, kw_only=True, forbid_unknown_fields=True):
    """Stop, I'm worried: hold this change while somebody checks. Any words will do."""

    subject_type: AboutType
    subject_id: UUID
    area: Slug
    ground: StopGround = "something_else"
    words: OwnWords


class NewStopAnswer(Struct, kw_only=True, forbid_unknown_fields=True):
    """What you found: the hold stays (upheld), or the change may go on (lifted)."""

    outcome: StopAnswer
    words: OwnWords


class StopAnswerOut(Struct, kw_only=True):
    """One answer to a stop."""

    outcome: StopAnswer
    words: str
    at: datetime


class StopOut(Struct, kw_only=True):
    """A stop, its clock and its answers."""

    id: UUID
    subject_type: str
    subject_id: UUID
    area: str
    ground: StopGround
    words: str
    raised_at: datetime
    reply_due_at: datetime
    escalated: bool
    held: bool
    answers: list[StopAnswerOut]
    who_reads_this: str
    do_now: list[str]


class StopList(Struct, kw_only=True):
    """Stops that you raised or answer for: those that hold, the soonest due first."""

    items: list[StopOut]
    next: str | None
