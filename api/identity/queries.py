"""Reads of identity."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from api.identity.models import Account, AccountRole, Assignment


class SessionRow(NamedTuple):
    """A live session, and the roles of its account as [area id, area slug, role]."""

    session_id: UUID
    actor_kind: str
    account_id: UUID | None
    subject_type: str | None
    subject_id: UUID | None
    roles: list[list[str]]


class CodeRow(NamedTuple):
    """What a code opens."""

    subject_type: str
    subject_id: UUID


class AssignmentRow(NamedTuple):
    """A running assignment."""

    id: UUID
    worker_account_id: UUID
    worker_called: str | None
    person_id: UUID
    started_at: datetime
    agreed_at: datetime | None


MOST_ASSIGNMENTS = 500

_RUNNING = (
    select(
        Assignment.id,
        Assignment.worker_account_id,
        Account.called,
        Assignment.person_id,
        Assignment.started_at,
        Assignment.agreed_at,
    )
    .outerjoin(Account, Account.id == Assignment.worker_account_id)
    .where(Assignment.ended_at.is_(None))
)
_SESSION = text("SELECT * FROM app_session(:token_hash, :at, :idle)")
_REDEEM = text("SELECT subject_type, subject_id FROM app_redeem_code(:code_hash, :at)")
_DEMO = text("SELECT app_demo_account(:who)")


async def session_by_hash(
    connection: AsyncConnection, *, token_hash: bytes, at: datetime, idle: timedelta
) -> SessionRow | None:
    """Return (session, kind, account, subject type, subject, roles) of a live session."""
    found = await connection.execute(_SESSION, {"token_hash": token_hash, "at": at, "idle": idle})
    row = found.one_or_none()
    return SessionRow._make(row) if row is not None else None


async def redeem_code(tx: AsyncSession, *, code_hash: bytes, at: datetime) -> CodeRow | None:
    """Return (subject type, subject) of a live code, and note that it was used."""
    row = (await tx.execute(_REDEEM, {"code_hash": code_hash, "at": at})).one_or_none()
    return CodeRow._make(row) if row is not None else None


async def demo_account(tx: AsyncSession, *, who: str) -> UUID | None:
    """Return the account of one of the demo's people; None outside a demo's database."""
    account_id: UUID | None = await tx.scalar(_DEMO, {"who": who})
    return account_id


async def assignments(tx: AsyncSession) -> list[AssignmentRow]:
    """Return the running assignments that the actor may see, oldest first."""
    rows = await tx.execute(
        _RUNNING.order_by(Assignment.started_at, Assignment.id).limit(MOST_ASSIGNMENTS)
    )
    return [AssignmentRow._make(row) for row in rows]


async def assignment(tx: AsyncSession, *, assignment_id: UUID) -> AssignmentRow:
    """Return one running assignment that the actor may see."""
    return AssignmentRow._make(
        (await tx.execute(_RUNNING.where(Assignment.id == assignment_id))).one()
    )


async def works_with(tx: AsyncSession, *, worker_account_id: UUID, person_id: UUID) -> bool:
    """Return whether the actor can see that this worker works with this person."""
    found = await tx.scalar(
        select(Assignment.id).where(
            Assignment.worker_account_id == worker_account_id,
            Assignment.person_id == person_id,
            Assignment.ended_at.is_(None),
        )
    )
    return found is not None


async def roles_in(tx: AsyncSession, *, account_id: UUID, area_id: UUID) -> set[str]:
    """Return the roles that an account has in an area, as far as the actor may see."""
    rows = await tx.scalars(
        select(AccountRole.role).where(
            AccountRole.account_id == account_id,
            AccountRole.area_id == area_id,
            AccountRole.ended_at.is_(None),
        )
    )
    return set(rows)


_OWN_STORY = text("SELECT p FROM app_speaking_people() AS p")


async def own_story(tx: AsyncSession) -> UUID | None:
    """Return the story that the actor speaks for, or None."""
    story: UUID | None = (await tx.scalars(_OWN_STORY)).one_or_none()
    return story
