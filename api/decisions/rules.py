"""Who signs what, on which grounds a no may stand, how soon; and the ways on from a no."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from api.areas.clocks import add_hours, add_working_days
from api.areas.rules import AreaSettings
from api.identity.rules import Profession, Role

Body = Literal["council", "nhs", "charity"]
Ground = Literal["law", "safety", "plan_fit"]  # the only grounds of a no
State = Literal["waiting", "approved", "declined", "superseded", "withdrawn"]
Outcome = Literal["approved", "declined"]
SecondLook = Literal["stands", "changed"]
StopGround = Literal["harm", "pressure", "not_their_wish", "something_else"]
StopAnswer = Literal["upheld", "lifted"]
Which = Literal["own", "to_decide"]
# What anybody may say "stop" to, or be worried about.
AboutType = Literal["pool", "pool_stage", "budget", "sign_off", "person", "listing"]

GROUND_WORDS: dict[Ground, str] = {
    "law": "The law does not allow it.",
    "safety": "It is not safe as it is.",
    "plan_fit": "It does not fit the plan.",
}
WHO_READS_STOPS = (
    "The managers and social workers of this area read this, and you. Nobody else is told who "
    "said stop, or why."
)
STOP_DO_NOW = [
    "If anyone is in danger now, ring 999.",
    "What is under way already goes on: care, wages and contact. Only the change waits.",
]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a go-ahead or a stop is about: a type and an id of a slice above."""

    type: str
    id: UUID


@dataclass(frozen=True, slots=True)
class Signers:
    """Who gives a body's go-ahead: professions that work with the person, roles of the area."""

    professions: frozenset[Profession]
    roles: frozenset[Role]


_SIGNERS: dict[Body, Signers] = {
    "council": Signers(
        frozenset({"social_worker", "occupational_therapist"}), frozenset({"manager"})
    ),
    "nhs": Signers(frozenset({"nurse", "doctor", "psychologist"}), frozenset({"manager"})),
    "charity": Signers(frozenset(), frozenset({"commissioner", "manager"})),
}
SIGNING_ROLES: tuple[Role, ...] = ("professional", "manager", "commissioner")

_SIGNERS_CALLED: dict[Body, str] = {
    "council": "a social worker or occupational therapist who works with the person, or a manager",
    "nhs": "a nurse, doctor or psychologist who works with the person, or a manager",
    "charity": "somebody of the charity, or a manager",
}
_HIGHER: dict[Body, str] = {
    "council": "After that: the Local Government and Social Care Ombudsman.",
    "nhs": "After that: the Parliamentary and Health Service Ombudsman.",
    "charity": "After that: complain to the charity's trustees.",
}


def signers_of(body: Body) -> Signers:
    """Return who signs a body's money (law.md 6); the policies of migration 0009 say the same."""
    return _SIGNERS[body]


def signers_called(body: Body) -> str:
    """Return who signs, in words."""
    return _SIGNERS_CALLED[body]


def ways_on(body: Body) -> list[str]:
    """Return what is possible after a no: look again, an advocate, the Ombudsman (law.md 6)."""
    return [
        "Look again: somebody new checks the decision. Ask for it here.",
        "Ask for an advocate: someone on your side, not the council's.",
        _HIGHER[body],
    ]


def sign_off_due(*, asked_at: datetime, settings: AreaSettings) -> datetime:
    """Return by when a go-ahead is decided. After that the manager has it; it is never a no."""
    return _working_days(asked_at, settings.sign_off_working_days, settings)


def challenge_due(*, raised_at: datetime, settings: AreaSettings) -> datetime:
    """Return by when somebody else has looked again."""
    return _working_days(raised_at, settings.challenge_working_days, settings)


def stop_reply_due(*, raised_at: datetime, settings: AreaSettings) -> datetime:
    """Return by when a stop is answered: hours round the clock. After that it still holds."""
    return add_hours(raised_at, settings.stop_reply_hours)


def _working_days(start: datetime, days: int, settings: AreaSettings) -> datetime:
    return add_working_days(start, days, calendar=settings.calendar, time_zone=settings.time_zone)
