"""A person's story as it comes in and goes out."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from api.areas.rules import Fact, Slot, Slug, Yes
from api.identity.schemas import Called
from api.people.rules import Kind

Said = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"\S")]
SaidList = Annotated[list[Said], Meta(max_length=20)]
Near = Annotated[str, Meta(min_length=2, max_length=12)]
FreeTimes = Annotated[list[Slot], Meta(max_length=35)]
TravelMetres = Annotated[int, Meta(ge=100, le=1_000_000)]
SpendPence = Annotated[int, Meta(ge=0, le=100_000_00)]


class FactWanted(Struct, frozen=True, forbid_unknown_fields=True):
    """A fact as the person has confirmed it: wanted so, not wanted so, or not known yet."""

    fact: Fact
    wanted: Yes


class NewStatement(Struct, kw_only=True, forbid_unknown_fields=True):
    """One thing to say. Facts go with what one avoids or needs."""

    kind: Kind
    words: Said
    facts: Annotated[list[FactWanted], Meta(max_length=20)] = []


class StartStory(Struct, kw_only=True, forbid_unknown_fields=True):
    """The two first questions; everything else can wait.

    ``homes_wanted``: would you like to hear of Shared Lives homes? Nobody does unless they say so.
    """

    area: Slug
    called: Called
    good_at: SaidList = []
    want_to: SaidList = []
    not_asked_yet: bool = False
    also: Annotated[list[NewStatement], Meta(max_length=20)] = []
    near: Near | None = None
    free_times: FreeTimes | None = None
    travel_limit_metres: TravelMetres | None = None
    spend_limit_pence: SpendPence | None = None
    matching_wanted: bool = True
    homes_wanted: bool = False


class StoryStarted(Struct, kw_only=True):
    """A story has begun. ``code`` opens it again; it is shown once."""

    SECRET_FIELDS: ClassVar[tuple[str, ...]] = ("code",)

    id: UUID
    code: str | None
    ask_by: datetime | None
    always_open: list[str]


class ChangePerson(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change about one's practicalities; what is left out stays; null means: not said."""

    called: Called | UnsetType = UNSET
    near: Near | None | UnsetType = UNSET
    free_times: FreeTimes | None | UnsetType = UNSET
    travel_limit_metres: TravelMetres | None | UnsetType = UNSET
    spend_limit_pence: SpendPence | None | UnsetType = UNSET
    matching_wanted: bool | UnsetType = UNSET
    homes_wanted: bool | UnsetType = UNSET


class StatementOut(Struct, kw_only=True):
    """One thing a person says, and its version."""

    id: UUID
    kind: Kind
    words: str
    version: int
    said_at: datetime
    facts: list[FactWanted]


class StoryOut(Struct, kw_only=True):
    """A story: the two questions first."""

    id: UUID
    area: str
    called: str
    town: str | None
    good_at: list[StatementOut]
    want_to: list[StatementOut]
    also: list[StatementOut]
    free_times: list[str] | None
    travel_limit_metres: int | None
    spend_limit_pence: int | None
    matching_wanted: bool
    homes_wanted: bool
    ask_by: datetime | None
    version: int


class ReceiptOut(Struct, kw_only=True):
    """Who looked at what, which version, when and why; "refused" when it did not open."""

    at: datetime
    who: str
    who_id: UUID | None
    what: str
    version: int | None
    why: str | None
    outcome: str


class ReceiptList(Struct, kw_only=True):
    """Who looked, newest first."""

    items: list[ReceiptOut]
    next: str | None


class CodeOut(Struct, kw_only=True):
    """A new come-back code, shown once. The old ones have ended."""

    SECRET_FIELDS: ClassVar[tuple[str, ...]] = ("code",)

    code: str | None
