"""What can be asked at the front door, how soon it is answered, and what is never refused."""

from datetime import datetime
from typing import Literal

from api.areas.clocks import add_hours, add_working_days
from api.areas.rules import AreaSettings

Kind = Literal["question", "assessment", "carers_assessment", "safeguarding", "emergency"]
# law.md 3: the adult at risk is asked what they want, and told; or the lead says why not.
LeadStep = Literal["asked_wish", "told", "not_told"]
URGENT: tuple[Kind, ...] = ("safeguarding", "emergency")

WHO_READS = (
    "The front door team of your area reads this; a worry about safety, its social workers and "
    "managers alone."
)
DO_NOW: dict[str, list[str]] = {
    "emergency": [
        "If anyone is in danger now, ring 999. Do not wait for us.",
        "Unwell and not sure what to do? Ring 111.",
    ],
    "safeguarding": [
        "If anyone is in danger now, ring 999.",
        "Besides the people who answer it, only you with the code can see this. It is not shown in "
        "anybody's story.",
    ],
}


def due_at(kind: Kind, *, asked_at: datetime, settings: AreaSettings) -> datetime:
    """Return by when a person answers: working days, or hours round the clock when urgent."""
    if kind in URGENT:
        return add_hours(asked_at, settings.safeguarding_answer_hours)
    return add_working_days(
        asked_at,
        settings.answer_within_working_days,
        calendar=settings.calendar,
        time_zone=settings.time_zone,
    )
