"""Sign-in, accounts, roles. Who works with whom: ``assignments``.

Real sign-in (OpenID Connect) joins at one seam: a further Credential, and a branch in ``prove``.
"""

from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

from sqlalchemy import insert, update

from api.areas import service as areas
from api.core import audit
from api.core.config import Mode
from api.core.db import ActorContext, Database, WriteSession
from api.core.errors import NotAllowed, NotSignedIn, invalid, not_found
from api.core.ids import new_id
from api.identity import queries
from api.identity.models import Account, AccountRole, Assignment, ComeBackCode, Session
from api.identity.rules import (
    CODE_LASTS,
    SESSION_IDLE,
    SESSION_LASTS,
    WORK_WITH_PEOPLE,
    Actor,
    Anonymous,
    CodeHolder,
    Person,
    Role,
    RoleIn,
    SubjectType,
    hashed,
    new_code,
    new_token,
    normal_code,
)
from api.identity.schemas import (
    AccountMade,
    ByCode,
    Credential,
    NewAccount,
    NewRole,
    SessionStarted,
)


class Proven(NamedTuple):
    """Whom a credential proved: an account, or the subject of a code."""

    subject_type: SubjectType
    subject_id: UUID


async def resolve(database: Database, token: str | None, *, now: datetime) -> Actor:
    """Return who a bearer token stands for; Anonymous without one.

    Raises NotSignedIn for a token that is unknown, ended or unused for too long.
    """
    if token is None:
        return Anonymous()
    async with database.autocommit() as connection:
        row = await queries.session_by_hash(
            connection, token_hash=hashed(token), at=now, idle=SESSION_IDLE
        )
    if row is None:
        raise unknown_credential("sign-in-needed", "This sign-in has ended.")
    session_id, kind, account_id, subject_type, subject_id, roles = row
    if kind == "code_holder" and subject_id is not None:
        return CodeHolder(cast(SubjectType, subject_type), subject_id, session_id)
    assert account_id is not None, "ck_sessions_whose"
    held = tuple(RoleIn(UUID(area_id), area, cast(Role, role)) for area_id, area, role in roles)
    return Person(account_id, session_id, held)


async def own_story(tx: WriteSession) -> UUID | None:
    """Return the id of the actor's own story, or None when they have none."""
    return await queries.own_story(tx)


async def sign_in(
    tx: WriteSession, *, actor: ActorContext, now: datetime, credential: Credential, mode: Mode
) -> SessionStarted:
    """Start a session for whoever the credential proves; NotSignedIn when it proves nobody."""
    proven = await prove(tx, now=now, credential=credential, mode=mode)
    return await start_session(tx, actor=actor, now=now, proven=proven)


async def prove(tx: WriteSession, *, now: datetime, credential: Credential, mode: Mode) -> Proven:
    """Return whom a credential proves. The one seam for further ways to sign in.

    One of the demo's people is let in when both this process and the database are a demo's.
    """
    if isinstance(credential, ByCode):
        code = normal_code(credential.code)
        row = None
        if code is not None:
            row = await queries.redeem_code(tx, code_hash=hashed(code), at=now)
        if row is None:
            raise unknown_credential("code-unknown", "This code is not known, or it has ended.")
        return Proven(cast(SubjectType, row.subject_type), row.subject_id)
    account_id = None
    if mode == "demo":
        account_id = await queries.demo_account(tx, who=credential.who)
    if account_id is None:
        raise unknown_credential("demo-only", "There is no such person in a demo here.")
    return Proven("account", account_id)


def unknown_credential(rule: str, detail: str) -> NotSignedIn:
    """Return the refusal of a credential that proves nobody."""
    return NotSignedIn(
        rule=rule,
        detail=detail,
        who_can_change_it="Whoever gave you the code can give you a new one.",
        what_else=["Check each sign of the code.", "Start again: it takes two questions."],
    )


async def start_session(
    tx: WriteSession, *, actor: ActorContext, now: datetime, proven: Proven
) -> SessionStarted:
    """Make a session with a token of our own choosing and return the token, once."""
    token = new_token()
    session_id = new_id()
    is_account = proven.subject_type == "account"
    expires_at = now + SESSION_LASTS
    await tx.execute(
        insert(Session).values(
            id=session_id,
            token_hash=hashed(token),
            actor_kind="person" if is_account else "code_holder",
            account_id=proven.subject_id if is_account else None,
            subject_type=None if is_account else proven.subject_type,
            subject_id=None if is_account else proven.subject_id,
            created_at=now,
            last_used_at=now,
            expires_at=expires_at,
        )
    )
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action="session.started",
        subject_type=proven.subject_type,
        subject_id=proven.subject_id,
    )
    return SessionStarted(token=token, expires_at=expires_at)


async def rotate(tx: WriteSession, *, actor: Person | CodeHolder, now: datetime) -> SessionStarted:
    """End the session in use and start another for the same actor."""
    await revoke(tx, actor=actor, now=now)
    subject_type: SubjectType = "account" if isinstance(actor, Person) else actor.subject_type
    return await start_session(tx, actor=actor, now=now, proven=Proven(subject_type, actor.id))


async def revoke(tx: WriteSession, *, actor: Person | CodeHolder, now: datetime) -> None:
    """End the session in use. NotSignedIn when another request ended it first."""
    ended = await tx.execute(
        update(Session)
        .where(Session.id == actor.session_id, Session.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(Session.id)
    )
    if ended.scalar_one_or_none() is None:
        raise unknown_credential("sign-in-needed", "This sign-in has ended.")
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action="session.ended",
        subject_type="session",
        subject_id=actor.session_id,
    )


async def issue_code(
    tx: WriteSession, *, now: datetime, subject_type: SubjectType, subject_id: UUID
) -> str:
    """Make a come-back code and return it, once. Only its hash is kept."""
    code = new_code()
    await tx.execute(
        insert(ComeBackCode).values(
            id=new_id(),
            code_hash=hashed(code.replace("-", "")),
            subject_type=subject_type,
            subject_id=subject_id,
            created_at=now,
            expires_at=now + CODE_LASTS[subject_type],
        )
    )
    return code


async def end_codes(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    subject_type: SubjectType,
    subject_id: UUID,
) -> None:
    """End all codes to a subject, and whoever came in with one, except the session in use."""
    await tx.execute(
        update(ComeBackCode)
        .where(
            ComeBackCode.subject_type == subject_type,
            ComeBackCode.subject_id == subject_id,
            ComeBackCode.revoked_at.is_(None),
        )
        .values(revoked_at=now)
    )
    in_use = actor.session_id if isinstance(actor, CodeHolder) else None
    await tx.execute(
        update(Session)
        .where(
            Session.subject_type == subject_type,
            Session.subject_id == subject_id,
            Session.id.is_distinct_from(in_use),
            Session.revoked_at.is_(None),
        )
        .values(revoked_at=now)
    )


async def create_account(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    new: NewAccount,
    demo_key: str | None = None,
) -> AccountMade:
    """Make an account with roles, and a code for its first sign-in.

    An area admin gives roles in their own area only; NotAllowed otherwise.
    """
    held = [(role.area, role.role) for role in new.roles]
    if len(held) != len(set(held)):
        raise invalid("role-once", "roles", "Each role in an area is given once.")
    account_id = new_id()
    await tx.execute(
        insert(Account).values(id=account_id, called=new.called, demo_key=demo_key, created_at=now)
    )
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action="account.made",
        subject_type="account",
        subject_id=account_id,
    )
    for role in new.roles:
        await give_role(tx, actor=actor, now=now, account_id=account_id, new=role)
    code = await issue_code(tx, now=now, subject_type="account", subject_id=account_id)
    return AccountMade(id=account_id, called=new.called, code=code)


async def give_role(
    tx: WriteSession, *, actor: Actor, now: datetime, account_id: UUID, new: NewRole
) -> None:
    """Give an account a role in an area. A professional has a profession, nobody else has."""
    area = await areas.area_named(tx, slug=new.area)
    _require_admin(actor, area=new.area)
    if (new.role == "professional") != (new.profession is not None):
        raise invalid(
            "profession-named",
            "profession",
            "A professional has a profession, and nobody else has one here.",
        )
    await tx.execute(
        insert(AccountRole).values(
            id=new_id(),
            account_id=account_id,
            area_id=area.id,
            role=new.role,
            profession=new.profession,
            granted_at=now,
            granted_by=actor.id,
        )
    )
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action=f"role.given.{new.role}",
        subject_type="account",
        subject_id=account_id,
    )


async def end_role(
    tx: WriteSession, *, actor: Actor, now: datetime, account_id: UUID, area: str, role: Role
) -> None:
    """End a role of an account in an area, at once. NotFound when it is not held.

    Whoever is left without a role to work with people there stops working with them: what they
    were let into ends too.
    """
    _require_admin(actor, area=area)
    found = await areas.area_named(tx, slug=area)
    ended = await tx.execute(
        update(AccountRole)
        .where(
            AccountRole.account_id == account_id,
            AccountRole.area_id == found.id,
            AccountRole.role == role,
            AccountRole.ended_at.is_(None),
        )
        .values(ended_at=now)
        .returning(AccountRole.id)
    )
    if ended.scalar_one_or_none() is None:
        raise not_found("role")
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action=f"role.ended.{role}",
        subject_type="account",
        subject_id=account_id,
    )
    left = await queries.roles_in(tx, account_id=account_id, area_id=found.id)
    if left.isdisjoint(WORK_WITH_PEOPLE):
        await _end_work(tx, actor=actor, now=now, account_id=account_id, area_id=found.id)


async def _end_work(
    tx: WriteSession, *, actor: Actor, now: datetime, account_id: UUID, area_id: UUID
) -> None:
    ended = await tx.scalars(
        update(Assignment)
        .where(
            Assignment.worker_account_id == account_id,
            Assignment.area_id == area_id,
            Assignment.ended_at.is_(None),
        )
        .values(ended_at=now)
        .returning(Assignment.person_id)
    )
    for person_id in ended:
        await audit.record(
            tx,
            actor=actor,
            now=now,
            action="assignment.ended",
            subject_type="person",
            subject_id=person_id,
            why="role-ended",
        )


def _require_admin(actor: Actor, *, area: str) -> None:
    if actor.kind != "service" and not actor.has_role("area_admin", area=area):
        raise NotAllowed(
            rule="own-area",
            detail="Roles are given and taken by the admin of that area.",
            who_can_change_it="The admin of that area.",
        )
