"""From signing to the last stage: the body that signs, two approvals, stages, payment of each."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, update

from api.budgets import service as budgets
from api.budgets.rules import BudgetFacts, PayeeFacts
from api.core.db import WriteSession
from api.core.errors import Conflict, NotAllowed, Refusal, invalid, not_found
from api.core.ids import new_id
from api.identity.rules import Actor
from api.ledger import service as ledger
from api.ledger.rules import NewAccount, PostHold, Step, Subject, Transfer
from api.pools import group as groups
from api.pools import promises, queries, rules, views
from api.pools.group import Group
from api.pools.models import (
    PoolApproval,
    PoolMember,
    PoolOffer,
    PoolPledge,
    PoolStage,
    PoolStageWord,
)
from api.pools.queries import ShareRow
from api.pools.rules import APPROVERS, RUNNING, Line, Share
from api.pools.schemas import NewBody, NewStageWord, PoolOut

_WEIGHT = 1_000_000


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


async def pay_confirmed(
    tx: WriteSession, group: Group, *, actor: Actor, now: datetime, most: Mapping[UUID, int]
) -> bool:
    """Pay every stage that members have confirmed; return whether anything changed.

    During a pause only what two of the staff have passed as wages due (law.md 4). ``most``: of
    shares that are on their way back, the notice that may still be taken.
    """
    changed = False
    for stage in await queries.stages(tx, pool_id=group.id):
        if stage.state not in ("confirmed", "short"):
            continue
        if group.pool.paused_at is not None and not await _wages_passed(tx, group, stage):
            continue
        try:
            await _pay(tx, group, stage, actor=actor, now=now, most=most)
            state, paid_at = "paid", now
        except Refusal as refusal:
            if refusal.rule != "money-for-each-part":
                raise
            if stage.state == "short":
                continue
            state, paid_at = "short", None
        await tx.execute(
            update(PoolStage)
            .where(PoolStage.id == stage.id)
            .values(state=state, paid_at=paid_at)
            .execution_options(synchronize_session=False)
        )
        group = await groups.step(
            tx, group, actor=actor, now=now, what=f"part_{state}", reason="confirmed"
        )
        changed = True
    return changed


async def _wages_passed(tx: WriteSession, group: Group, stage: PoolStage) -> bool:
    """Say whether two have passed it in this pause: what was said in an earlier one is over."""
    since = group.pool.paused_at
    passed = {
        one.actor_id
        for one in await queries.stage_words(tx, pool_id=group.id)
        if one.stage_id == stage.id and one.what == "wages" and since and one.at >= since
    }
    return len(passed) >= 2


async def _pay(
    tx: WriteSession,
    group: Group,
    stage: PoolStage,
    *,
    actor: Actor,
    now: datetime,
    most: Mapping[UUID, int],
) -> None:
    """Divide a stage over the shares that may pay each line, and instruct the holders.

    The rules of each funder are asked again here, as they are today. "Paid" waits for the holder.
    """
    offer = await groups.chosen_offer(tx, group)
    rows = [one for one in await queries.shares(tx, pool_id=group.id) if one.state == "posted"]
    first, shares = await _as_shares(tx, rows, offer, now=now, most=most)
    sessions = stage.last_session - stage.first_session + 1
    lines = [
        Line(purpose=str(line["purpose"]), pence=int(line["pence"]) * sessions)
        for line in offer.lines
    ]
    parts = rules.split_lines(lines, shares, first=first)
    of = {one.key: one for one in (*first, *shares)}
    paying = [one for one in rows if parts.get(one.pledge_id, 0) > 0]
    opened = await ledger.open_accounts(
        tx,
        actor=actor,
        now=now,
        new=[
            NewAccount(kind="payable", owner_key=offer.payee_key, source_key=one.source_key)
            for one in paying
        ],
    )
    steps: list[Step] = []
    for one, payable in zip(paying, opened, strict=True):
        assert one.share_id is not None, "ck_pool_pledges_ends"
        steps.append(
            Transfer(debit_id=one.share_id, credit_id=payable, amount_pence=parts[one.pledge_id])
        )
    posted = await ledger.post(
        tx,
        actor=actor,
        now=now,
        key=f"pool:{group.id}:stage:{stage.number}",
        code="pool.part_paid",
        steps=steps,
        subject=Subject(type="pool", id=group.id),
    )
    await budgets.record_payments(
        tx,
        actor=actor,
        now=now,
        rows=[
            budgets.PaymentRow(
                area_id=group.pool.area_id,
                budget_id=one.budget_id,
                amount_pence=parts[one.pledge_id],
                payee_key=offer.payee_key,
                payee_called=offer.called,
                payee_account_id=offer.account_id,
                for_type="pool",
                for_id=group.id,
                purpose=_purpose(offer, of[one.pledge_id]),
                from_account_id=one.share_id,
                transfer_id=transfer_id,
            )
            for one, transfer_id in zip(paying, posted.ids, strict=True)
            if one.share_id is not None
        ],
    )


def _purpose(offer: PoolOffer, share: Share) -> str:
    """Return what a payment is for: the first line of the offer that this money may pay."""
    return next(
        str(line["purpose"]) for line in offer.lines if str(line["purpose"]) in share.purposes
    )


async def _as_shares(
    tx: WriteSession,
    rows: Sequence[ShareRow],
    offer: PoolOffer,
    *,
    now: datetime,
    most: Mapping[UUID, int],
) -> tuple[list[Share], list[Share]]:
    """Return (notice moneys of people who left, shares of those who are in) for a split."""
    accounts = await ledger.accounts(
        tx, ids=[one.share_id for one in rows if one.share_id is not None]
    )
    known = await budgets.facts_of(tx, budget_ids=[one.budget_id for one in rows])
    first: list[Share] = []
    shares: list[Share] = []
    for one in rows:
        if one.member_state == "paused" or one.share_id is None:
            continue
        left = accounts[one.share_id].available_pence
        left = min(left, most.get(one.pledge_id, left))
        may = may_pay(known[one.budget_id], offer, now=now)
        if one.member_state == "out":
            may = frozenset(str(line["purpose"]) for line in offer.lines)
        made = Share(
            key=one.pledge_id,
            number=one.number,
            left_pence=left,
            weight=weight(one, rows, offer.split),
            purposes=may,
        )
        (first if one.member_state == "out" else shares).append(made)
    return first, shares


def may_pay(facts: BudgetFacts, offer: PoolOffer, *, now: datetime) -> frozenset[str]:
    """Return for which of an offer's purposes a budget may pay, as its rules are today."""
    payee = PayeeFacts(
        key=offer.payee_key,
        called=offer.called,
        account_id=offer.account_id,
        registered=offer.registered,
    )
    try:
        return promises.allowed(facts, offer.lines, payee, amount_pence=1, now=now)
    except Refusal:
        return frozenset()


def weight(one: ShareRow, rows: Sequence[ShareRow], split: str) -> int:
    """Return what part of the cost a share carries: the same for each person, or by promise."""
    if split == "by_promise":
        return one.amount_pence
    whole = sum(row.amount_pence for row in rows if row.member_id == one.member_id)
    return max(1, _WEIGHT * one.amount_pence // whole)


async def all_done(tx: WriteSession, group: Group) -> bool:
    """Say whether every stage is paid or was left out."""
    stages = await queries.stages(tx, pool_id=group.id)
    return all(one.state in ("paid", "cancelled") for one in stages)
