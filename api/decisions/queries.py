"""Reads of go-aheads and stops. Row-level policies decide which rows come back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    DateTime,
    Text,
    Uuid,
    all_,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from api.areas.models import Area
from api.decisions.models import (
    Challenge,
    DecisionEvent,
    SignOff,
    SignOffDecision,
    SignOffWish,
)
from api.decisions.rules import Subject
from api.identity.models import Account


class SignOffRow(NamedTuple):
    """A go-ahead, its area's slug, and what the actor is to it.

    ``open_id`` and ``look_again_due_at`` are those of the second look that is under way.
    """

    id: UUID
    subject_type: str
    subject_id: UUID
    person_id: UUID
    area_id: UUID
    area: str
    body: str
    about: dict[str, Any]
    amount_pence: int
    not_by: list[UUID]
    asked_by: UUID | None
    asked_at: datetime
    due_at: datetime
    state: str
    escalated_at: datetime | None
    decided_at: datetime | None
    decided_by: UUID | None
    open_id: UUID | None
    look_again_due_at: datetime | None
    look_again_escalated_at: datetime | None
    mine: bool
    may_sign: bool


class StateRow(NamedTuple):
    """How the go-ahead for a subject stands."""

    subject_id: UUID
    sign_off_id: UUID
    state: str
    amount_pence: int
    decided_at: datetime | None


_MINE: ColumnElement[bool] = literal_column(
    "sign_offs.person_id = ANY (ARRAY(SELECT app_speaking_people()))", Boolean()
)
_SIGN_OFF = (
    select(
        SignOff.id,
        SignOff.subject_type,
        SignOff.subject_id,
        SignOff.person_id,
        SignOff.area_id,
        Area.slug,
        SignOff.body,
        SignOff.about,
        SignOff.amount_pence,
        SignOff.not_by,
        SignOff.asked_by,
        SignOff.asked_at,
        SignOff.due_at,
        SignOff.state,
        SignOff.escalated_at,
        SignOff.decided_at,
        SignOff.decided_by,
        Challenge.id,
        Challenge.due_at,
        Challenge.escalated_at,
        _MINE,
    )
    .join(Area, Area.id == SignOff.area_id)
    .outerjoin(Challenge, and_(Challenge.sign_off_id == SignOff.id, Challenge.outcome.is_(None)))
)
_BOTH = (
    bindparam("types", type_=ARRAY(Text())),
    bindparam("ids", type_=ARRAY(Uuid())),
)
_STATES = text("SELECT * FROM decisions_states(:types, :ids)").bindparams(*_BOTH)


async def states(tx: AsyncSession, *, subjects: Sequence[Subject]) -> list[StateRow]:
    """Return how the latest go-ahead of each subject stands, whoever asks."""
    return [StateRow._make(row) for row in await tx.execute(_STATES, _arrays(subjects))]


def _arrays(subjects: Sequence[Subject]) -> dict[str, Any]:
    return {"types": [one.type for one in subjects], "ids": [one.id for one in subjects]}


async def sign_off(tx: AsyncSession, *, sign_off_id: UUID) -> SignOffRow | None:
    """Return one go-ahead, or None when there is none that the actor may see."""
    statement = _SIGN_OFF.add_columns(func.decisions_may_sign(SignOff.id)).where(
        SignOff.id == sign_off_id
    )
    row = (await tx.execute(statement)).one_or_none()
    return SignOffRow._make(row) if row is not None else None


async def own(
    tx: AsyncSession, *, actor_id: UUID | None, before: UUID | None, limit: int
) -> list[SignOffRow]:
    """Return the go-aheads of the person whom the actor is or asked for, the newest first."""
    statement = _SIGN_OFF.add_columns(literal(False)).where(
        or_(_MINE, SignOff.asked_by == actor_id)
    )
    if before is not None:
        statement = statement.where(SignOff.id < before)
    rows = await tx.execute(statement.order_by(SignOff.id.desc()).limit(limit))
    return [SignOffRow._make(row) for row in rows]


async def to_decide(
    tx: AsyncSession, *, actor_id: UUID | None, after: tuple[datetime, UUID] | None, limit: int
) -> list[SignOffRow]:
    """Return what waits for the actor's decision or second look, the soonest due first.

    Who sees a go-ahead that is neither theirs nor asked for by them is one of its signers.
    """
    due = func.coalesce(Challenge.due_at, SignOff.due_at)
    statement = _SIGN_OFF.add_columns(literal(True)).where(
        or_(
            SignOff.state == "waiting",
            and_(Challenge.id.is_not(None), Challenge.challenged_decider != actor_id),
        ),
        not_(_MINE),
        SignOff.asked_by.is_distinct_from(actor_id),
        literal(actor_id, Uuid()) != all_(SignOff.not_by),
    )
    if after is not None:
        statement = statement.where(tuple_(due, SignOff.id) > tuple_(*after))
    rows = await tx.execute(statement.order_by(due, SignOff.id).limit(limit))
    return [SignOffRow._make(row) for row in rows]


async def called(tx: AsyncSession, *, account_id: UUID) -> str:
    """Return what the actor's own account is called."""
    return (await tx.execute(select(Account.called).where(Account.id == account_id))).scalar_one()


_ASK = text(
    "SELECT decisions_ask(:id, :subject_type, :subject_id, :person_id, :area_id, :body, :about,"
    " :amount_pence, :due_at, :not_by, :wish)"
).bindparams(
    bindparam("id", type_=Uuid()),
    bindparam("subject_id", type_=Uuid()),
    bindparam("person_id", type_=Uuid()),
    bindparam("area_id", type_=Uuid()),
    bindparam("about", type_=JSONB()),
    bindparam("not_by", type_=ARRAY(Uuid())),
    bindparam("due_at", type_=DateTime(timezone=True)),
)
_WITHDRAW = text("SELECT decisions_withdraw(:type, :id)").bindparams(bindparam("id", type_=Uuid()))
_SWEEP = text("SELECT decisions_sweep(:at_once)")


async def ask(tx: AsyncSession, **values: Any) -> UUID:
    """Ask for a go-ahead; return it, or the one that stands for as much already."""
    asked: UUID = (await tx.execute(_ASK, values)).scalar_one()
    return asked


async def withdraw(tx: AsyncSession, *, subject: Subject) -> list[UUID]:
    """Take back what is asked or given for a subject; return which go-aheads that were."""
    return list(await tx.scalars(_WITHDRAW, {"type": subject.type, "id": subject.id}))


async def sweep(tx: AsyncSession, *, at_once: int) -> int:
    """Mark what nobody answered in time, as a task; return how many."""
    marked: int = (await tx.execute(_SWEEP, {"at_once": at_once})).scalar_one()
    return marked


async def wishes(tx: AsyncSession, *, sign_off_id: UUID) -> list[SignOffWish]:
    """Return the person's wishes, the latest first."""
    found = await tx.scalars(
        select(SignOffWish)
        .where(SignOffWish.sign_off_id == sign_off_id)
        .order_by(SignOffWish.at.desc(), SignOffWish.id.desc())
    )
    return list(found)


async def decisions(tx: AsyncSession, *, sign_off_id: UUID) -> list[SignOffDecision]:
    """Return the decisions, in order."""
    found = await tx.scalars(
        select(SignOffDecision)
        .where(SignOffDecision.sign_off_id == sign_off_id)
        .order_by(SignOffDecision.at, SignOffDecision.id)
    )
    return list(found)


async def challenges(tx: AsyncSession, *, sign_off_id: UUID) -> list[Challenge]:
    """Return the second looks, in order."""
    found = await tx.scalars(
        select(Challenge)
        .where(Challenge.sign_off_id == sign_off_id)
        .order_by(Challenge.raised_at, Challenge.id)
    )
    return list(found)


async def events(tx: AsyncSession, *, sign_off_id: UUID) -> list[DecisionEvent]:
    """Return what happened to a go-ahead, in order."""
    found = await tx.scalars(
        select(DecisionEvent)
        .where(DecisionEvent.sign_off_id == sign_off_id)
        .order_by(DecisionEvent.at, DecisionEvent.id)
    )
    return list(found)


async def challenge(tx: AsyncSession, *, challenge_id: UUID) -> Challenge | None:
    """Return one second look, or None when there is none that the actor may see."""
    found: Challenge | None = (
        await tx.scalars(select(Challenge).where(Challenge.id == challenge_id))
    ).one_or_none()
    return found
