"""Groups that put money together, as they come in and go out. Sums are whole pence, GBP."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from msgspec import Meta, Struct

from api.areas.rules import Slug
from api.pools.rules import Motion, Split, State, Topic

Called = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"\S")]
Said = Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"\S")]
Short = Annotated[str, Meta(min_length=1, max_length=600, pattern=r"\S")]
Pence = Annotated[int, Meta(ge=1, le=100_000_000_000)]
Purpose = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Moment = Annotated[datetime, Meta(tz=True)]
Helped = Literal["read_out", "explained", "pictures", "interpreted"]

WORRIED = (
    "Worried about somebody's safety? POST /v1/enquiries with kind 'safeguarding' and this as"
    " 'about'. In danger now? Ring 999.",
    "Stop, I'm worried: POST /v1/safety-stops holds the next step while somebody checks.",
)


class NewPool(Struct, kw_only=True, forbid_unknown_fields=True):
    """An idea for something to put money together for, and what you need to take part."""

    area: Slug
    name: Called
    summary: Short
    called: Called
    access_needs: Short | None = None


class Invitation(Struct, kw_only=True):
    """A code that lets people in. Whoever has it can join; making a new one ends the old."""

    SECRET_FIELDS: ClassVar[tuple[str, ...]] = ("code",)

    id: UUID
    code: str | None


class NewMember(Struct, kw_only=True, forbid_unknown_fields=True):
    """Joining: the name you use there, and what you need to take part."""

    called: Called
    access_needs: Short | None = None
    code: Annotated[str, Meta(max_length=60)] | None = None


class NewLine(Struct, kw_only=True, forbid_unknown_fields=True):
    """A part of the price of one session, and what it is for in the words of plans."""

    words: Called
    purpose: Purpose
    pence: Pence


class NewOffer(Struct, kw_only=True, forbid_unknown_fields=True):
    """An offer to a group. ``lines`` are for one session; it is paid in ``stages`` parts.

    ``registered``: with the Care Quality Commission, which whoever gives personal care must be.
    """

    called: Called
    words: Said
    lines: Annotated[list[NewLine], Meta(min_length=1, max_length=20)]
    sessions: Annotated[int, Meta(ge=1, le=200)]
    stages: Annotated[int, Meta(ge=1, le=50)] = 2
    min_people: Annotated[int, Meta(ge=2, le=200)]
    max_people: Annotated[int, Meta(ge=2, le=200)]
    split: Split = "equal"
    notice_sessions: Annotated[int, Meta(ge=0, le=20)] = 2
    checks_seen: Short
    registered: bool = False
    replaces: UUID | None = None
    code: Annotated[str, Meta(max_length=60)] | None = None


class NewMessage(Struct, kw_only=True, forbid_unknown_fields=True):
    """A question about an offer, or an answer to one."""

    offer_id: UUID
    words: Said


class NewChoices(Struct, kw_only=True, forbid_unknown_fields=True):
    """What the group agrees before any money, by topic."""

    choices: dict[Topic, Annotated[str, Meta(pattern=r"^[a-z_]{1,40}$")]]


class NewVote(Struct, kw_only=True, forbid_unknown_fields=True):
    """A question to the group, in plain words and in easy words."""

    motion: Motion
    words: Said
    easy_words: Short
    closes_at: Moment | None = None
    from_stage: Annotated[int, Meta(ge=1, le=50)] | None = None


class NewBallot(Struct, kw_only=True, forbid_unknown_fields=True):
    """A vote: an offer's id, or yes, no or abstain. ``helped``: how somebody helped you to vote."""

    choice: Annotated[str, Meta(pattern=r"^(yes|no|abstain|[0-9a-f-]{36})$")]
    helped: Helped | None = None


class NewStep(Struct, kw_only=True, forbid_unknown_fields=True):
    """The group's next step. ``promise_by`` goes with promises."""

    to: Literal["pledging", "review", "closed"]
    promise_by: Moment | None = None
    words: Said | None = None


class NewPledge(Struct, kw_only=True, forbid_unknown_fields=True):
    """A promise: so much of this budget is kept for this, and not spent yet."""

    budget_id: UUID
    amount_pence: Pence


class NewBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """The named legal body that signs for the group (law.md 7)."""

    called: Annotated[str, Meta(min_length=1, max_length=120, pattern=r"\S")]


class NewStageWord(Struct, kw_only=True, forbid_unknown_fields=True):
    """What you say about a stage: it is done (whoever offers it), it happened, it did not."""

    what: Literal["done", "confirmed", "disputed", "settled", "wages"]
    words: Said | None = None


class Leaving(Struct, kw_only=True, forbid_unknown_fields=True):
    """Leaving. No reason is needed; ``something_was_wrong`` is read by nobody in the group."""

    something_was_wrong: Said | None = None


class NewExit(Struct, kw_only=True, forbid_unknown_fields=True):
    """Somebody's money leaves by another's word. The group is told a number and nothing else."""

    reason: Literal["died", "funder_withdrew", "estate_settled"]
    words: Said


class Pausing(Struct, kw_only=True, forbid_unknown_fields=True):
    """A pause to keep somebody safe, or its end. The reason is kept with the concern, not here."""

    paused: bool


class PledgeOut(Struct, kw_only=True):
    """A promise, and how it stands: held, posted, let_go, expired, declined, returned."""

    id: UUID
    pool_id: UUID
    budget_id: UUID
    amount_pence: int
    state: str
    made_at: datetime
    ended_at: datetime | None
    free_pence: int | None = None


class MemberOut(Struct, kw_only=True):
    """Somebody in the group, by the name they use there."""

    number: int
    called: str
    access_needs: str | None
    state: str
    me: bool


class LineOut(Struct, kw_only=True):
    """A part of the price of one session."""

    words: str
    purpose: str
    pence: int


class OfferOut(Struct, kw_only=True):
    """An offer. ``each_pence``: what each pays at most when the fewest people come."""

    id: UUID
    called: str
    words: str
    lines: list[LineOut]
    sessions: int
    stages: int
    session_pence: int
    total_pence: int
    each_pence: int
    min_people: int
    max_people: int
    split: str
    notice_sessions: int
    checks_seen: str
    registered: bool
    replaces: UUID | None
    chosen: bool
    mine: bool


class MessageOut(Struct, kw_only=True):
    """A question or an answer."""

    offer_id: UUID
    called: str
    by: str
    words: str
    at: datetime


class VoteOut(Struct, kw_only=True):
    """A question to the group. ``counts`` is there when it has ended; how each voted never is."""

    id: UUID
    motion: str
    words: str
    easy_words: str
    from_stage: int | None
    opened_at: datetime
    closes_at: datetime
    outcome: str | None
    counts: dict[str, int] | None
    ended_at: datetime | None
    my_choice: str | None = None


class StageOut(Struct, kw_only=True):
    """A part that is paid when members have said that it happened."""

    number: int
    first_session: int
    last_session: int
    amount_pence: int
    state: str
    confirmed_by: int
    needed: int
    paid_at: datetime | None


class ChoiceOut(Struct, kw_only=True):
    """What is agreed for a topic; ``version`` 0 is the plain default, not chosen yet."""

    topic: str
    choice: str
    words: str
    version: int


class PoolOut(Struct, kw_only=True):
    """A group as its people see it. Somebody's reasons are never in it: only how many are in."""

    id: UUID
    area: str
    name: str
    summary: str
    state: State
    state_words: str
    version: int
    paused: bool
    people: int
    members: list[MemberOut]
    offers: list[OfferOut]
    messages: list[MessageOut]
    choices: list[ChoiceOut]
    votes: list[VoteOut]
    stages: list[StageOut]
    promise_by: datetime | None
    promised_pence: int
    target_pence: int | None
    body_called: str | None
    approvals: int
    created_at: datetime
    worried: tuple[str, ...] = WORRIED


class PoolLine(Struct, kw_only=True):
    """A group in a list: no names."""

    id: UUID
    name: str
    summary: str
    state: State
    people: int
    mine: bool


class PoolList(Struct, kw_only=True):
    """Groups: those one is in first, then those of five people and more that are open."""

    items: list[PoolLine]


class StepOut(Struct, kw_only=True):
    """One change of the group: what, why, by whom in which role, and to which version."""

    version: int
    what: str
    state: str
    role: str
    reason: str
    words: str | None
    at: datetime


class History(Struct, kw_only=True):
    """All changes, oldest first. Nothing is ever taken out of it."""

    items: list[StepOut]


class MyMoney(Struct, kw_only=True):
    """One source of mine in the group: in, used, back, and what I would get back today."""

    budget_id: UUID
    kind: str
    state: str
    go_ahead: str
    promised_pence: int
    put_in_pence: int
    used_pence: int
    returned_pence: int
    left_pence: int
    notice_pence: int
    back_today_pence: int
    may_be_used_for: list[str]


class MyEvent(Struct, kw_only=True):
    """Something that happened to my place or my money."""

    what: str
    amount_pence: int | None
    words: str | None
    at: datetime


class Mine(Struct, kw_only=True):
    """My one screen: what I put in, what for, what was spent, what would come back today (J3.1)."""

    pool_id: UUID
    name: str
    state: State
    number: int
    my_state: str
    money: list[MyMoney]
    events: list[MyEvent]
    in_words: str
    worried: tuple[str, ...] = WORRIED


class ShareOut(Struct, kw_only=True):
    """One share, without a name."""

    put_in_pence: int
    used_pence: int
    returned_pence: int
    left_pence: int
    mine: bool


class Books(Struct, kw_only=True):
    """The group's money to the penny; any member can check it (J3.2). ``missing_pence`` is 0."""

    shares: list[ShareOut]
    put_in_pence: int
    used_pence: int
    returned_pence: int
    left_pence: int
    missing_pence: int
