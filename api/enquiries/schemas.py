"""Enquiries as they come in and go out."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta, Struct

from api.areas.rules import Slug
from api.decisions.rules import AboutType
from api.enquiries.rules import Kind, LeadStep

Asked = Annotated[str, Meta(min_length=1, max_length=2000, pattern=r"\S")]


class About(Struct, kw_only=True, forbid_unknown_fields=True):
    """What it is about: anything one can be worried about, by its id. It need not be yours."""

    type: AboutType
    id: UUID


class NewEnquiry(Struct, kw_only=True, forbid_unknown_fields=True):
    """Something to ask. No account, no story, no reason why you may."""

    area: Slug
    kind: Kind = "question"
    words: Asked
    about: About | None = None


class EnquiryAsked(Struct, kw_only=True):
    """It has arrived. A person answers by ``due_at``; ``code`` lets you come back and look."""

    SECRET_FIELDS: ClassVar[tuple[str, ...]] = ("code",)

    id: UUID
    code: str | None
    front_door: str
    asked_at: datetime
    due_at: datetime
    who_reads_this: str
    do_now: list[str]
    always_open: list[str]


class NewAnswer(Struct, kw_only=True, forbid_unknown_fields=True):
    """An answer, or a further word from whoever asked."""

    words: Asked


class MessageOut(Struct, kw_only=True):
    """One thing said: by "asker" or by "front_door"."""

    by: str
    at: datetime
    words: str


class EventOut(Struct, kw_only=True):
    """What happened when."""

    what: str
    at: datetime


class NewLeadNote(Struct, kw_only=True, forbid_unknown_fields=True):
    """What was done for the adult at risk: asked what they want, told, or not told and why not."""

    step: LeadStep
    words: Asked | None = None


class LeadNoteOut(Struct, kw_only=True):
    """What was done for the adult at risk, and when."""

    step: LeadStep
    words: str | None
    at: datetime


class EnquiryOut(Struct, kw_only=True):
    """An enquiry with its clock; the same clock for whoever asked and for the front door.

    ``lead_notes`` are told to the area's managers and social workers alone.
    """

    id: UUID
    kind: Kind
    area: str
    asked_at: datetime
    due_at: datetime
    seen_at: datetime | None
    answered_at: datetime | None
    overdue: bool
    about: About | None
    messages: list[MessageOut]
    events: list[EventOut]
    lead_notes: list[LeadNoteOut]


class EnquiryLine(Struct, kw_only=True):
    """An enquiry in a list: its clock, without its words."""

    id: UUID
    kind: Kind
    area: str
    asked_at: datetime
    due_at: datetime
    answered_at: datetime | None
    overdue: bool


class EnquiryList(Struct, kw_only=True):
    """Enquiries, the soonest due first."""

    items: list[EnquiryLine]
    next: str | None
