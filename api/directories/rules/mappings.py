"""The seven CSV formats that are understood, as data: what each column is and how it is read.

A new directory is one more ``Mapping`` here, not a new program.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from api.areas.rules import FACT_WORDS
from api.directories.rules import readers as read
from api.directories.rules.opening import Session, slots_begun, slots_open
from api.directories.rules.readers import Reader


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``into`` is the field it fills; None: known, and not taken in.

    ``unreadable_is_absent`` is for boxes that registers fill with anything at all: what cannot be
    read there counts as not given, and the row says so in ``left_out``.
    """

    header: str
    into: str | None = None
    read: Reader = read.line
    required: bool = False
    unreadable_is_absent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """One format. ``summary``, ``description`` and ``opening`` are made from the fields read.

    ``summary``: the first sentence all of whose fields are there. ``description``: every paragraph
    all of whose fields are there. ``address_shown``: whether the postcode is that of a place people
    go to; of a charity it may be a trustee's home. ``key``: the fields whose words, with the source
    and the postcode, make a row the same row when it comes again.
    """

    source: str
    title: str
    columns: tuple[Column, ...]
    summary: tuple[str, ...]
    description: tuple[str, ...]
    opening: str | None = None
    address_shown: bool = True
    key: tuple[str, ...] = ("name",)
    slots: Callable[[Sequence[Session]], tuple[str, ...] | None] = slots_open

    @property
    def header(self) -> tuple[str, ...]:
        """The exact names of the columns, in the order the source gives them."""
        return tuple(column.header for column in self.columns)


NOTHING_SAID: Final = "A registered charity. The register does not say what it does."

FOOD_BANKS: Final = Mapping(
    source="greater_manchester_food_banks",
    title="Food banks in Greater Manchester",
    columns=(
        Column("Name", "name", read.name, required=True),
        Column("Referral method", "referral_note"),
        Column("Opening times", "opening_times"),
        Column("Address", "address", read.address),
        Column("Postcode", "postcode", read.postcode, required=True),
        Column("Website", "website", read.first_website, unreadable_is_absent=True),
        Column("Area name", "area"),
        Column("Area code"),
    ),
    summary=(
        "A food bank in {area}. Open: {opening_times}",
        "A food bank in {area}. Ask first when it is open.",
        "A food bank.",
    ),
    description=(
        "A food bank in {area}.",
        "Open, as they say it: {opening_times}",
        "How to get help there: {referral_note}",
    ),
    opening="opening_times",
)

LIBRARIES: Final = Mapping(
    source="greater_manchester_libraries",
    title="Libraries in Greater Manchester",
    columns=(
        Column("name", "name", read.name, required=True),
        Column("address", "address", read.address),
        Column("postcode", "postcode", read.postcode, required=True),
        Column("type", "type"),
        Column("website", "website", read.first_website, unreadable_is_absent=True),
        Column("area_name", "area"),
        Column("area_code"),
        Column("lon"),
        Column("lat"),
    ),
    summary=("A library in {area}.", "A library."),
    description=("A library in {area}.", "Who runs it: {type}."),
)

CHARITIES: Final = Mapping(
    source="trafford_charities",
    title="Charities active in Trafford",
    columns=(
        Column("registered_charity_number"),
        Column("charity_name", "name", read.name_from_capitals, required=True),
        Column("charity_activities", "activities", read.text),
        Column("date_of_registration"),
        Column("charity_contact_postcode", "postcode", read.postcode, required=True),
        Column("charity_contact_web", "website", read.first_website, unreadable_is_absent=True),
    ),
    summary=("{activities}", NOTHING_SAID),
    description=("{activities}",),
    address_shown=False,
)

MENTAL_HEALTH: Final = Mapping(
    source="trafford_mental_health_services",
    title="Help with mental health in Trafford",
    columns=(
        Column("name", "name", read.name, required=True),
        Column("description", "about", read.text),
        Column("address", "address", read.address),
        Column("postcode", "postcode", read.postcode, required=True),
        Column("website", "website", read.first_website, unreadable_is_absent=True),
    ),
    summary=("{about}", "Help with mental health."),
    description=("{about}",),
)

SPORTS_CLUBS: Final = Mapping(
    source="trafford_sports_clubs",
    title="Sports clubs in Trafford",
    columns=(
        Column("name", "name", read.name, required=True),
        Column("category", "category"),
        Column("address", "address", read.address),
        Column("postcode", "postcode", read.postcode, required=True),
    ),
    summary=("A sports club: {category}.", "A sports club."),
    description=("A sports club: {category}.",),
)

UK_CHARITIES: Final = Mapping(
    source="uk_charities_sample",
    title="A sample of charities of the United Kingdom",
    columns=(
        Column("org_id"),
        Column("name", "name", read.name_from_capitals, required=True),
        Column("postcode", "postcode", read.postcode, required=True),
        Column("date_registered"),
        Column("activities", "activities", read.text),
        Column("objects", "objects", read.text),
        Column("web", "website", read.first_website, unreadable_is_absent=True),
    ),
    summary=("{activities}", "{objects}", NOTHING_SAID),
    description=("{activities}", "What it was set up for: {objects}"),
    address_shown=False,
)

KITH: Final = Mapping(
    source="kith",
    title="Kith's own format, for what a provider offers",
    columns=(
        Column("kind", "kind", read.kind, required=True),
        Column("name", "name", read.name, required=True),
        Column("summary", "short", required=True),
        Column("description", "about", read.text),
        Column("provider_name", "provider_name", read.name, required=True),
        Column("postcode", "postcode", read.postcode, required=True),
        Column("address", "address", read.address),
        Column("days", "days", read.days),
        Column("starts", "starts", read.clock),
        Column("ends", "ends", read.clock),
        Column("price_pence", "price_pence", read.pence),
        Column("price_per", "price_per", read.price_per),
        Column("places_total", "places_total", read.places),
        Column("places_left", "places_left", read.places),
        Column("website", "website", read.website),
        *(Column(fact, f"fact:{fact}", read.yes_or_no) for fact in FACT_WORDS),
    ),
    summary=("{short}",),
    description=("{about}",),
    # Two providers may both hold a "Coffee morning" in one hall.
    key=("provider_name", "name"),
    slots=slots_begun,
)

MAPPINGS: Final = (
    FOOD_BANKS,
    LIBRARIES,
    CHARITIES,
    MENTAL_HEALTH,
    SPORTS_CLUBS,
    UK_CHARITIES,
    KITH,
)
