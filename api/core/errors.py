"""Refusals: every one says which rule, who can change it and what else is possible."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that cannot be taken as it is. ``field`` is a dotted path into the body."""

    field: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRead:
    """A read that did not happen: kept as a receipt for the person it was about."""

    about_id: UUID
    what: str


class Refusal(Exception):
    """A request that Kith does not carry out, with the reason and the ways on.

    ``detail`` and ``what_else`` are shown to people and never quote a person's words.
    ``leaves`` is what the refusal leaves on record after the roll-back (core.refusals).
    """

    status = 400
    title = "This cannot be done as asked"

    def __init__(
        self,
        *,
        rule: str,
        detail: str,
        who_can_change_it: str,
        what_else: Sequence[str] = (),
        errors: Sequence[FieldError] = (),
        leaves: RefusedRead | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(rule)
        self.rule = rule
        self.detail = detail
        self.who_can_change_it = who_can_change_it
        self.what_else = tuple(what_else)
        self.errors = tuple(errors)
        self.leaves = leaves
        self.retry_after_seconds = retry_after_seconds


class NotSignedIn(Refusal):
    """Nobody is signed in, and this needs somebody."""

    status = 401
    title = "Please sign in"


class NotAllowed(Refusal):
    """Whoever is signed in may not do this."""

    status = 403
    title = "You may not do this"


class NotFound(Refusal):
    """It is not there, or not there for whoever asks: the two look the same on purpose."""

    status = 404
    title = "Not found"


class Conflict(Refusal):
    """It clashes with how things stand now."""

    status = 409
    title = "This clashes with how things are now"


class Gone(Refusal):
    """It was there and is no longer kept."""

    status = 410
    title = "No longer kept"


class Invalid(Refusal):
    """What was sent can be read and cannot be accepted."""

    status = 422
    title = "Something needs another look"


class TooMany(Refusal):
    """Too many tries in too short a time."""

    status = 429
    title = "Please wait a little"


class Unavailable(Refusal):
    """Kith is busy or a part of it is down; nothing was changed."""

    status = 503
    title = "Busy just now"


THE_CALLER = "You can, by changing what you send."
NOBODY = "Nobody: this keeps people safe."


def not_found(what: str, *, leaves: RefusedRead | None = None) -> NotFound:
    """Return the refusal for a thing that is absent or hidden, worded the same for both."""
    return NotFound(
        rule="visible-to-you",
        detail=f"There is no {what} here that you can see.",
        who_can_change_it="Whoever it belongs to can share it with you.",
        what_else=["Check the address.", "Ask the person, or your worker."],
        leaves=leaves,
    )


def invalid(
    rule: str, field: str, message: str, *, what_else: Sequence[str] = (), who: str = THE_CALLER
) -> Invalid:
    """Return the refusal of one field."""
    return Invalid(
        rule=rule,
        detail=message,
        who_can_change_it=who,
        what_else=what_else,
        errors=[FieldError(field, message)],
    )


def busy(rule: str = "busy") -> Unavailable:
    """Return the refusal that says: nothing was changed, try again."""
    return Unavailable(
        rule=rule,
        detail="Kith is busy just now. Nothing was changed, and nothing is lost.",
        who_can_change_it="Nobody needs to: it clears by itself.",
        what_else=["Send the same again in a few seconds, with the same Idempotency-Key."],
        retry_after_seconds=2,
    )


def perhaps_done() -> Unavailable:
    """Return the refusal of a change whose end nobody here has seen: try again, and find out."""
    return Unavailable(
        rule="perhaps-done",
        detail="The way to the database broke off at the moment in which this was being kept. It"
        " may have been done, or not.",
        who_can_change_it="You can, by sending the same again.",
        what_else=[
            "Send the same again in a few seconds, with the same Idempotency-Key: it is done once.",
            "If you sent no key, read first whether it is there.",
        ],
        retry_after_seconds=2,
    )
