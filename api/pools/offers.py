"""Offers to a group, and questions and answers about them."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import insert

from api.core import audit
from api.core.db import WriteSession
from api.core.errors import NotAllowed, invalid, not_found
from api.core.ids import new_id
from api.identity.rules import Actor, hashed, normal_code
from api.pools import group as groups
from api.pools import queries, rules, views
from api.pools.models import PoolMessage, PoolOffer
from api.pools.rules import payee_key
from api.pools.schemas import (
    NewMessage,
    NewOffer,
    PoolOut,
)

OFFERS_AT_MOST = 30


async def offer(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, new: NewOffer
) -> PoolOut:
    """Make an offer to a group, or a new version of one's own: by a provider, or a member who
    writes down what somebody offered. A price never changes under a promise: a new version is
    voted on, and then everybody is asked again.
    """
    offers, written_by = await _offerable(tx, actor=actor, pool_id=pool_id, new=new)
    if len(offers) >= OFFERS_AT_MOST:
        raise invalid("offers-at-most", "offer", f"A group looks at {OFFERS_AT_MOST} offers.")
    offer_id = new_id()
    account_id = actor.id if actor.kind == "person" and written_by is None else None
    key = payee_key(account_id, offer_id)
    if new.replaces is not None:
        before = next((one for one in offers if one.id == new.replaces), None)
        if before is None or before.account_id != account_id:
            raise not_found("offer of yours")
        key = before.payee_key
    await tx.execute(
        insert(PoolOffer).values(
            id=offer_id,
            pool_id=pool_id,
            account_id=account_id,
            written_by=written_by,
            called=new.called,
            payee_key=key,
            words=new.words,
            sessions=new.sessions,
            stages=new.stages,
            lines=msgspec.to_builtins(new.lines),
            session_pence=sum(line.pence for line in new.lines),
            min_people=new.min_people,
            max_people=new.max_people,
            split=new.split,
            notice_sessions=new.notice_sessions,
            checks_seen=new.checks_seen,
            registered=new.registered,
            replaces_id=new.replaces,
            at=now,
        )
    )
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action="pool.offered",
        subject_type="pool",
        subject_id=pool_id,
    )
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def _offerable(
    tx: WriteSession, *, actor: Actor, pool_id: UUID, new: NewOffer
) -> tuple[list[PoolOffer], UUID | None]:
    """Return the offers there are, and whether the actor is a member; check what a type cannot.

    Somebody who is not in the group comes with its code, which a member gave them.
    """
    row = await queries.pool(tx, pool_id=pool_id)
    if row is not None:
        state = row[0].state
    else:
        code = normal_code(new.code) if new.code is not None else None
        secret = hashed(code) if code is not None else None
        front = await queries.front(tx, pool_id=pool_id, invite=secret, joining=False)
        if front is None or secret is None:
            raise not_found("group")
        state = front.state
    if state not in ("gathering", "costed", "pledging", "expired"):
        raise rules.not_promising(state)
    if new.min_people > new.max_people:
        raise invalid("people-range", "max_people", "The most must not be fewer than the least.")
    if new.stages > new.sessions or new.notice_sessions > new.sessions:
        raise invalid("parts-of-sessions", "stages", "There are no more parts than sessions.")
    rules.check_registered({line.purpose for line in new.lines}, registered=new.registered)
    offers = await queries.offers(tx, pool_id=pool_id)
    mine = await queries.me(tx, pool_id=pool_id)
    if mine is not None and mine.state != "in":
        raise rules.members_only()
    if mine is None and actor.kind != "person":
        raise NotAllowed(
            rule="account-to-be-paid",
            detail="Whoever offers something to a group has an account, so that it can be paid.",
            who_can_change_it="You can, by asking for an account.",
            what_else=["Ask a member to write down what you offer."],
        )
    return offers, mine.id if mine is not None else None


async def say(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, new: NewMessage
) -> PoolOut:
    """Ask something about an offer, or answer as whoever made it."""
    await groups.looked(tx, pool_id=pool_id)
    found = await queries.offer(tx, pool_id=pool_id, offer_id=new.offer_id)
    mine = await queries.me(tx, pool_id=pool_id)
    if found is None:
        raise not_found("offer")
    is_provider = found.account_id is not None and found.account_id == actor.id
    if not is_provider and (mine is None or mine.state != "in"):
        raise rules.members_only()
    await tx.execute(
        insert(PoolMessage).values(
            id=new_id(),
            pool_id=pool_id,
            offer_id=found.id,
            called=found.called if is_provider or mine is None else mine.called,
            by="provider" if is_provider else "member",
            words=new.words,
            at=now,
        )
    )
    await audit.record(
        tx, actor=actor, now=now, action="pool.asked", subject_type="pool", subject_id=pool_id
    )
    return await views.view(tx, actor=actor, pool_id=pool_id)
