"""Stages: who says what of each, and where it then stands."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, update

from api.core.db import WriteSession
from api.core.errors import Conflict, NotAllowed, invalid, not_found
from api.core.ids import new_id
from api.identity.rules import Actor
from api.pools import group as groups
from api.pools import queries, rules, views
from api.pools.group import Group
from api.pools.models import (
    PoolMember,
    PoolStage,
    PoolStageWord,
)
from api.pools.rules import RUNNING
from api.pools.schemas import NewStageWord, PoolOut


async def say(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    pool_id: UUID,
    number: int,
    new: NewStageWord,
) -> PoolOut:
    """Say of a stage that it is done, that it happened, or that it did not as agreed.

    A dispute freezes this stage alone. When enough members have said that it happened, and nobody
    disputes it, it is paid. ``wages``: during a pause, a manager or finance passes what is due.
    """
    group = await groups.locked(tx, pool_id=pool_id)
    stage = next(
        (one for one in await queries.stages(tx, pool_id=pool_id) if one.number == number), None
    )
    if stage is None:
        raise not_found("part")
    if group.state not in RUNNING:
        raise rules.not_promising(group.state)
    me = await queries.me(tx, pool_id=pool_id)
    member_id = await _may_say(tx, group, me, actor=actor, new=new)
    await _check_word(group, stage, new)
    await tx.execute(
        insert(PoolStageWord).values(
            id=new_id(),
            pool_id=pool_id,
            stage_id=stage.id,
            member_id=member_id,
            what=new.what,
            words=new.words,
            actor_kind=actor.kind,
            actor_id=actor.id,
            at=now,
        )
    )
    await _settle(tx, group, stage, actor=actor, now=now, what=new.what)
    await groups.advance_later(tx, pool_id=pool_id, now=now)
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def _may_say(
    tx: WriteSession,
    group: Group,
    me: PoolMember | None,
    *,
    actor: Actor,
    new: NewStageWord,
) -> UUID | None:
    """Return whose word it is: a member's id, or None for who offers it and for staff."""
    if new.what == "wages":
        groups.need_role(actor, group, "manager", "finance")
        if me is not None or actor.id == (await groups.chosen_offer(tx, group)).account_id:
            raise rules.two_others()
        return None
    if new.what == "done":
        offer = await groups.chosen_offer(tx, group)
        if offer.account_id is not None and actor.id != offer.account_id:
            raise NotAllowed(
                rule="done-by-who-does-it",
                detail="That it is done is said by whoever does it.",
                who_can_change_it="Whoever made the offer.",
                what_else=["Say that it happened, as a member."],
            )
        if offer.account_id is None and (me is None or me.state != "in"):
            raise rules.members_only()
        return None
    if me is None or me.state != "in":
        raise rules.members_only()
    if new.what in ("confirmed", "settled"):
        offer = await groups.chosen_offer(tx, group)
        if me.id == offer.written_by or (
            offer.account_id is not None and actor.id == offer.account_id
        ):
            raise NotAllowed(
                rule="not-own-work",
                detail="Nobody confirms what they offered or wrote down themselves.",
                who_can_change_it="Nobody: others of the group confirm it.",
                what_else=["Ask the people who were there."],
            )
    return me.id


async def _check_word(group: Group, stage: PoolStage, new: NewStageWord) -> None:
    if stage.state in ("paid", "cancelled"):
        raise Conflict(
            rule="part-open",
            detail="This part is paid, or was left out.",
            who_can_change_it="Nobody: what happened stands.",
            what_else=["Say it to the group.", "Ask for it to be looked at again."],
        )
    if new.what == "disputed" and new.words is None:
        raise invalid("dispute-says-what", "words", "Say in a few words what was not as agreed.")
    if new.what == "wages" and group.pool.paused_at is None:
        raise invalid("wages-in-a-pause", "what", "This is for what is due during a pause.")


async def _settle(
    tx: WriteSession, group: Group, stage: PoolStage, *, actor: Actor, now: datetime, what: str
) -> None:
    """Work out where the stage stands from all that was said of it; begin with the first word."""
    words = [
        one for one in await queries.stage_words(tx, pool_id=group.id) if one.stage_id == stage.id
    ]
    members = await queries.members(tx, pool_id=group.id)
    there = {one.id for one in members if one.state == "in"}
    last = {one.member_id: one.what for one in words if one.member_id in there}
    confirmed = sum(1 for one in last.values() if one in ("confirmed", "settled"))
    there.discard((await groups.chosen_offer(tx, group)).written_by)
    if "disputed" in last.values():
        state = "disputed"
    elif confirmed >= rules.confirmations_needed(len(there)):
        state = "confirmed"
    elif stage.done_at is not None or what == "done":
        state = "done"
    else:
        state = "planned"
    await tx.execute(
        update(PoolStage)
        .where(PoolStage.id == stage.id)
        .values(
            state=state,
            done_at=stage.done_at or (now if what == "done" else None),
            confirmed_at=(stage.confirmed_at or now) if state == "confirmed" else None,
        )
        .execution_options(synchronize_session=False)
    )
    if group.state == "contracted":
        group = await groups.step(
            tx, group, actor=actor, now=now, what="begun", to="delivering", reason="first_word"
        )
    await groups.step(tx, group, actor=actor, now=now, what=f"part_{state}", reason=what)
