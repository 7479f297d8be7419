"""Accounts, sign-in and assignments as they come in and go out."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta, Struct

from api.areas.rules import Slug
from api.identity.rules import Profession, Role

Called = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"\S")]


class ByCode(Struct, tag_field="by", tag="code", forbid_unknown_fields=True):
    """Sign in with a code: to a story, to a question, or to a new account."""

    code: Annotated[str, Meta(min_length=10, max_length=60)]


class ByDemo(Struct, tag_field="by", tag="demo", forbid_unknown_fields=True):
    """Sign in as one of the demo's people. In the demo only."""

    who: Annotated[str, Meta(min_length=1, max_length=40)]


Credential = ByCode | ByDemo


class SessionStarted(Struct, kw_only=True):
    """A token, once: it cannot be shown again."""

    token: str
    expires_at: datetime


class RoleOut(Struct, kw_only=True):
    """A role in an area."""

    area: str
    role: Role


class Me(Struct, kw_only=True):
    """Who Kith takes you for."""

    kind: str
    id: UUID | None
    roles: list[RoleOut]
    person_id: UUID | None = None


class NewRole(Struct, kw_only=True, forbid_unknown_fields=True):
    """A role to give. A professional names a profession."""

    area: Slug
    role: Role
    profession: Profession | None = None


class NewAccount(Struct, kw_only=True, forbid_unknown_fields=True):
    """An account to be."""

    called: Called
    roles: Annotated[list[NewRole], Meta(min_length=1, max_length=20)]


class AccountMade(Struct, kw_only=True):
    """A new account, and the code with which its owner signs in for the first time."""

    SECRET_FIELDS: ClassVar[tuple[str, ...]] = ("code",)

    id: UUID
    called: str
    code: str | None


class NewAssignment(Struct, kw_only=True, forbid_unknown_fields=True):
    """Somebody who is to work with a person."""

    worker_account_id: UUID
    person_id: UUID
    area: Slug


class AssignmentOut(Struct, kw_only=True):
    """Who works with whom, and whether the person has agreed that they see the story."""

    id: UUID
    worker_account_id: UUID
    worker_called: str
    person_id: UUID
    started_at: datetime
    agreed_at: datetime | None


class AssignmentList(Struct, kw_only=True):
    """The assignments that you are part of."""

    items: list[AssignmentOut]
