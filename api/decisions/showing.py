"""How a go-ahead looks to those it concerns, and which ones wait for whom."""

from datetime import datetime
from typing import cast
from uuid import UUID

from api.core import audit, pagination
from api.core.db import WriteSession
from api.core.errors import RefusedRead, not_found
from api.decisions import queries
from api.decisions.models import Challenge, SignOffDecision
from api.decisions.rules import (
    GROUND_WORDS,
    SIGNING_ROLES,
    Body,
    Ground,
    Outcome,
    SecondLook,
    State,
    Which,
    signers_called,
    ways_on,
)
from api.decisions.schemas import (
    ChallengeOut,
    DecisionOut,
    HappenedOut,
    SignOffLine,
    SignOffList,
    SignOffOut,
    WishOut,
)
from api.identity.rules import Actor

A_PAGE = 50


async def sign_offs(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    cursor: str | None,
    which: Which | None = None,
) -> SignOffList:
    """Return what the actor may decide, the soonest due first; or their own, the newest first.

    Without ``which``: to decide for whoever may decide anywhere, else their own. What silence has
    sent up to the manager is past due, so it comes first. Each go-ahead told of leaves a receipt.
    """
    which = which or ("to_decide" if actor.has_role(*SIGNING_ROLES) else "own")
    if which == "own":
        before = pagination.decode(cursor, UUID) if cursor is not None else None
        rows = await queries.own(tx, actor_id=actor.id, before=before, limit=A_PAGE + 1)
    else:
        after = pagination.decode(cursor, tuple[datetime, UUID]) if cursor is not None else None
        rows = await queries.to_decide(tx, actor_id=actor.id, after=after, limit=A_PAGE + 1)
    page = rows[:A_PAGE]
    for row in page:
        await audit.receipt(
            tx, actor=actor, now=now, about_id=row.person_id, what="sign_off", object_id=row.id
        )
    last = page[-1] if len(rows) > A_PAGE else None
    following = None
    if last is not None:
        key = last.id if which == "own" else (last.look_again_due_at or last.due_at, last.id)
        following = pagination.encode(key)
    return SignOffList(items=[_line(row) for row in page], next=following)


async def read(tx: WriteSession, *, actor: Actor, now: datetime, sign_off_id: UUID) -> SignOffOut:
    """Return one go-ahead with all that stands beside it, and leave the receipt of this read."""
    row = await visible(tx, sign_off_id=sign_off_id)
    await audit.receipt(
        tx, actor=actor, now=now, about_id=row.person_id, what="sign_off", object_id=row.id
    )
    wishes = await queries.wishes(tx, sign_off_id=sign_off_id)
    decisions = await queries.decisions(tx, sign_off_id=sign_off_id)
    challenges = await queries.challenges(tx, sign_off_id=sign_off_id)
    events = await queries.events(tx, sign_off_id=sign_off_id)
    body = cast(Body, row.body)
    return SignOffOut(
        id=row.id,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        person_id=row.person_id,
        area=row.area,
        body=body,
        amount_pence=row.amount_pence,
        state=cast(State, row.state),
        asked_at=row.asked_at,
        due_at=row.due_at,
        escalated=_escalated(row),
        look_again_due_at=row.look_again_due_at,
        about=row.about,
        who_decides=signers_called(body),
        may_decide=row.may_sign and row.state == "waiting",
        wish=WishOut(words=wishes[0].words, at=wishes[0].at) if wishes else None,
        decisions=[_decision_out(one) for one in decisions],
        challenges=[_challenge_out(one) for one in challenges],
        ways_on=ways_on(body) if row.state == "declined" else [],
        events=[HappenedOut(what=one.what, at=one.at) for one in events],
    )


async def visible(tx: WriteSession, *, sign_off_id: UUID) -> queries.SignOffRow:
    """Return a go-ahead that the actor may see; NotFound otherwise."""
    row = await queries.sign_off(tx, sign_off_id=sign_off_id)
    if row is None:
        leaves = RefusedRead(about_id=sign_off_id, what="sign_off")
        raise not_found("go-ahead", leaves=leaves)
    return row


def _escalated(row: queries.SignOffRow) -> bool:
    """Say whether what waits now, the question or the second look, has gone to the manager."""
    if row.state == "waiting":
        return row.escalated_at is not None
    return row.look_again_escalated_at is not None


def _line(row: queries.SignOffRow) -> SignOffLine:
    return SignOffLine(
        id=row.id,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        person_id=row.person_id,
        area=row.area,
        body=cast(Body, row.body),
        amount_pence=row.amount_pence,
        state=cast(State, row.state),
        asked_at=row.asked_at,
        due_at=row.due_at,
        escalated=_escalated(row),
        look_again_due_at=row.look_again_due_at,
    )


def _decision_out(row: SignOffDecision) -> DecisionOut:
    ground = cast(Ground | None, row.ground)
    return DecisionOut(
        outcome=cast(Outcome, row.outcome),
        ground=ground,
        ground_means=GROUND_WORDS[ground] if ground is not None else None,
        words=row.words,
        who_can_change=row.who_can_change,
        who_rings=row.who_rings,
        rings_by=row.rings_by,
        decided_by=row.decided_by_called,
        at=row.at,
    )


def _challenge_out(row: Challenge) -> ChallengeOut:
    return ChallengeOut(
        id=row.id,
        words=row.words,
        raised_at=row.raised_at,
        due_at=row.due_at,
        escalated=row.escalated_at is not None,
        outcome=cast(SecondLook | None, row.outcome),
        answer=row.answer,
        decided_by=row.decided_by_called,
        decided_at=row.decided_at,
    )
