"""What a batch may hold, and every refusal in words. No I/O here.

Money goes from a debit account to a credit account, in whole pence. A source account stands for
money coming from outside and may go below zero by what it gave; no other account ever may. Money
stays with its source: both accounts of a transfer have one ``source_key``.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from api.core.errors import (
    NOBODY,
    THE_CALLER,
    Conflict,
    Invalid,
    Refusal,
    invalid,
    not_found,
)
from api.core.money import in_words

MAX_AMOUNT_PENCE = 100_000_000_000
MAX_BALANCE_PENCE = 1_000_000_000_000_000
LINES_AT_ONCE = 999
# Errors of the posting function; the message is the rule, the detail its facts as JSON.
SQLSTATE_CLASS = "KL"

_CODE = re.compile(r"[a-z][a-z_.]{0,63}")
_KIND = re.compile(r"[a-z][a-z_]{0,30}")
_NAME = re.compile(r"[A-Za-z0-9:_.\-]{1,120}")
_TASK = re.compile(r"[a-z_]+\.[a-z_]+")
_ASKS_AGAIN = re.compile(r"\bagain\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """An account to open: whose it is and which source its money has, as opaque codes.

    There is one open account of a kind, owner and source; opening it again finds it. Raises
    ValueError for what is not a code: these come from other slices, never from people.
    """

    kind: str
    owner_key: str
    source_key: str
    may_go_negative: bool = False

    def __post_init__(self) -> None:
        if not (_KIND.fullmatch(self.kind) and _NAME.fullmatch(self.owner_key)):
            raise ValueError("an account's kind and owner are codes")
        if not _NAME.fullmatch(self.source_key):
            raise ValueError("an account's source is a code")
        if self.may_go_negative and self.kind != "source":
            raise ValueError("only a source may go below zero")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Move pence from ``debit_id`` to ``credit_id``."""

    debit_id: UUID
    credit_id: UUID
    amount_pence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Keep pence of an account for later. They still belong to it and cannot be used otherwise."""

    account_id: UUID
    amount_pence: int
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostHold:
    """Pay out a hold, or a part of it (the rest is free again). It ends the hold."""

    hold_id: UUID
    credit_id: UUID
    amount_pence: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHold:
    """Let a hold go: all of it is free again. It ends the hold."""

    hold_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverse:
    """Post the reverse of a transfer, once. The transfer itself stays where it is."""

    transfer_id: UUID


Step = Transfer | Hold | PostHold | ReleaseHold | Reverse


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What an operation is about, for the audit: an opaque type and id."""

    type: str
    id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """A task to be run once the operation is committed: its row goes in with the effect."""

    task: str
    payload: Mapping[str, UUID | int | bool | None]

    def __post_init__(self) -> None:
        if not _TASK.fullmatch(self.task):
            raise ValueError("a task is named slice.task")


@dataclass(frozen=True, slots=True, kw_only=True)
class Also:
    """A caller's own INSERT, UPDATE or DELETE that rides in the statement of the posting.

    ``sql`` may select from ``posted (again, ids, available_pence)``, one row, and must do nothing
    where ``again`` is true: "... FROM posted WHERE NOT again". It is a constant, with a ``:name``
    for each of ``values`` and CAST where PostgreSQL cannot tell a type. It runs as the caller,
    after the posting and with its accounts locked; in what it reads, the posting is not to be
    seen yet. Raises ValueError for sql that does not ask whether the posting is a repeated one.
    """

    sql: str
    values: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not _ASKS_AGAIN.search(self.sql):
            raise ValueError("what rides along does nothing when the posting is a repeated one")
        if any(name.startswith("p_") for name in self.values):
            raise ValueError("names that start with p_ are the posting's own")


@dataclass(frozen=True, slots=True)
class Lines:
    """A batch as the posting function takes it: one array for each column."""

    kinds: list[str]
    starts: list[UUID]
    ends: list[UUID | None]
    pence: list[int | None]
    until: list[datetime | None]


def lines(steps: Sequence[Step]) -> Lines:
    """Return a batch as columns; raise Invalid for an amount that is not whole pence in bounds.

    Raises ValueError for an empty batch or one of more than LINES_AT_ONCE steps.
    """
    if not 1 <= len(steps) <= LINES_AT_ONCE:
        raise ValueError(f"a batch has 1 to {LINES_AT_ONCE} steps")
    made = Lines([], [], [], [], [])
    for step in steps:
        kind, start, end, pence, until = _line(step)
        made.kinds.append(kind)
        made.starts.append(start)
        made.ends.append(end)
        made.pence.append(pence)
        made.until.append(until)
    return made


def check_amount(pence: int) -> int:
    """Return whole pence from 1 to MAX_AMOUNT_PENCE; raise Invalid for anything else.

    A bool, a float (NaN too) and a Decimal are no pence, whatever their value.
    """
    if type(pence) is not int or not 1 <= pence <= MAX_AMOUNT_PENCE:
        raise _out_of_bounds({})
    return pence


def check_code(code: str) -> str:
    """Return the code of an operation ("pool.contracted"); ValueError for what is none."""
    if not _CODE.fullmatch(code):
        raise ValueError("the code of an operation is lower-case letters, _ and .")
    return code


def check_key(key: str) -> str:
    """Return the key of an operation, 1 to 200 signs; ValueError otherwise."""
    if not 1 <= len(key) <= 200 or "\0" in key:
        raise ValueError("the key of an operation has 1 to 200 signs")
    return key


def request_hash(code: str, batch: Lines) -> bytes:
    """Return the SHA-256 of what makes two calls under one key the same: code and lines."""
    columns = [batch.kinds, batch.starts, batch.ends, batch.pence, batch.until]
    return hashlib.sha256(msgspec.json.encode([code, columns])).digest()


def refusal(rule: str, facts: Mapping[str, Any]) -> Refusal | None:
    """Return the refusal that an error of the posting function means; None for a bug of ours."""
    made = _REFUSALS.get(rule)
    return made(facts) if made is not None else None


def _line(
    step: Step,
) -> tuple[str, UUID, UUID | None, int | None, datetime | None]:
    match step:
        case Transfer():
            return (
                "transfer",
                step.debit_id,
                step.credit_id,
                check_amount(step.amount_pence),
                None,
            )
        case Hold():
            if step.expires_at is not None and step.expires_at.tzinfo is None:
                raise ValueError("a hold expires at an aware time")
            # The same moment has the same hash, whichever zone it was told in.
            until = None if step.expires_at is None else step.expires_at.astimezone(UTC)
            return "hold", step.account_id, None, check_amount(step.amount_pence), until
        case PostHold():
            part = None if step.amount_pence is None else check_amount(step.amount_pence)
            return "post", step.hold_id, step.credit_id, part, None
        case ReleaseHold():
            return "release", step.hold_id, None, None, None
        case Reverse():
            return "reverse", step.transfer_id, None, None, None


def _pounds(facts: Mapping[str, Any], name: str) -> str:
    pence = facts.get(name)
    if not isinstance(pence, int) or pence <= 0:
        return "£0"
    return in_words(pence)


def _not_enough(facts: Mapping[str, Any]) -> Refusal:
    return Conflict(
        rule="not-enough",
        detail=(
            f"There is {_pounds(facts, 'available')} free here, and this needs"
            f" {_pounds(facts, 'asked')}. Money that is promised is not free."
        ),
        who_can_change_it="Whoever the money belongs to, by letting a promise go or adding money.",
        what_else=["Choose a smaller sum.", "Let go of a promise that is no longer wanted."],
    )


def _key_reused(_facts: Mapping[str, Any]) -> Refusal:
    return Invalid(
        rule="key-reused",
        detail="The same key was already used for something else. Nothing was changed.",
        who_can_change_it="You can, by using a fresh key.",
        what_else=["Send this again with a new key."],
    )


def _out_of_bounds(_facts: Mapping[str, Any]) -> Refusal:
    return invalid(
        "amount-out-of-bounds",
        "amount_pence",
        f"A sum is whole pence, from 1 up to {MAX_AMOUNT_PENCE} ({in_words(MAX_AMOUNT_PENCE)}).",
        what_else=["Write 4.50 pounds as 450."],
    )


def _clash(rule: str, detail: str, who: str, *what_else: str) -> Callable[[Any], Refusal]:
    def make(_facts: Mapping[str, Any]) -> Refusal:
        return Conflict(rule=rule, detail=detail, who_can_change_it=who, what_else=what_else)

    return make


_LOOK = "Read again how it stands now."
_REFUSALS: dict[str, Callable[[Mapping[str, Any]], Refusal]] = {
    "not-enough": _not_enough,
    "key-reused": _key_reused,
    "amount-out-of-bounds": _out_of_bounds,
    "account-unknown": lambda _facts: not_found("money"),
    "hold-unknown": lambda _facts: not_found("promise"),
    "transfer-unknown": lambda _facts: not_found("payment"),
    "account-closed": _clash(
        "account-closed",
        "This money is closed: everything in it has gone where it belongs.",
        NOBODY,
        "Use money that is still open.",
    ),
    "hold-ended": _clash(
        "hold-ended",
        "This promise has ended already: it was paid, let go or ran out. It counts once.",
        "Nobody: what happened stands. A new promise can be made.",
        _LOOK,
        "Make a new promise.",
    ),
    "hold-expired": _clash(
        "hold-expired",
        "This promise was kept until a time that is over, so it is not paid.",
        "Whoever the money belongs to, by making a new promise.",
        "Make a new promise.",
    ),
    "hold-not-due": _clash(
        "hold-not-due",
        "The time of this promise is not over yet.",
        "Whoever made the promise, by letting it go.",
        "Wait until its time is over.",
    ),
    "more-than-held": _clash(
        "more-than-held",
        "This is more than was promised.",
        "Whoever the money belongs to, by promising more.",
        "Pay what was promised, or less.",
    ),
    "reversed-already": _clash(
        "reversed-already",
        "This was given back already, or is itself something given back. It happens once.",
        "Nobody: what happened stands. A new payment can be made.",
        _LOOK,
    ),
    "between-sources": _clash(
        "between-sources",
        "Money stays with where it came from: this would mix two sources, or go nowhere.",
        NOBODY,
        "Pay each part out of its own source.",
    ),
    "balance-out-of-bounds": _clash(
        "balance-out-of-bounds",
        "So large a sum in one place is more than the books can keep.",
        THE_CALLER,
        "Choose a smaller sum.",
    ),
    "account-not-empty": _clash(
        "account-not-empty",
        "There is still money here, or a promise: it closes when nothing is left.",
        "Whoever looks after the money, by paying out or giving back what is left.",
        "Give back what is left, then close it.",
    ),
    "account-differs": _clash(
        "account-differs",
        "This money is already kept under other terms.",
        NOBODY,
        _LOOK,
    ),
}
