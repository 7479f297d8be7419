"""Signing: the body that signs, two who pass it, and promises that become shares."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, update

from api.core.db import WriteSession
from api.core.ids import new_id
from api.identity.rules import Actor
from api.ledger import service as ledger
from api.ledger.rules import NewAccount, PostHold, Subject
from api.pools import group as groups
from api.pools import queries, rules, views
from api.pools.group import Group
from api.pools.models import (
    PoolApproval,
    PoolPledge,
    PoolStage,
)
from api.pools.queries import ShareRow
from api.pools.rules import APPROVERS
from api.pools.schemas import NewBody, PoolOut


async def name_body(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, new: NewBody
) -> PoolOut:
    """Name the legal body that signs (law.md 7). Whoever names it does not pass the contract.

    Another body is another contract: it is voted on and passed anew.
    """
    group = await groups.locked(tx, pool_id=pool_id)
    mine = await queries.me(tx, pool_id=pool_id)
    if mine is None or mine.state != "in":
        groups.need_role(actor, group, *APPROVERS)
    await groups.guard(tx, group)
    if group.state != "approved":
        raise rules.not_promising(group.state)
    await groups.step(
        tx,
        group,
        actor=actor,
        now=now,
        what="body_named",
        role="staff" if mine is None else "member",
        reason="signs",
        body_called=new.called,
        body_named_by=actor.id,
    )
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def approve(tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID) -> PoolOut:
    """Pass the contract, as one of two: neither who named the body, nor the payee, nor a member."""
    group = await groups.locked(tx, pool_id=pool_id)
    groups.need_role(actor, group, *APPROVERS)
    await groups.guard(tx, group)
    if group.state != "approved":
        raise rules.not_promising(group.state)
    offer = await groups.chosen_offer(tx, group)
    if actor.id in (offer.account_id, group.pool.body_named_by) or await _is_member(tx, group):
        raise rules.two_others()
    round_ = await approval_round(tx, group)
    if actor.id in await queries.approvals(tx, pool_id=pool_id, round_=round_):
        return await views.view(tx, actor=actor, pool_id=pool_id)
    await tx.execute(
        insert(PoolApproval).values(
            id=new_id(), pool_id=pool_id, round=round_, account_id=actor.id, at=now
        )
    )
    await groups.step(
        tx, group, actor=actor, now=now, what="passed", role="staff", reason="approval"
    )
    await groups.advance_later(tx, pool_id=pool_id, now=now)
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def _is_member(tx: WriteSession, group: Group) -> bool:
    return await queries.me(tx, pool_id=group.id) is not None


async def approval_round(tx: WriteSession, group: Group) -> int:
    """Return the version from which approvals count: all had a go-ahead, the body was named."""
    last = await queries.contract_step(tx, pool_id=group.id)
    assert last is not None, "an approved group has become so"
    return last.version


async def ready_to_sign(tx: WriteSession, group: Group) -> bool:
    """Say whether the vote has confirmed it and two have passed it, as it now stands."""
    last = await queries.contract_step(tx, pool_id=group.id)
    assert last is not None, "an approved group has become so"
    confirmed = any(
        vote.motion == "confirm" and vote.outcome == "passed" and vote.opened_at >= last.at
        for vote in await queries.votes(tx, pool_id=group.id)
    )
    passed = await queries.approvals(tx, pool_id=group.id, round_=last.version)
    return confirmed and len(passed) >= 2 and group.pool.body_called is not None


async def sign(tx: WriteSession, group: Group, *, actor: Actor, now: datetime) -> Group:
    """Post every promise into a share of its own, in one batch; make the stages."""
    offer = await groups.chosen_offer(tx, group)
    held = [one for one in await queries.shares(tx, pool_id=group.id) if one.state == "held"]
    await post_shares(tx, group, held, actor=actor, now=now)
    for number, (first, last) in enumerate(rules.stages_of(offer.sessions, offer.stages), start=1):
        await tx.execute(
            insert(PoolStage).values(
                id=new_id(),
                pool_id=group.id,
                number=number,
                first_session=first,
                last_session=last,
                amount_pence=(last - first + 1) * offer.session_pence,
                state="planned",
            )
        )
    return await groups.step(
        tx, group, actor=actor, now=now, what="signed", to="contracted", reason="vote_and_two"
    )


async def post_shares(
    tx: WriteSession, group: Group, held: Sequence[ShareRow], *, actor: Actor, now: datetime
) -> None:
    """Turn promises into shares: one account for each member and source."""
    if not held:
        return
    opened = await ledger.open_accounts(
        tx,
        actor=actor,
        now=now,
        new=[
            NewAccount(
                kind="pool_share",
                owner_key=rules.share_owner(group.id, one.number),
                source_key=one.source_key,
            )
            for one in held
        ],
    )
    await ledger.post(
        tx,
        actor=actor,
        now=now,
        key=f"pool:{group.id}:shares:{group.pool.version}",
        code="pool.signed",
        steps=[
            PostHold(hold_id=one.hold_id, credit_id=share)
            for one, share in zip(held, opened, strict=True)
        ],
        subject=Subject(type="pool", id=group.id),
    )
    for one, share in zip(held, opened, strict=True):
        await tx.execute(
            update(PoolPledge)
            .where(PoolPledge.id == one.pledge_id)
            .values(state="posted", share_id=share)
            .execution_options(synchronize_session=False)
        )
