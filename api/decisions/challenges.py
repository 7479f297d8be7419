"""Looking again: the person asks, and somebody else of the same body decides (law.md 6)."""

from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import insert, update

from api.areas import service as areas
from api.core.db import WriteSession
from api.core.errors import Conflict, NotAllowed, RefusedRead, not_found
from api.core.ids import new_id
from api.decisions import queries
from api.decisions.events import happened
from api.decisions.holds import guard
from api.decisions.models import Challenge, SignOff
from api.decisions.rules import Body, challenge_due, ways_on
from api.decisions.schemas import NewChallenge, NewChallengeDecision, NewDecision, SignOffOut
from api.decisions.showing import read, visible
from api.decisions.sign_offs import add_decision, held_with, require_signer
from api.identity.rules import Actor, Person


async def challenge(
    tx: WriteSession, *, actor: Actor, now: datetime, sign_off_id: UUID, new: NewChallenge
) -> SignOffOut:
    """Ask that somebody else looks at a no again; the clock starts.

    For the person and whoever asked for them. Conflict when there is no "no", or when somebody
    is looking again already.
    """
    row = await visible(tx, sign_off_id=sign_off_id)
    if not row.mine and (actor.kind != "person" or row.asked_by != actor.id):
        raise NotAllowed(
            rule="own-decision",
            detail="The person, or whoever asked for them, can ask for a second look.",
            who_can_change_it="The person.",
            what_else=["Tell them that they can, and how.", "Ask for an advocate for them."],
        )
    if row.state != "declined":
        raise Conflict(
            rule="no-to-look-at",
            detail="There is no refusal here to look at again.",
            who_can_change_it="Nobody needs to.",
        )
    if row.open_id is not None:
        raise Conflict(
            rule="looking-again-already",
            detail="Somebody new is looking at this decision already.",
            who_can_change_it="Nobody needs to: you are told by when.",
            what_else=ways_on(cast(Body, row.body))[1:],
        )
    area = await areas.get_area(tx, area_id=row.area_id)
    decision = (await queries.decisions(tx, sign_off_id=sign_off_id))[-1]
    await tx.execute(
        insert(Challenge).values(
            id=new_id(),
            sign_off_id=sign_off_id,
            decision_id=decision.id,
            challenged_decider=decision.decided_by,
            raised_by=actor.id if actor.kind == "person" else None,
            words=new.words,
            raised_at=now,
            due_at=challenge_due(raised_at=now, settings=area.settings),
        )
    )
    await happened(tx, actor=actor, now=now, what="challenged", sign_off_id=sign_off_id)
    return await read(tx, actor=actor, now=now, sign_off_id=sign_off_id)


async def decide_challenge(
    tx: WriteSession,
    *,
    actor: Person,
    now: datetime,
    challenge_id: UUID,
    new: NewChallengeDecision,
) -> SignOffOut:
    """Look again, as somebody who has not decided this yet: it stands, or it is changed to a yes.

    Raises NotFound, NotAllowed as deciding does; Conflict when it was looked at already, or for a
    yes that a stop holds.
    """
    found = await queries.challenge(tx, challenge_id=challenge_id)
    if found is None:
        leaves = RefusedRead(about_id=challenge_id, what="challenge")
        raise not_found("second look", leaves=leaves)
    row = await visible(tx, sign_off_id=found.sign_off_id)
    require_signer(row, actor=actor)
    await _require_somebody_else(tx, row, actor=actor)
    who = await queries.called(tx, account_id=actor.id)
    if found.outcome is None and new.outcome == "changed":
        await guard(tx, subjects=held_with(row))
    settled = await tx.execute(
        update(Challenge)
        .where(Challenge.id == challenge_id, Challenge.outcome.is_(None))
        .values(
            outcome=new.outcome,
            answer=new.words,
            decided_by=actor.id,
            decided_by_called=who,
            decided_at=now,
        )
        .returning(Challenge.id)
    )
    if settled.scalar_one_or_none() is None:
        raise Conflict(
            rule="decided-already",
            detail="Somebody new has looked at this already.",
            who_can_change_it="The Ombudsman can look at it next.",
            what_else=ways_on(cast(Body, row.body))[1:],
        )
    what = f"looked_again_{new.outcome}"
    await happened(tx, actor=actor, now=now, what=what, sign_off_id=row.id)
    if new.outcome == "changed":
        await _change(tx, row, actor=actor, now=now, who=who, words=new.words)
    return await read(tx, actor=actor, now=now, sign_off_id=row.id)


async def _require_somebody_else(
    tx: WriteSession, row: queries.SignOffRow, *, actor: Person
) -> None:
    """Raise NotAllowed for whoever decided or looked before (a trigger says the same)."""
    decided = [one.decided_by for one in await queries.decisions(tx, sign_off_id=row.id)]
    looked = [one.decided_by for one in await queries.challenges(tx, sign_off_id=row.id)]
    if actor.id in (*decided, *looked):
        raise NotAllowed(
            rule="somebody-else-looks",
            detail="Whoever decided this does not look at it again: somebody else does.",
            who_can_change_it="Somebody else who may decide it.",
            what_else=["A manager of the area who has not decided it can look."],
        )


async def _change(
    tx: WriteSession,
    row: queries.SignOffRow,
    *,
    actor: Person,
    now: datetime,
    who: str,
    words: str,
) -> None:
    """Turn the no into a yes. What waits for as little or less on the same is asked no more."""
    overtaken = await tx.scalars(
        update(SignOff)
        .where(
            SignOff.subject_type == row.subject_type,
            SignOff.subject_id == row.subject_id,
            SignOff.state == "waiting",
            SignOff.amount_pence <= row.amount_pence,
        )
        .values(state="superseded")
        .returning(SignOff.id)
    )
    for sign_off_id in overtaken:
        await happened(tx, actor=actor, now=now, what="superseded", sign_off_id=sign_off_id)
    await tx.execute(
        update(SignOff)
        .where(SignOff.id == row.id)
        .values(state="approved", decided_at=now, decided_by=actor.id)
    )
    yes = NewDecision(outcome="approved", words=words)
    await add_decision(tx, row=row, actor=actor, now=now, new=yes, who=who)
