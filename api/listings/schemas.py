"""Listings as they come in and go out."""

from datetime import date
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from api.areas.rules import Day, Fact, Slug, Words, Yes
from api.listings.rules import (
    DEFAULT_DISTANCE_METRES,
    MOST_A_PAGE,
    MOST_DISTANCE_METRES,
    PAGE,
    PricePer,
    PublicKind,
    Section,
    Session,
)

Name = Annotated[str, Meta(min_length=2, max_length=160, pattern=r"\S")]
Summary = Annotated[str, Meta(min_length=2, max_length=400, pattern=r"\S")]
LongText = Annotated[str, Meta(min_length=1, max_length=4000)]
Near = Annotated[str, Meta(min_length=2, max_length=12)]
Pence = Annotated[int, Meta(ge=0, le=100_000_00)]
Places = Annotated[int, Meta(ge=0, le=10_000)]
Website = Annotated[str, Meta(max_length=300, pattern=r"^https?://[^\s/]+\.[^\s]+$")]
Access = dict[Fact, Yes]


class NewListing(Struct, kw_only=True, forbid_unknown_fields=True):
    """A listing to be. ``price_pence`` null: not known; 0: free."""

    area: Slug
    kind: PublicKind
    name: Name
    summary: Summary
    description: LongText | None = None
    provider_name: Name | None = None
    near: Near
    postcode: Near | None = None
    address: Words | None = None
    website: Website | None = None
    sessions: Annotated[list[Session], Meta(max_length=50)] = []
    price_pence: Pence | None = None
    price_per: PricePer | None = None
    people_working: Annotated[int, Meta(ge=1, le=1000)] | None = None
    places_total: Places | None = None
    places_left: Places | None = None
    access: Access = {}


class NewOffer(Struct, kw_only=True, forbid_unknown_fields=True):
    """A person's own offer: their words, and when. Never public (law.md 1)."""

    name: Name
    words: Summary
    note: Summary | None = None
    sessions: Annotated[list[Session], Meta(max_length=50)] = []
    price_pence: Pence | None = None
    price_per: PricePer | None = None
    places_left: Places | None = None
    access: Access = {}


class Confirmation(Struct, kw_only=True, forbid_unknown_fields=True):
    """It is still right, with this many places left."""

    places_left: Places | None = None
    confirmed_on: date | None = None


class ListingMade(Struct, kw_only=True):
    """A listing's id and version, for its owner."""

    id: UUID
    version: int
    confirmed_until: date | None


class OfferOut(Struct, kw_only=True):
    """A person's own offer, for themselves and for somebody to whom it was suggested."""

    id: UUID
    name: str
    words: str
    note: str | None
    town: str | None
    sessions: list[Session]
    price_pence: int | None
    price_per: str | None
    places_left: int | None
    access: Access
    version: int


class OfferList(Struct, kw_only=True):
    """A person's own offers."""

    items: list[OfferOut]


class ListingOut(Struct):
    """What anybody may see of a listing. Distances from the place asked for, whole metres.

    Its fields are in the order of the columns that queries.search reads.
    """

    id: UUID
    kind: PublicKind
    area: str | None
    name: str
    summary: str
    description: str | None
    provider_name: str | None
    town: str | None
    near: str | None
    distance_metres: int | None
    address: str | None
    website: str | None
    sessions: list[Session]
    price_pence: int | None
    price_per: str | None
    places_left: int | None
    access: Access
    confirmed_on: date | None
    confirmed_lately: bool


class ListingPage(Struct, kw_only=True):
    """A page of listings of one section; those not confirmed lately have their own.

    ``searched_for``: how the words were spelt to find these, where as they came found nothing.
    """

    items: list[ListingOut]
    next: str | None
    section: Section
    searched_for: str | None = None


class Filters(Struct, kw_only=True, frozen=True):
    """What to look for. Nearest first where a place is given, newest first elsewhere."""

    near: Near | None = None
    within_metres: Annotated[int, Meta(ge=100, le=MOST_DISTANCE_METRES)] = DEFAULT_DISTANCE_METRES
    day: Day | None = None
    kind: PublicKind | None = None
    free: bool = False
    area: Slug | None = None
    section: Section = "confirmed"
    limit: Annotated[int, Meta(ge=1, le=MOST_A_PAGE)] = PAGE
    cursor: Annotated[str, Meta(max_length=200)] | None = None


class Search(Filters, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The same, and words. They come in a body so that they stay out of addresses."""

    words: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")]
