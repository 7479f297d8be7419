"""What a listing is, who may make which, and what of it is public."""

from collections.abc import Mapping
from datetime import time
from typing import Annotated, Literal

from msgspec import Meta, Struct

from api.areas.rules import AreaSettings, Day, days_mask, session_mask
from api.core.errors import NotAllowed, invalid

PublicKind = Literal["micro_enterprise", "shared_lives", "peer_group", "community"]
PricePer = Literal["session", "hour", "day", "night", "week", "month"]
Section = Literal["confirmed", "not_confirmed_lately"]

WHO_MAY_LIST: dict[str, tuple[str, ...]] = {
    "micro_enterprise": ("provider", "area_admin"),
    "shared_lives": ("scheme_worker", "area_admin"),
    "peer_group": ("citizen", "supporter", "provider", "professional", "area_admin"),
    "community": ("citizen", "supporter", "provider", "professional", "area_admin"),
}

MOST_DISTANCE_METRES = 50_000
DEFAULT_DISTANCE_METRES = 5_000
PAGE = 20
MOST_A_PAGE = 50


class Session(Struct, frozen=True, forbid_unknown_fields=True):
    """When something happens in a usual week, local time."""

    day: Day
    start: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    end: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


def check_sessions(sessions: list[Session]) -> None:
    """Raise Invalid when a session ends before it starts."""
    for index, one in enumerate(sessions):
        if one.end <= one.start:
            raise invalid(
                "ends-after-start", f"sessions[{index}].end", "A session ends after it starts."
            )


def times_of(sessions: list[Session]) -> tuple[int | None, int | None]:
    """Return the slots (35 bits) and days (7 bits) of sessions; None, None when not known."""
    if not sessions:
        return None, None
    times = 0
    for one in sessions:
        times |= session_mask(one.day, time.fromisoformat(one.start))
    return times, days_mask([one.day for one in sessions])


def check_places(total: int | None, left: int | None) -> None:
    """Raise Invalid when more places are left than there are."""
    if total is not None and left is not None and left > total:
        raise invalid("places-left", "places_left", "More places are left than there are.")


def check_size(kind: str, people_working: int | None, settings: AreaSettings) -> None:
    """Raise Invalid when a small local business is larger than its area calls small."""
    most = settings.micro_enterprise_max_people
    if kind == "micro_enterprise" and people_working is not None and people_working > most:
        raise invalid(
            "micro-enterprise-size",
            "people_working",
            f"Here a small local business has at most {most} people working in it.",
            who="The area's admin sets the number.",
            what_else=["List it as a community activity.", "Ask about a second, separate group."],
        )


def check_kind_address(kind: str, ways_there: Mapping[str, str | None]) -> None:
    """Raise Invalid for a Shared Lives home that could be found: only its area is kept (law.md 1).

    ``ways_there``: an address, postcode and website by the name of their field.
    """
    given = next((field for field, value in ways_there.items() if value is not None), None)
    if kind == "shared_lives" and given is not None:
        raise invalid(
            "home-address",
            given,
            "A Shared Lives home shows its area only. Give 'near', such as M32 8.",
            who="Nobody: this keeps a family's home safe.",
        )


def may_not_list(kind: str) -> NotAllowed:
    """Return the refusal of somebody who may not list this kind of thing."""
    roles = ", ".join(role.replace("_", " ") for role in WHO_MAY_LIST[kind])
    return NotAllowed(
        rule="who-may-list",
        detail=f"This kind of thing is listed by: {roles}.",
        who_can_change_it="The area's admin gives and takes roles.",
        what_else=["Make an offer of your own: POST /v1/people/{id}/offers."],
    )
