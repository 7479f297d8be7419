"""Who can act, in which roles, and how secrets look. No I/O here."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

Role = Literal[
    "citizen",
    "supporter",
    "professional",
    "manager",
    "scheme_worker",
    "provider",
    "commissioner",
    "finance",
    "evaluator",
    "advocate",
    "area_admin",
]
Profession = Literal[
    "social_worker", "nurse", "occupational_therapist", "doctor", "psychologist", "other"
]
SubjectType = Literal["account", "person", "enquiry"]

# The front door of an area: whoever may see and answer what people ask there.
FRONT_DOOR: tuple[Role, ...] = ("professional", "manager", "scheme_worker")
# Whoever may be asked to work with a person there.
WORK_WITH_PEOPLE: tuple[Role, ...] = (*FRONT_DOOR, "supporter", "advocate")

SESSION_LASTS = timedelta(days=30)
SESSION_IDLE = timedelta(days=7)
CODE_LASTS: dict[str, timedelta] = {
    "account": timedelta(days=7),
    "person": timedelta(days=180),
    "enquiry": timedelta(days=90),
}

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_LENGTH = 26
_BETWEEN = re.compile(r"[\s.\-\u2010-\u2015]")
_ALIKE = str.maketrans({"O": "0", "I": "1", "L": "1", "U": "V"})


@dataclass(frozen=True, slots=True)
class RoleIn:
    """A role in one area."""

    area_id: UUID
    area: str
    role: Role


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account, and the roles they have."""

    account_id: UUID
    session_id: UUID
    roles: tuple[RoleIn, ...] = ()

    kind = "person"
    subject_id = None
    is_signed_in = True

    @property
    def id(self) -> UUID:
        """The account."""
        return self.account_id

    def has_role(self, *roles: str, area: str | None = None) -> bool:
        """True when one of ``roles`` is held, in ``area`` (a slug) where one is named."""
        return any(
            held.role in roles and (area is None or held.area == area) for held in self.roles
        )


@dataclass(frozen=True, slots=True)
class CodeHolder:
    """Somebody without an account who came back with a code to one story or one question."""

    subject_type: SubjectType
    subject: UUID
    session_id: UUID

    kind = "code_holder"
    subject_id = None
    is_signed_in = True

    @property
    def id(self) -> UUID:
        """The person or enquiry that the code opens."""
        return self.subject

    def has_role(self, *_: str, area: str | None = None) -> bool:
        """A code carries no role."""
        del area
        return False


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Anybody. May browse, ask and start a story (S14)."""

    kind = "anonymous"
    id = None
    subject_id = None
    is_signed_in = False

    def has_role(self, *_: str, area: str | None = None) -> bool:
        """Nobody in particular has no role."""
        del area
        return False


@dataclass(frozen=True, slots=True)
class Service:
    """Kith itself, under a name: imports, first set-up. Sees no story."""

    name: str

    kind = "service"
    id = None
    subject_id = None
    is_signed_in = True

    def has_role(self, *_: str, area: str | None = None) -> bool:
        """A service acts by its own named functions, not by roles."""
        del area
        return False


@dataclass(frozen=True, slots=True)
class Task:
    """A task in a worker, acting for at most one person."""

    name: str
    outbox_id: UUID
    subject_id: UUID | None = None

    kind = "task"
    is_signed_in = True

    @property
    def id(self) -> UUID:
        """The outbox row that asked for the task."""
        return self.outbox_id

    def has_role(self, *_: str, area: str | None = None) -> bool:
        """A task acts by its own code, not by roles."""
        del area
        return False


Actor = Person | CodeHolder | Anonymous | Service | Task


def new_token() -> str:
    """Return a session token: 256 random bits."""
    return "kith_" + secrets.token_urlsafe(32)


def new_code() -> str:
    """Return a come-back code: 130 random bits in 26 signs, in groups for reading aloud."""
    signs = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
    return "-".join(signs[start : start + 5] for start in range(0, _CODE_LENGTH, 5))


def normal_code(code: str) -> str | None:
    """Return a code as it was made, however it was typed; None when it cannot be one."""
    signs = _BETWEEN.sub("", code.upper()).translate(_ALIKE)
    if len(signs) != _CODE_LENGTH or any(sign not in _ALPHABET for sign in signs):
        return None
    return signs


def hashed(secret: str) -> bytes:
    """Return the SHA-256 under which a token or code is kept.

    A fast hash is enough: the secrets are random, 130 bits and more, and cannot be guessed.
    """
    return hashlib.sha256(secret.encode()).digest()
