"""What follows by itself: deadlines, go-aheads that came in, signing, payment, closing.

One function looks at a group under its lock and does what is due, step by step, until nothing is.
Running it again, at the same moment or after a crash, does nothing twice: each step is one of the
group's versions, and each batch of the ledger has a key of its own. A stop or a pause leaves
things as they are; the next look goes on from there.
"""

from datetime import datetime, timedelta
from uuid import UUID

from api.core.db import WriteSession
from api.core.errors import NotFound, Refusal
from api.core.money import in_words
from api.decisions import service as decisions
from api.decisions.rules import Subject
from api.decisions.schemas import AskSignOff, SignOffState
from api.identity.rules import Actor
from api.pools import contract, exits, payment, promises, queries, rules, steps, votes
from api.pools import group as groups
from api.pools.group import Group
from api.pools.models import PoolOffer
from api.pools.queries import ShareRow
from api.pools.rules import PROMISE_DAYS_AGAIN, RUNNING

MOST_STEPS = 50
_HELD_BACK = frozenset({"safety-stop", "group-paused"})


async def advance(tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID) -> None:
    """Do what is due for a group. ``actor`` is the group's own task."""
    for _ in range(MOST_STEPS):
        try:
            group = await groups.locked(tx, pool_id=pool_id)
        except NotFound:
            return
        before = group.pool.version
        try:
            await _one(tx, group, actor=actor, now=now)
        except Refusal as refusal:
            if refusal.rule not in _HELD_BACK:
                raise
            return
        if (await groups.locked(tx, pool_id=pool_id)).pool.version == before:
            return
    # So much at once is a large group: what is done so far is kept, and the rest comes after.
    await groups.advance_later(tx, pool_id=pool_id, now=now)


async def _one(tx: WriteSession, group: Group, *, actor: Actor, now: datetime) -> None:
    """Do the next thing that is due, if there is one. Money on its way back is never held."""
    if group.state in ("closed", "expired") and await _let_all_go(tx, group, actor=actor, now=now):
        return
    unpaid = group.state in (*RUNNING, "reviewed") and group.pool.paused_at is None
    if unpaid and await payment.pay_again(tx, group, actor=actor, now=now):
        return
    if group.state in RUNNING:
        owed = await _owed(tx, group)
        if owed and await _owed_back(tx, group, owed, actor=actor, now=now):
            return
        if await payment.pay_confirmed(tx, group, actor=actor, now=now, most=owed):
            return
    if group.state == "pledging" and _over(group, now) and not await _reached(tx, group):
        if group.pool.paused_at is None:
            await groups.step(
                tx, group, actor=actor, now=now, what="ran_out", to="expired", reason="deadline"
            )
        return
    await groups.guard(tx, group)
    moved = await votes.close_due(tx, group, actor=actor, now=now)
    if moved.pool.version != group.pool.version:
        return
    match group.state:
        case "pledging" if _over(group, now):
            await steps.ask_review(tx, group, actor=actor, now=now)
        case "review":
            await _review(tx, group, actor=actor, now=now)
        case "approved":
            if not await _still_stands(tx, group):
                await _again(tx, group, actor=actor, now=now)
            elif await contract.ready_to_sign(tx, group):
                await contract.sign(tx, group, actor=actor, now=now)
        case "contracted" | "delivering":
            await _running(tx, group, actor=actor, now=now)
        case "reviewed":
            await _close(tx, group, actor=actor, now=now)


def _over(group: Group, now: datetime) -> bool:
    return group.pool.promise_by is not None and group.pool.promise_by <= now


async def _reached(tx: WriteSession, group: Group) -> bool:
    offer = await groups.chosen_offer(tx, group)
    missing, people = await steps.reached(tx, group, offer)
    return missing <= 0 and people >= offer.min_people


async def _let_all_go(tx: WriteSession, group: Group, *, actor: Actor, now: datetime) -> bool:
    """Release every promise that still stands, in one batch: safe to repeat."""
    held = await _live(tx, group)
    if not held:
        return False
    state = "expired" if group.state == "expired" else "let_go"
    await promises.release(tx, actor=actor, now=now, pool_id=group.id, pledges=held, state=state)
    await groups.step(tx, group, actor=actor, now=now, what="all_let_go", reason=group.state)
    return True


async def _live(tx: WriteSession, group: Group) -> list[ShareRow]:
    return [one for one in await queries.shares(tx, pool_id=group.id) if one.state == "held"]


async def _review(tx: WriteSession, group: Group, *, actor: Actor, now: datetime) -> None:
    """Ask each funder once; let go of what was refused; go on when nobody is waited for."""
    offer = await groups.chosen_offer(tx, group)
    old = [one for one in await _live(tx, group) if one.offer_id != offer.id]
    if old:
        # Asked again at the new price, and not said again: that money is free.
        await promises.release(
            tx, actor=actor, now=now, pool_id=group.id, pledges=old, state="let_go"
        )
        await groups.step(tx, group, actor=actor, now=now, what="old_let_go", reason="new_price")
        return
    waiting = False
    for share in await _live(tx, group):
        state = await _go_ahead(tx, group, offer, share, actor=actor, now=now)
        if state == "declined":
            await exits.declined(tx, group, share, actor=actor, now=now)
            return
        waiting = waiting or state == "waiting"
    if not await _reached(tx, group):
        await _again(tx, group, actor=actor, now=now)
    elif not waiting:
        await groups.step(
            tx, group, actor=actor, now=now, what="approved", to="approved", reason="go_aheads"
        )


async def _go_ahead(
    tx: WriteSession,
    group: Group,
    offer: PoolOffer,
    share: ShareRow,
    *,
    actor: Actor,
    now: datetime,
) -> str:
    """Return how a promise's go-ahead stands; ask for it where nobody has. Own money needs none."""
    if share.body is None:
        return "approved"
    subject = Subject("pool_use", share.use_id)
    states = await decisions.sign_off_states(tx, subjects=[subject])
    found = states.get(share.use_id)
    if found is not None and found.state in ("waiting", "approved"):
        if found.amount_pence >= share.amount_pence:
            return found.state
    elif _refused(found, share):
        return "declined"
    member = next(
        one for one in await queries.members(tx, pool_id=group.id) if one.id == share.member_id
    )
    await decisions.ask_sign_off(
        tx,
        actor=actor,
        now=now,
        ask=AskSignOff(
            subject=subject,
            person_id=member.person_id,
            area_id=group.pool.area_id,
            settings=group.settings,
            body=share.body,  # type: ignore[arg-type]
            about={
                "what": group.pool.name,
                "summary": group.pool.summary,
                "offered_by": offer.called,
                "sessions": offer.sessions,
                "promised": in_words(share.amount_pence),
                "for": sorted({rules.plain(str(line["purpose"])) for line in offer.lines}),
                "checks_seen": offer.checks_seen,
            },
            amount_pence=share.amount_pence,
            not_by=[offer.account_id] if offer.account_id is not None else [],
        ),
    )
    return "waiting"


def _refused(found: SignOffState | None, share: ShareRow) -> bool:
    """Say whether this, or less than this, was refused."""
    if found is None or found.state != "declined":
        return False
    return found.amount_pence <= share.amount_pence


async def _still_stands(tx: WriteSession, group: Group) -> bool:
    """Say whether price and people are still reached by promises that have their go-ahead."""
    if not await _reached(tx, group):
        return False
    asked = [one for one in await _live(tx, group) if one.body is not None]
    states = await decisions.sign_off_states(
        tx, subjects=[Subject("pool_use", one.use_id) for one in asked]
    )
    return all(
        one.use_id in states
        and states[one.use_id].state == "approved"
        and states[one.use_id].amount_pence >= one.amount_pence
        for one in asked
    )


async def _again(tx: WriteSession, group: Group, *, actor: Actor, now: datetime) -> None:
    """Go back to promises, with a new day: too little, or too few, are left."""
    await groups.step(
        tx,
        group,
        actor=actor,
        now=now,
        what="promises_again",
        to="pledging",
        reason="target_not_met",
        promise_by=now + timedelta(days=PROMISE_DAYS_AGAIN),
    )


async def _running(tx: WriteSession, group: Group, *, actor: Actor, now: datetime) -> None:
    """Let late joiners in, end when all is done."""
    offer = await groups.chosen_offer(tx, group)
    for share in await _live(tx, group):
        state = await _go_ahead(tx, group, offer, share, actor=actor, now=now)
        if state == "declined":
            await exits.declined(tx, group, share, actor=actor, now=now)
            return
        if state == "approved":
            await contract.post_shares(tx, group, [share], actor=actor, now=now)
            await groups.step(
                tx, group, actor=actor, now=now, what="share_joined", reason="go_ahead"
            )
            return
    members = await queries.members(tx, pool_id=group.id)
    if all(one.state == "out" for one in members) and await payment.leave_out(tx, group):
        await groups.step(tx, group, actor=actor, now=now, what="shrunk", reason="nobody_is_in")
    elif await payment.all_done(tx, group):
        await groups.step(
            tx, group, actor=actor, now=now, what="reviewed", to="reviewed", reason="all_done"
        )


async def _owed(tx: WriteSession, group: Group) -> dict[UUID, int]:
    """Return the shares of people who left in a pause, each with the notice that stays of it.

    All else of them is on its way back: nothing is paid from it any more.
    """
    owed: dict[UUID, int] = {}
    rows = [one for one in await queries.shares(tx, pool_id=group.id) if one.state == "posted"]
    gone = {one.member_id for one in rows if one.member_state == "out"}
    members = await queries.members(tx, pool_id=group.id) if gone else []
    for member in (one for one in members if one.id in gone):
        events = await queries.events(tx, member_id=member.id)
        went = max((e.at for e in events if e.what in ("left", "funder_withdrew")), default=None)
        if went is None or any(e.what == "returned" and e.at >= went for e in events):
            continue
        keep = await payment.notice_of(tx, group, member)
        owed |= {
            one.pledge_id: keep.get(one.pledge_id, 0) for one in rows if one.member_id == member.id
        }
    return owed


async def _owed_back(
    tx: WriteSession, group: Group, owed: dict[UUID, int], *, actor: Actor, now: datetime
) -> bool:
    """Give that back once the pause is over; return whether there was anything."""
    if group.pool.paused_at is not None:
        return False
    rows = [one for one in await queries.shares(tx, pool_id=group.id) if one.pledge_id in owed]
    if not await exits.give_back(tx, group, rows, actor=actor, now=now, keep=owed):
        return False
    await groups.step(tx, group, actor=actor, now=now, what="gave_back", reason="left")
    return True


async def _close(tx: WriteSession, group: Group, *, actor: Actor, now: datetime) -> None:
    """Give back what is left, to the penny and to each source; close at zero.

    A share that waits for an estate, and a payment that waits for its holder, keep it open.
    """
    rows = [one for one in await queries.shares(tx, pool_id=group.id) if one.state == "posted"]
    free = [one for one in rows if one.member_state != "paused"]
    if await exits.give_back(tx, group, free, actor=actor, now=now):
        await groups.step(tx, group, actor=actor, now=now, what="gave_back", reason="closing")
        return
    held = await _live(tx, group)
    if held:
        await promises.release(
            tx, actor=actor, now=now, pool_id=group.id, pledges=held, state="let_go"
        )
    if len(free) < len(rows) or await exits.payments_open(tx, group):
        return
    await exits.close_shares(tx, rows, actor=actor, now=now)
    await groups.step(tx, group, actor=actor, now=now, what="closed", to="closed", reason="at_zero")
