"""Suggestions and unmet wants as people see them: reasons in words, no score."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from api.listings.rules import Session
from api.matches.rules import State


class ReasonOut(Struct, kw_only=True):
    """One reason: its code for machines, its sentence for people."""

    code: str
    words: str


class IdeaOut(Struct, kw_only=True):
    """What was suggested, as far as this person may see it."""

    listing_id: UUID
    kind: str
    name: str
    words: str
    who: str | None
    town: str | None
    sessions: list[Session]
    price_pence: int | None


class SuggestionOut(Struct, kw_only=True):
    """An idea for you, and why. Nothing happens until both say yes."""

    id: UUID
    state: State
    idea: IdeaOut
    why_it_may_fit: list[ReasonOut]
    why_it_may_not: list[ReasonOut]
    we_do_not_know: list[ReasonOut]
    good_to_know: str | None
    what_next: list[str]


class SuggestionList(Struct, kw_only=True):
    """Ideas for a person, best first, and when somebody looked last."""

    items: list[SuggestionOut]
    looked_on: datetime | None
    looking_is_late: bool


class UnmetOut(Struct, kw_only=True):
    """Nothing here yet, said with what we looked at and when we look again."""

    statement_id: UUID
    words: str
    kind: str
    why: str
    looked_at: int
    people_looked_at: int
    since: datetime
    next_look_on: date
    next_look: str
    you_can: list[str]


class UnmetList(Struct, kw_only=True):
    """A person's wishes that nothing meets yet; and what is open to them whatever they wish."""

    items: list[UnmetOut]
    always_open: list[str]


class Step(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to do with an idea. ``why`` is for you alone, and never needed."""

    to: Literal["seen", "not_for_me", "introduction_asked"]
    why: Annotated[str, Meta(min_length=1, max_length=500, pattern=r"\S")] | None = None


class LookAsked(Struct, kw_only=True):
    """Somebody will look again, soon."""

    asked: bool
