"""From an idea to a group: starting, inviting, joining."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert

from api.areas import service as areas
from api.core import audit
from api.core.db import WriteSession
from api.core.errors import Conflict, not_found
from api.core.ids import new_id
from api.identity import service as identity
from api.identity.rules import Actor, hashed, new_code, normal_code
from api.pools import group as groups
from api.pools import queries, rules, views
from api.pools.models import Pool, PoolMember, PoolStep
from api.pools.schemas import (
    Invitation,
    NewMember,
    NewPool,
    PoolOut,
)


async def start(tx: WriteSession, *, actor: Actor, now: datetime, new: NewPool) -> PoolOut:
    """Start with an idea. Whoever starts is its first member (gathering)."""
    person_id = await _own_story(tx)
    area = await areas.area_named(tx, slug=new.area)
    pool_id = new_id()
    await queries.let_in(tx, pool_id=pool_id)
    await tx.execute(
        insert(Pool).values(
            id=pool_id,
            area_id=area.id,
            name=new.name,
            summary=new.summary,
            state="gathering",
            version=1,
            started_by=person_id,
            created_at=now,
        )
    )
    await _add_member(
        tx,
        actor=actor,
        now=now,
        pool_id=pool_id,
        person_id=person_id,
        number=1,
        new=NewMember(called=new.called, access_needs=new.access_needs),
    )
    await tx.execute(
        insert(PoolStep).values(
            id=new_id(),
            pool_id=pool_id,
            version=1,
            what="started",
            state="gathering",
            role="member",
            reason="idea",
            actor_kind=actor.kind,
            actor_id=actor.id,
            at=now,
        )
    )
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action="pool.started",
        subject_type="pool",
        subject_id=pool_id,
        version=1,
    )
    return await views.view(tx, actor=actor, pool_id=pool_id)


async def invite(tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID) -> Invitation:
    """Make a code that lets people in, and end the one before."""
    group = await groups.locked(tx, pool_id=pool_id)
    await groups.member(tx, pool_id=pool_id)
    code = new_code()
    secret = hashed(code.replace("-", ""))
    await groups.step(
        tx, group, actor=actor, now=now, what="invited", reason="new_code", invite_hash=secret
    )
    return Invitation(id=pool_id, code=code)


async def invite_again(
    tx: WriteSession, first: Invitation, *, actor: Actor, now: datetime
) -> Invitation:
    """Answer a repeated asking for a code: with a fresh one."""
    return await invite(tx, actor=actor, now=now, pool_id=first.id)


async def join(
    tx: WriteSession, *, actor: Actor, now: datetime, pool_id: UUID, new: NewMember
) -> PoolOut:
    """Join, by one's own wish: with a code, or a group of five and more in one's own area.

    Whoever was in it before gets their old number back. Conflict when it is full, closed to
    newcomers or paused.
    """
    person_id = await _own_story(tx)
    code = normal_code(new.code) if new.code is not None else None
    secret = hashed(code) if code is not None else None
    front = await queries.front(tx, pool_id=pool_id, invite=secret, joining=True)
    # Only now, under the group's lock: meanwhile they may have left, or have died.
    old = await queries.me(tx, pool_id=pool_id)
    if old is not None and old.state == "in":
        return await views.view(tx, actor=actor, pool_id=pool_id)
    if old is not None and old.state == "paused":
        raise rules.paused()
    if front is None:
        raise not_found("group")
    _check_open(front.state, front.joining)
    if front.max_people is not None and front.people >= front.max_people:
        raise rules.full(front.max_people)
    if old is not None:
        await groups.set_member(tx, member_id=old.id, state="in")
        await groups.happened(
            tx,
            actor=actor,
            now=now,
            pool_id=pool_id,
            member_id=old.id,
            person_id=person_id,
            what="rejoined",
        )
    else:
        number = await queries.next_number(tx, pool_id=pool_id)
        if number > rules.MOST_PEOPLE:
            raise rules.full(rules.MOST_PEOPLE)
        await _add_member(
            tx, actor=actor, now=now, pool_id=pool_id, person_id=person_id, number=number, new=new
        )
    group = await groups.locked(tx, pool_id=pool_id)
    if group.pool.paused_at is not None:
        raise rules.paused()
    await groups.step(tx, group, actor=actor, now=now, what="joined", reason="own_wish")
    return await views.view(tx, actor=actor, pool_id=pool_id)


def _check_open(state: str, joining: str | None) -> None:
    """Raise Conflict when nobody joins now."""
    if state in ("gathering", "costed", "pledging"):
        return
    if state in rules.RUNNING and joining == "when_room":
        return
    raise Conflict(
        rule="joining-open",
        detail="Nobody can join just now.",
        who_can_change_it="The group, by what it agreed about joining.",
        what_else=["Ask the group when it opens again.", "Start a second group."],
    )


async def _add_member(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    pool_id: UUID,
    person_id: UUID,
    number: int,
    new: NewMember,
) -> None:
    member_id = new_id()
    await tx.execute(
        insert(PoolMember).values(
            id=member_id,
            pool_id=pool_id,
            person_id=person_id,
            number=number,
            called=new.called,
            access_needs=new.access_needs,
            state="in",
            joined_at=now,
        )
    )
    await groups.happened(
        tx,
        actor=actor,
        now=now,
        pool_id=pool_id,
        member_id=member_id,
        person_id=person_id,
        what="joined",
    )


async def _own_story(tx: WriteSession) -> UUID:
    """Return the story that the actor speaks for; Conflict when there is none yet."""
    person_id = await identity.own_story(tx)
    if person_id is None:
        raise Conflict(
            rule="story-first",
            detail="Putting money together starts from your own story.",
            who_can_change_it="You can, by answering two questions.",
            what_else=["Begin with POST /v1/people: what are you good at, what do you want to do?"],
        )
    return person_id
