"""Reads of stops, and the locks by which a stop and a change wait for one another."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Boolean,
    Text,
    Uuid,
    bindparam,
    case,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from api.areas.models import Area
from api.decisions.models import SafetyStop, SafetyStopAnswer
from api.decisions.rules import Subject


class StopRow(NamedTuple):
    """A stop with its area's slug, and whether the actor protects people there."""

    id: UUID
    subject_type: str
    subject_id: UUID
    area: str
    ground: str
    words: str
    raised_by_kind: str
    raised_by: UUID
    raised_at: datetime
    reply_due_at: datetime
    answered_at: datetime | None
    escalated_at: datetime | None
    lifted_at: datetime | None
    rank: int
    protects: bool


class HeldRow(NamedTuple):
    """A subject that is held, and since when. Nothing about who or why."""

    subject_type: str
    subject_id: UUID
    since: datetime


_GUARD = text("SELECT * FROM decisions_guard(:types, :ids)").bindparams(
    bindparam("types", type_=ARRAY(Text())), bindparam("ids", type_=ARRAY(Uuid()))
)
# Not answered yet; answered and held; let go.
_RANK = case(
    (SafetyStop.lifted_at.is_not(None), 2), (SafetyStop.answered_at.is_not(None), 1), else_=0
)
_STOP = select(
    SafetyStop.id,
    SafetyStop.subject_type,
    SafetyStop.subject_id,
    Area.slug,
    SafetyStop.ground,
    SafetyStop.words,
    SafetyStop.raised_by_kind,
    SafetyStop.raised_by,
    SafetyStop.raised_at,
    SafetyStop.reply_due_at,
    SafetyStop.answered_at,
    SafetyStop.escalated_at,
    SafetyStop.lifted_at,
    _RANK,
    literal_column(
        "safety_stops.area_id = ANY (ARRAY(SELECT app_safeguarding_areas()))", Boolean()
    ),
).join(Area, Area.id == SafetyStop.area_id)
_STOP_LOCK = text("SELECT pg_advisory_xact_lock(decisions_key(:type, :id))").bindparams(
    bindparam("id", type_=Uuid())
)
_WAIT = text("SELECT set_config('lock_timeout', :wait, true)")


async def hold(tx: AsyncSession, *, subject: Subject, wait_ms: int) -> None:
    """Wait until no change of the subject is under way, for so long; then none begins."""
    await tx.execute(_WAIT, {"wait": str(wait_ms)})
    await tx.execute(_STOP_LOCK, {"type": subject.type, "id": subject.id})


async def stop(tx: AsyncSession, *, stop_id: UUID, lock: bool = False) -> StopRow | None:
    """Return one stop, or None when there is none that the actor may see (``lock``: answer)."""
    statement = _STOP.where(SafetyStop.id == stop_id)
    if lock:
        statement = statement.with_for_update(of=SafetyStop)
    row = (await tx.execute(statement)).one_or_none()
    return StopRow._make(row) if row is not None else None


async def stops(
    tx: AsyncSession,
    *,
    actor_id: UUID | None,
    after: tuple[int, datetime, UUID] | None,
    limit: int,
) -> list[StopRow]:
    """Return the stops that hold in areas of the actor's, and all that the actor raised."""
    statement = _STOP.where(or_(SafetyStop.lifted_at.is_(None), SafetyStop.raised_by == actor_id))
    if after is not None:
        key = tuple_(_RANK, SafetyStop.reply_due_at, SafetyStop.id)
        statement = statement.where(key > tuple_(*after))
    order = (_RANK, SafetyStop.reply_due_at, SafetyStop.id)
    return [StopRow._make(row) for row in await tx.execute(statement.order_by(*order).limit(limit))]


async def answers(tx: AsyncSession, *, stop_ids: Sequence[UUID]) -> list[SafetyStopAnswer]:
    """Return the answers to stops, in order."""
    found = await tx.scalars(
        select(SafetyStopAnswer)
        .where(SafetyStopAnswer.stop_id.in_(stop_ids))
        .order_by(SafetyStopAnswer.at, SafetyStopAnswer.id)
    )
    return list(found)


async def held(tx: AsyncSession, *, subjects: Sequence[Subject]) -> list[HeldRow]:
    """Take the subjects' shared locks; return which are held by a stop, the oldest first."""
    return [
        HeldRow._make(row)
        for row in await tx.execute(
            _GUARD, {"types": [one.type for one in subjects], "ids": [one.id for one in subjects]}
        )
    ]
