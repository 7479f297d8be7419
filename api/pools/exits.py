"""Leaving, before and after signing; death; a funder who withdraws; a pause to keep people safe.

Nobody needs a reason to leave, and nobody is kept: a stop or a pause never holds somebody's way
out (law.md 4). The group is told how many are in, never why somebody went.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import update

from api.budgets import service as budgets
from api.core.db import WriteSession
from api.core.errors import Conflict, not_found
from api.identity.rules import Actor
from api.ledger import service as ledger
from api.ledger.rules import Step, Subject, Transfer
from api.pools import group as groups
from api.pools import money, payment, promises, queries, views, votes
from api.pools.group import Group
from api.pools.models import PoolMember, PoolPledge
from api.pools.queries import ShareRow
from api.pools.rules import APPROVERS, RUNNING
from api.pools.schemas import Leaving, Mine, NewExit, Pausing, PoolOut


async def leave(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, new: Leaving
) -> Mine:
    """Leave. Before signing every promise is free again; after it what is left goes back at once,
    less one's share of the notice that all agreed to. More than was promised is never owed.
    """
    group = await groups.locked(tx, pool_id=pool_id)
    me = await groups.member(tx, pool_id=pool_id, still_in=False)
    if me.state == "in" and group.state not in ("reviewed", "closed"):
        await _go(
            tx,
            group,
            me,
            actor=actor,
            now=now,
            what="left",
            words=new.something_was_wrong,
        )
    return await money.mine(tx, actor=actor, now=now, pool_id=pool_id)


async def exit_by_staff(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, number: int, new: NewExit
) -> PoolOut:
    """A death, an estate that is settled, or a funder who withdraws: by the area's staff.

    Death freezes the share. Once the estate is settled, what is left goes back to the budget, and
    from there public money to its funder, own money to the estate (law.md 6).
    """
    group = await groups.locked(tx, pool_id=pool_id)
    groups.need_role(actor, group, *APPROVERS)
    found = next(
        (one for one in await queries.members(tx, pool_id=pool_id) if one.number == number), None
    )
    if found is None:
        raise not_found("person in the group")
    if new.reason == "estate_settled":
        if found.state != "paused":
            raise Conflict(
                rule="estate-after-death",
                detail="There is no share here that waits for an estate.",
                who_can_change_it="Whoever keeps the group's money, by saying first what happened.",
                what_else=["Say first that the person died."],
            )
        await groups.set_member(tx, member_id=found.id, state="out")
        await give_back(tx, group, await _shares_of(tx, group, found), actor=actor, now=now)
        await _noted(tx, group, found, what="estate_settled", actor=actor, now=now, words=new.words)
        await groups.step(
            tx, group, actor=actor, now=now, what="share_settled", role="staff", reason="people_now"
        )
    elif new.reason == "died":
        await _died(tx, group, found, actor=actor, now=now, words=new.words)
    elif found.state == "in":
        await _go(tx, group, found, what="funder_withdrew", actor=actor, now=now, words=new.words)
    await groups.advance_later(tx, pool_id=pool_id, now=now)
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def pause(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, new: Pausing
) -> PoolOut:
    """Pause a group to keep somebody safe, or end the pause: by a manager.

    Nothing new is posted meanwhile and its clocks stand still, those of promises and of votes;
    the others see only "paused".
    """
    group = await groups.locked(tx, pool_id=pool_id)
    groups.need_role(actor, group, "manager")
    paused_at = group.pool.paused_at
    if new.paused == (paused_at is not None):
        return await views.view(tx, actor=actor, pool_id=pool_id)
    promise_by = group.pool.promise_by
    if paused_at is not None:
        if promise_by is not None:
            promise_by += now - paused_at
        await votes.longer(tx, group, by=now - paused_at)
    await groups.step(
        tx,
        group,
        actor=actor,
        now=now,
        what="paused" if new.paused else "resumed",
        role="staff",
        reason="safeguarding",
        paused_at=now if new.paused else None,
        promise_by=promise_by,
    )
    await groups.advance_later(tx, pool_id=pool_id, now=now)
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def declined(
    tx: WriteSession, group: Group, share: ShareRow, *, actor: Actor, now: datetime
) -> Group:
    """Let go of a promise whose go-ahead was refused. The others learn how many are in."""
    await promises.release(
        tx, actor=actor, now=now, pool_id=group.id, pledges=[share], state="declined"
    )
    member = await _member(tx, group, share.member_id)
    await groups.happened(
        tx,
        actor=actor,
        now=now,
        pool_id=group.id,
        member_id=member.id,
        person_id=member.person_id,
        what="declined",
        amount_pence=share.amount_pence,
    )
    if not await _shares_of(tx, group, member):
        await groups.set_member(tx, member_id=member.id, state="out")
    return await groups.step(tx, group, actor=actor, now=now, what="fewer", reason="people_now")


async def _go(
    tx: WriteSession,
    group: Group,
    member: PoolMember,
    *,
    actor: Actor,
    now: datetime,
    what: str,
    words: str | None,
) -> None:
    """Take somebody out: free what is promised, give back what is left of what is signed."""
    rows = await _shares_of(tx, group, member)
    held = [one for one in rows if one.state == "held"]
    await promises.release(tx, actor=actor, now=now, pool_id=group.id, pledges=held, state="let_go")
    keep: dict[UUID, int] = {}
    if group.state in RUNNING:
        keep = await payment.notice_of(tx, group, member)
    await _noted(tx, group, member, actor=actor, now=now, what=what, words=words)
    await groups.set_member(tx, member_id=member.id, state="out")
    if group.pool.paused_at is None:
        posted = [one for one in rows if one.state == "posted"]
        await give_back(tx, group, posted, actor=actor, now=now, keep=keep)
    await groups.step(tx, group, actor=actor, now=now, what="fewer", reason="people_now")
    await groups.advance_later(tx, pool_id=group.id, now=now)


async def _died(
    tx: WriteSession, group: Group, member: PoolMember, *, actor: Actor, now: datetime, words: str
) -> None:
    """Freeze the share; what was only promised is free for the estate's way at once."""
    if member.state == "paused":
        return
    held = [one for one in await _shares_of(tx, group, member) if one.state == "held"]
    await promises.release(tx, actor=actor, now=now, pool_id=group.id, pledges=held, state="let_go")
    await groups.set_member(tx, member_id=member.id, state="paused")
    await _noted(tx, group, member, actor=actor, now=now, what="died", words=words)
    await groups.step(
        tx, group, actor=actor, now=now, what="share_paused", role="staff", reason="people_now"
    )


async def _noted(
    tx: WriteSession,
    group: Group,
    member: PoolMember,
    *,
    actor: Actor,
    now: datetime,
    what: str,
    words: str | None,
) -> None:
    await groups.happened(
        tx,
        actor=actor,
        now=now,
        pool_id=group.id,
        member_id=member.id,
        person_id=member.person_id,
        what=what,
        words=words,
    )


async def give_back(
    tx: WriteSession,
    group: Group,
    rows: Sequence[ShareRow],
    *,
    actor: Actor,
    now: datetime,
    keep: dict[UUID, int] | None = None,
) -> int:
    """Return what is left of shares to the budgets it came from, in one batch; how many pence.

    ``keep`` stays in the share: notice, spent on the next stage first. What goes back is at most
    what that source put in, since it is what is left of it.
    """
    left = await payment.left_of(tx, rows)
    steps: list[Step] = []
    back = []
    for one in rows:
        pence = left.get(one.pledge_id, 0) - (keep or {}).get(one.pledge_id, 0)
        if pence > 0 and one.share_id is not None:
            steps.append(
                Transfer(debit_id=one.share_id, credit_id=one.budget_account_id, amount_pence=pence)
            )
            back.append((one, pence))
    if not steps:
        return 0
    await ledger.post(
        tx,
        actor=actor,
        now=now,
        key=f"pool:{group.id}:back:{group.pool.version}",
        code="pool.returned",
        steps=steps,
        subject=Subject(type="pool", id=group.id),
    )
    for one, pence in back:
        member = await _member(tx, group, one.member_id)
        await groups.happened(
            tx,
            actor=actor,
            now=now,
            pool_id=group.id,
            member_id=member.id,
            person_id=member.person_id,
            what="returned",
            amount_pence=pence,
        )
    return sum(pence for _, pence in back)


async def close_shares(
    tx: WriteSession, rows: Sequence[ShareRow], *, actor: Actor, now: datetime
) -> None:
    """Close every empty share for good: the account is locked at zero."""
    for one in rows:
        if one.share_id is None:
            continue
        await ledger.close_account(tx, actor=actor, now=now, account_id=one.share_id)
        await tx.execute(
            update(PoolPledge)
            .where(PoolPledge.id == one.pledge_id, PoolPledge.ended_at.is_(None))
            .values(state="returned", ended_at=now)
            .execution_options(synchronize_session=False)
        )


async def payments_open(tx: WriteSession, group: Group) -> int:
    """Return how many payments wait for their holder's word."""
    return await budgets.payments_waiting(tx, for_type="pool", for_id=group.id)


async def _shares_of(tx: WriteSession, group: Group, member: PoolMember) -> list[ShareRow]:
    return [
        one
        for one in await queries.shares(tx, pool_id=group.id)
        if one.member_id == member.id and one.state in ("held", "posted")
    ]


async def _member(tx: WriteSession, group: Group, member_id: UUID) -> PoolMember:
    return next(one for one in await queries.members(tx, pool_id=group.id) if one.id == member_id)
