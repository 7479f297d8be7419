"""Sign-in, accounts, roles, assignments.

Real sign-in (OpenID Connect) joins at one seam: a further Credential, and a branch in ``prove``.
"""

from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

from sqlalchemy import insert, update

from api.areas import service as areas
from api.core import audit
from api.core.db import ActorContext, Database, WriteSession
from api.core.errors import Conflict, NotAllowed, NotSignedIn, invalid, not_found
from api.core.ids import new_id
from api.identity import queries
from api.identity.models import Account, AccountRole, Assignment, ComeBackCode, Session
from api.identity.rules import (
    CODE_LASTS,
    SESSION_IDLE,
    SESSION_LASTS,
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
    AssignmentList,
    AssignmentOut,
    ByCode,
    Credential,
    NewAccount,
    NewAssignment,
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


async def sign_in(
    tx: WriteSession, *, actor: ActorContext, now: datetime, credential: Credential
) -> SessionStarted:
    """Start a session for whoever the credential proves; NotSignedIn when it proves nobody."""
    proven = await prove(tx, now=now, credential=credential)
    return await start_session(tx, actor=actor, now=now, proven=proven)


async def prove(tx: WriteSession, *, now: datetime, credential: Credential) -> Proven:
    """Return whom a credential proves. The one seam for further ways to sign in."""
    if isinstance(credential, ByCode):
        code = normal_code(credential.code)
        row = None
        if code is not None:
            row = await queries.redeem_code(tx, code_hash=hashed(code), at=now)
        if row is None:
            raise unknown_credential("code-unknown", "This code is not known, or it has ended.")
        return Proven(cast(SubjectType, row.subject_type), row.subject_id)
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
    if actor.kind != "service" and not actor.has_role("area_admin", area=new.area):
        raise NotAllowed(
            rule="own-area",
            detail="Roles are given by the admin of that area.",
            who_can_change_it="The admin of that area.",
        )
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


async def assign(
    tx: WriteSession, *, actor: Actor, now: datetime, new: NewAssignment
) -> AssignmentOut:
    """Let somebody work with a person. They see the story only after the person's own yes."""
    area = await areas.area_named(tx, slug=new.area)
    if actor.kind != "service" and not actor.has_role("area_admin", "manager", area=new.area):
        raise NotAllowed(
            rule="own-area",
            detail="Who works with whom is decided by a manager of that area.",
            who_can_change_it="A manager of that area.",
        )
    running = [
        row
        for row in await queries.assignments(tx)
        if row.worker_account_id == new.worker_account_id and row.person_id == new.person_id
    ]
    if running:
        raise Conflict(
            rule="assigned-once",
            detail="They already work with this person.",
            who_can_change_it="Nobody needs to.",
        )
    assignment_id = new_id()
    await tx.execute(
        insert(Assignment).values(
            id=assignment_id,
            worker_account_id=new.worker_account_id,
            person_id=new.person_id,
            area_id=area.id,
            made_by=actor.id,
            started_at=now,
        )
    )
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action="assignment.made",
        subject_type="person",
        subject_id=new.person_id,
    )
    return AssignmentOut(
        id=assignment_id,
        worker_account_id=new.worker_account_id,
        worker_called="",
        person_id=new.person_id,
        started_at=now,
        agreed_at=None,
    )


async def my_assignments(tx: WriteSession) -> AssignmentList:
    """Return the running assignments that the actor is part of or manages."""
    return AssignmentList(
        items=[
            AssignmentOut(
                id=row.id,
                worker_account_id=row.worker_account_id,
                worker_called=row.worker_called or "",
                person_id=row.person_id,
                started_at=row.started_at,
                agreed_at=row.agreed_at,
            )
            for row in await queries.assignments(tx)
        ]
    )


async def agree(tx: WriteSession, *, actor: Actor, now: datetime, assignment_id: UUID) -> None:
    """Say, as the person, that this worker may read one's story. NotFound for anybody else."""
    await _change(tx, actor=actor, now=now, assignment_id=assignment_id, agreed=True)


async def end_assignment(
    tx: WriteSession, *, actor: Actor, now: datetime, assignment_id: UUID
) -> None:
    """End it: by the person, the worker or a manager. No reason is asked."""
    await _change(tx, actor=actor, now=now, assignment_id=assignment_id, agreed=False)


async def _change(
    tx: WriteSession, *, actor: Actor, now: datetime, assignment_id: UUID, agreed: bool
) -> None:
    values = {"agreed_at": now} if agreed else {"ended_at": now}
    changed = await tx.execute(
        update(Assignment)
        .where(Assignment.id == assignment_id, Assignment.ended_at.is_(None))
        .values(**values)
        .returning(Assignment.person_id)
    )
    person_id = changed.scalar_one_or_none()
    if person_id is None:
        raise not_found("assignment")
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action="assignment.agreed" if agreed else "assignment.ended",
        subject_type="person",
        subject_id=person_id,
    )
