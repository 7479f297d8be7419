"""A locality's settings as data, and the words for facts and times that all slices share."""

from collections.abc import Sequence
from datetime import date, time, timedelta
from typing import Annotated, Literal

from msgspec import Meta, Struct

Yes = Literal["yes", "no", "unknown"]
OperatingMode = Literal["introduce_only", "managed"]
Calendar = Literal["ENG", "SCT", "WLS", "NIR"]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PARTS = ("early", "morning", "afternoon", "evening", "night")
_PART_STARTS = (time(0), time(9), time(12), time(17), time(21, 30))

Slot = Literal[
    "mon_early",
    "mon_morning",
    "mon_afternoon",
    "mon_evening",
    "mon_night",
    "tue_early",
    "tue_morning",
    "tue_afternoon",
    "tue_evening",
    "tue_night",
    "wed_early",
    "wed_morning",
    "wed_afternoon",
    "wed_evening",
    "wed_night",
    "thu_early",
    "thu_morning",
    "thu_afternoon",
    "thu_evening",
    "thu_night",
    "fri_early",
    "fri_morning",
    "fri_afternoon",
    "fri_evening",
    "fri_night",
    "sat_early",
    "sat_morning",
    "sat_afternoon",
    "sat_evening",
    "sat_night",
    "sun_early",
    "sun_morning",
    "sun_afternoon",
    "sun_evening",
    "sun_night",
]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Fact = Literal[
    "step_free",
    "accessible_toilet",
    "hearing_loop",
    "quiet_space",
    "sign_language",
    "easy_read",
    "supporter_welcome",
    "near_bus",
    "parking",
    "dogs",
    "cats",
    "smoking",
    "alcohol",
    "crowds",
    "loud_music",
    "online",
]

# What people read: (it is so, it is not so, the question to ask).
FACT_WORDS: dict[str, tuple[str, str, str]] = {
    "step_free": ("no steps", "there are steps", "Are there steps?"),
    "accessible_toilet": (
        "an accessible toilet",
        "no accessible toilet",
        "Is there an accessible toilet?",
    ),
    "hearing_loop": ("a hearing loop", "no hearing loop", "Is there a hearing loop?"),
    "quiet_space": ("a quiet space", "no quiet space", "Is there a quiet place to go?"),
    "sign_language": ("sign language", "no sign language", "Does anybody sign?"),
    "easy_read": ("easy-read papers", "no easy-read papers", "Is there an easy-read leaflet?"),
    "supporter_welcome": (
        "you can bring somebody",
        "you come on your own",
        "Can somebody come with you?",
    ),
    "near_bus": ("a bus stop near", "no bus stop near", "Is there a bus stop near?"),
    "parking": ("parking", "no parking", "Is there parking?"),
    "dogs": ("dogs are there", "no dogs", "Are there dogs?"),
    "cats": ("cats are there", "no cats", "Are there cats?"),
    "smoking": ("people smoke there", "nobody smokes there", "Does anybody smoke there?"),
    "alcohol": ("there is alcohol", "no alcohol", "Is there alcohol?"),
    "crowds": ("it gets crowded", "it does not get crowded", "Does it get crowded?"),
    "loud_music": ("loud music", "no loud music", "Is the music loud?"),
    "online": ("it is online", "it is not online", "Is it online?"),
}

NOT_ASKED_YET_DAYS = 7  # law.md 2 (Care Act ss.9-11): stands 7 days, in every area.

Words = Annotated[str, Meta(min_length=1, max_length=300)]
Slug = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
Outward = Annotated[str, Meta(pattern=r"^[A-Z]{1,2}[0-9][A-Z0-9]?$")]


class CheckTier(Struct, frozen=True, forbid_unknown_fields=True):
    """One tier of checks: never more than the tier needs (S29)."""

    code: Annotated[str, Meta(pattern=r"^[a-z_]{1,40}$")]
    name: Words
    needs: Annotated[list[Words], Meta(max_length=20)]


class AreaSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything an area decides for itself (S85, S119). Distances in metres, clocks as named."""

    front_door_name: Words
    calendar: Calendar = "ENG"
    time_zone: Annotated[str, Meta(pattern=r"^[A-Za-z_]+/[A-Za-z_]+$")] = "Europe/London"
    answer_within_working_days: Annotated[int, Meta(ge=1, le=20)] = 2
    safeguarding_answer_hours: Annotated[int, Meta(ge=1, le=24)] = 4
    sign_off_working_days: Annotated[int, Meta(ge=1, le=20)] = 10
    challenge_working_days: Annotated[int, Meta(ge=1, le=20)] = 10
    stop_reply_hours: Annotated[int, Meta(ge=1, le=24)] = 24
    look_again_days: Annotated[int, Meta(ge=1, le=60)] = 14
    confirm_within_days: Annotated[int, Meta(ge=7, le=90)] = 30
    travel_limit_metres: Annotated[int, Meta(ge=500, le=100_000)] = 8_000
    micro_enterprise_max_people: Annotated[int, Meta(ge=1, le=50)] = 5
    operating_mode: OperatingMode = "introduce_only"
    check_tiers: Annotated[list[CheckTier], Meta(max_length=10)] = []
    towns: Annotated[dict[str, Words], Meta(max_length=400)] = {}
    outwards: Annotated[list[Outward], Meta(max_length=400)] = []


def town_of(settings: AreaSettings, *, outward: str, sector: str | None) -> str:
    """Return the name people use for a place: by sector, by outward code, or the code itself."""
    by_sector = settings.towns.get(f"{outward} {sector}") if sector else None
    return by_sector or settings.towns.get(outward) or outward


def slots_mask(slots: Sequence[str]) -> int:
    """Return a set of slots ("tue_evening") as a mask of 35 bits: day * 5 + part."""
    mask = 0
    for slot in slots:
        day, part = slot.split("_")
        mask |= 1 << (DAYS.index(day) * len(PARTS) + PARTS.index(part))
    return mask


def mask_slots(mask: int) -> list[str]:
    """Return the slots in a mask, in the order of the week."""
    return [
        f"{day}_{part}"
        for day_index, day in enumerate(DAYS)
        for part_index, part in enumerate(PARTS)
        if mask >> (day_index * len(PARTS) + part_index) & 1
    ]


def session_mask(day: str, start: time) -> int:
    """Return the slot in which something begins. Whoever can come at the start can come."""
    part = max(index for index, begins in enumerate(_PART_STARTS) if begins <= start)
    return 1 << (DAYS.index(day) * len(PARTS) + part)


def days_mask(days: list[str]) -> int:
    """Return days as a mask of 7 bits, Monday lowest."""
    mask = 0
    for day in days:
        mask |= 1 << DAYS.index(day)
    return mask


def confirmed_until(confirmed_on: date | None, settings: AreaSettings) -> date | None:
    """Return the last day on which a listing counts as confirmed; None if it never was."""
    if confirmed_on is None:
        return None
    return confirmed_on + timedelta(days=settings.confirm_within_days)
