"""Stop, I'm worried: a change is held at once, until somebody's answer lets it go (law.md 4)."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import func, insert, update
from sqlalchemy.exc import DBAPIError

from api.areas import service as areas
from api.core import audit, pagination
from api.core.db import WriteSession, sqlstate
from api.core.errors import Conflict, NotAllowed, RefusedRead, not_found
from api.core.ids import new_id
from api.decisions import stop_queries as queries
from api.decisions.events import happened
from api.decisions.models import SafetyStop, SafetyStopAnswer
from api.decisions.rules import (
    STOP_DO_NOW,
    WHO_READS_STOPS,
    StopAnswer,
    StopGround,
    Subject,
    stop_reply_due,
)
from api.decisions.schemas import NewStop, NewStopAnswer, StopAnswerOut, StopList, StopOut
from api.identity import service as identity
from api.identity.rules import Actor, CodeHolder, Person

A_PAGE = 50
WAIT_MS = 4_000  # within the statement's own limit
_NOT_HAD = "55P03"


async def raise_stop(
    tx: WriteSession, *, actor: Person | CodeHolder, now: datetime, new: NewStop
) -> StopOut:
    """Hold the changes of a subject, at once, for anybody who is worried. Never refused.

    Waits for the changes that are under way, so that none of them ends later than this stop; one
    that takes too long is not waited for, and the stop stands all the same. What runs already,
    care, wages and contact, goes on.
    """
    area = await areas.area_named(tx, slug=new.area)
    await _hold(tx, subject=Subject(new.subject_type, new.subject_id))
    stop_id = new_id()
    await tx.execute(
        insert(SafetyStop).values(
            id=stop_id,
            subject_type=new.subject_type,
            subject_id=new.subject_id,
            area_id=area.id,
            ground=new.ground,
            words=new.words,
            raised_by_kind=actor.kind,
            raised_by=actor.id,
            raised_at=now,
            reply_due_at=stop_reply_due(raised_at=now, settings=area.settings),
        )
    )
    await happened(tx, actor=actor, now=now, what="raised", stop_id=stop_id)
    return await _out(tx, await _visible(tx, stop_id=stop_id))


async def stop_again(tx: WriteSession, first: StopOut) -> StopOut:
    """Answer a repeated stop: the same one, as it stands now."""
    return await _out(tx, await _visible(tx, stop_id=first.id))


async def answer_stop(
    tx: WriteSession, *, actor: Person, now: datetime, stop_id: UUID, new: NewStopAnswer
) -> StopOut:
    """Answer a stop: it stays held, or it is let go. By a manager or social worker of the area.

    Never by whoever raised it, nor about one's own story. Conflict when it was let go already.
    """
    row = await _visible(tx, stop_id=stop_id)
    own = row.subject_type == "person" and row.subject_id == await identity.own_story(tx)
    if row.raised_by == actor.id or own:
        raise NotAllowed(
            rule="somebody-else-answers",
            detail="A stop is answered by somebody else than whoever said it or is its subject.",
            who_can_change_it="Another manager or social worker of the area.",
        )
    if not row.protects:
        raise NotAllowed(
            rule="who-protects",
            detail="A stop is answered by the managers and social workers of its area.",
            who_can_change_it="The area's admin gives and takes roles.",
        )
    locked = await queries.stop(tx, stop_id=stop_id, lock=True)
    if locked is None or locked.lifted_at is not None:
        raise Conflict(
            rule="let-go-already",
            detail="This stop was answered, and the change let go.",
            who_can_change_it="Anybody who is still worried can say stop again.",
        )
    await tx.execute(
        insert(SafetyStopAnswer).values(
            id=new_id(),
            stop_id=stop_id,
            outcome=new.outcome,
            words=new.words,
            answered_by=actor.id,
            at=now,
        )
    )
    await tx.execute(
        update(SafetyStop)
        .where(SafetyStop.id == stop_id)
        .values(
            answered_at=func.coalesce(SafetyStop.answered_at, now),
            lifted_at=now if new.outcome == "lifted" else None,
        )
    )
    await happened(tx, actor=actor, now=now, what=new.outcome, stop_id=stop_id)
    return await _out(tx, await _visible(tx, stop_id=stop_id))


async def stops(tx: WriteSession, *, actor: Actor, now: datetime, cursor: str | None) -> StopList:
    """Return the stops one raised, and those that hold where one answers, unanswered ones first.

    Each that is told to somebody else than its raiser leaves a receipt.
    """
    after = pagination.decode(cursor, tuple[int, datetime, UUID]) if cursor is not None else None
    rows = await queries.stops(tx, actor_id=actor.id, after=after, limit=A_PAGE + 1)
    page = rows[:A_PAGE]
    for row in page:
        if row.raised_by != actor.id:
            await audit.receipt(tx, actor=actor, now=now, about_id=row.id, what="safety_stop")
    last = page[-1] if len(rows) > A_PAGE else None
    following = None
    if last is not None:
        following = pagination.encode((last.rank, last.reply_due_at, last.id))
    return StopList(items=await _outs(tx, page), next=following)


async def _hold(tx: WriteSession, *, subject: Subject) -> None:
    """Wait for the changes under way; not for ever, for a stop is never lost to a busy moment."""
    try:
        async with tx.begin_nested():
            await queries.hold(tx, subject=subject, wait_ms=WAIT_MS)
    except DBAPIError as error:
        if sqlstate(error) != _NOT_HAD:
            raise


async def _visible(tx: WriteSession, *, stop_id: UUID) -> queries.StopRow:
    row = await queries.stop(tx, stop_id=stop_id)
    if row is None:
        leaves = RefusedRead(about_id=stop_id, what="safety_stop")
        raise not_found("stop", leaves=leaves)
    return row


async def _out(tx: WriteSession, row: queries.StopRow) -> StopOut:
    return (await _outs(tx, [row]))[0]


async def _outs(tx: WriteSession, rows: Sequence[queries.StopRow]) -> list[StopOut]:
    answers = await queries.answers(tx, stop_ids=[row.id for row in rows])
    return [
        StopOut(
            id=row.id,
            subject_type=row.subject_type,
            subject_id=row.subject_id,
            area=row.area,
            ground=cast(StopGround, row.ground),
            words=row.words,
            raised_at=row.raised_at,
            reply_due_at=row.reply_due_at,
            escalated=row.escalated_at is not None,
            held=row.lifted_at is None,
            answers=[
                StopAnswerOut(outcome=cast(StopAnswer, one.outcome), words=one.words, at=one.at)
                for one in answers
                if one.stop_id == row.id
            ],
            who_reads_this=WHO_READS_STOPS,
            do_now=list(STOP_DO_NOW),
        )
        for row in rows
    ]
