"""Payment of a stage: divided over the shares that may pay each line; what notice comes to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import update

from api.budgets import service as budgets
from api.budgets.rules import BudgetFacts, PayeeFacts
from api.core.db import WriteSession
from api.core.errors import Refusal
from api.identity.rules import Actor
from api.ledger import service as ledger
from api.ledger.rules import NewAccount, Step, Subject, Transfer
from api.pools import group as groups
from api.pools import promises, queries, rules
from api.pools.group import Group
from api.pools.models import PoolMember, PoolOffer, PoolStage
from api.pools.queries import ShareRow
from api.pools.rules import Line, Share

_WEIGHT = 1_000_000


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


async def pay_again(tx: WriteSession, group: Group, *, actor: Actor, now: datetime) -> bool:
    """Ask anew for each payment that failed: who did the work is still owed it.

    Its money went back to the share that it came from, and goes out of that share again, once for
    each failure. What somebody took with them meanwhile is not there to be paid.
    """
    failed = await budgets.failed_payments(tx, for_type="pool", for_id=group.id)
    shares = {
        one.share_id
        for one in await queries.shares(tx, pool_id=group.id)
        if one.state == "posted" and one.share_id is not None
    }
    accounts = await ledger.accounts(tx, ids=list(shares))
    changed = False
    for one in failed:
        stands = accounts.get(one.from_account_id)
        if stands is None or stands.available_pence < one.amount_pence:
            continue
        (payable,) = await ledger.open_accounts(
            tx,
            actor=actor,
            now=now,
            new=[NewAccount(kind="payable", owner_key=one.payee_key, source_key=stands.source_key)],
        )
        posted = await ledger.transfer(
            tx,
            debit_id=one.from_account_id,
            credit_id=payable,
            amount_pence=one.amount_pence,
            actor=actor,
            now=now,
            key=f"pool:{group.id}:again:{one.id}",
            code="pool.paid_again",
            subject=Subject(type="pool", id=group.id),
        )
        if posted.again:
            continue
        accounts = await ledger.accounts(tx, ids=list(shares))
        await budgets.record_payments(
            tx,
            actor=actor,
            now=now,
            rows=[
                budgets.PaymentRow(
                    area_id=group.pool.area_id,
                    budget_id=one.budget_id,
                    amount_pence=one.amount_pence,
                    payee_key=one.payee_key,
                    payee_called=one.payee_called,
                    payee_account_id=one.payee_account_id,
                    for_type="pool",
                    for_id=group.id,
                    purpose=one.purpose,
                    from_account_id=one.from_account_id,
                    transfer_id=posted.id,
                )
            ],
        )
        changed = True
    if changed:
        await groups.step(
            tx, group, actor=actor, now=now, what="asked_again", reason="payment_failed"
        )
    return changed


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


async def notice_of(tx: WriteSession, group: Group, member: PoolMember) -> dict[UUID, int]:
    """Return the pence of notice that each of a member's shares would owe today.

    It is the member's part of the agreed sessions' price, no more of them than are still to come,
    and never more than is left of the share. Nothing where the group agreed to no notice.
    """
    chosen = await queries.choices(tx, pool_id=group.id)
    if "leaving" in chosen and chosen["leaving"].choice == "no_notice":
        return {}
    offer = await groups.chosen_offer(tx, group)
    to_come = sum(
        one.last_session - one.first_session + 1
        for one in await queries.stages(tx, pool_id=group.id)
        if one.state not in ("paid", "cancelled")
    )
    sessions = min(offer.notice_sessions, to_come)
    rows = [one for one in await queries.shares(tx, pool_id=group.id) if one.state == "posted"]
    left = await left_of(tx, rows)
    there = [one for one in rows if one.member_state == "in" or one.member_id == member.id]
    among = _weighed(there, offer, left)
    owed = min(sessions * offer.session_pence, sum(one.left_pence for one in among))
    parts = rules.split(owed, among)
    return {
        one.pledge_id: parts.get(one.pledge_id, 0) for one in rows if one.member_id == member.id
    }


def _weighed(rows: Sequence[ShareRow], offer: PoolOffer, left: dict[UUID, int]) -> list[Share]:
    return [
        Share(
            key=one.pledge_id,
            number=one.number,
            left_pence=left[one.pledge_id],
            weight=weight(one, rows, offer.split),
            purposes=frozenset(),
        )
        for one in rows
    ]


async def left_of(tx: WriteSession, rows: Sequence[ShareRow]) -> dict[UUID, int]:
    ids = [one.share_id for one in rows if one.share_id is not None]
    accounts = await ledger.accounts(tx, ids=ids)
    return {
        one.pledge_id: accounts[one.share_id].available_pence
        for one in rows
        if one.share_id is not None
    }


async def leave_out(tx: WriteSession, group: Group) -> bool:
    """Leave out what was not begun, where nobody is left for it; say whether there was any."""
    left_out = await tx.scalars(
        update(PoolStage)
        .where(PoolStage.pool_id == group.id, PoolStage.state == "planned")
        .values(state="cancelled")
        .returning(PoolStage.id)
        .execution_options(synchronize_session=False)
    )
    return bool(left_out.all())
