"""What every part of the slice stands on: the group under its lock, who I am in it, its steps."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import insert, update

from api.areas.rules import AreaSettings
from api.core import audit, outbox
from api.core.db import WriteSession
from api.core.errors import NotAllowed, RefusedRead, not_found
from api.core.ids import new_id
from api.decisions import service as decisions
from api.decisions.rules import Subject
from api.identity.rules import Actor
from api.pools import queries, rules
from api.pools.models import Pool, PoolMember, PoolMemberEvent, PoolOffer, PoolStep
from api.pools.rules import State, check_move


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group as it stands in this transaction, with its area."""

    pool: Pool
    area: str
    settings: AreaSettings

    @property
    def id(self) -> UUID:
        """The group's id."""
        return self.pool.id

    @property
    def state(self) -> State:
        """Where it stands."""
        return cast(State, self.pool.state)


async def looked(tx: WriteSession, *, pool_id: UUID) -> Group:
    """Return a group that the actor may see; NotFound otherwise."""
    return await _group(tx, pool_id=pool_id, lock=None)


async def inside(tx: WriteSession, *, pool_id: UUID) -> tuple[Group, PoolMember | None]:
    """Return a group that the actor sees from inside, and the member that they are.

    NotAllowed for somebody who left: what the others say and do is not theirs to read any more.
    """
    group = await looked(tx, pool_id=pool_id)
    me = await queries.me(tx, pool_id=pool_id)
    if me is not None and me.state == "out" and not await queries.inside(tx, pool_id=pool_id):
        raise rules.left_it()
    return group, me


async def locked(tx: WriteSession, *, pool_id: UUID) -> Group:
    """Return a group, locked: nobody else moves it, promises to it or joins it meanwhile."""
    return await _group(tx, pool_id=pool_id, lock="change")


async def kept(tx: WriteSession, *, pool_id: UUID) -> Group:
    """Return a group that nobody moves meanwhile; others may keep it so too."""
    return await _group(tx, pool_id=pool_id, lock="keep")


async def _group(tx: WriteSession, *, pool_id: UUID, lock: str | None) -> Group:
    row = await queries.pool(tx, pool_id=pool_id, lock=lock)
    if row is None:
        raise not_found("group", leaves=RefusedRead(about_id=pool_id, what="pool"))
    found, slug, settings = row
    return Group(pool=found, area=slug, settings=msgspec.convert(settings, AreaSettings))


async def member(tx: WriteSession, *, pool_id: UUID, still_in: bool = True) -> PoolMember:
    """Return the member that the actor is; NotAllowed for anybody else."""
    found = await queries.me(tx, pool_id=pool_id)
    if found is None or (still_in and found.state != "in"):
        raise rules.members_only()
    return found


async def chosen_offer(tx: WriteSession, group: Group) -> PoolOffer:
    """Return the offer that the group chose. There is one from 'costed' on."""
    assert group.pool.offer_id is not None, "ck_pools_offer"
    found = await queries.offer(tx, pool_id=group.id, offer_id=group.pool.offer_id)
    assert found is not None, "fk_pools_offer_id_id"
    return found


def total_pence(offer: PoolOffer) -> int:
    """Return the whole price of an offer."""
    return offer.sessions * offer.session_pence


def need_role(actor: Actor, group: Group, *roles: str) -> None:
    """Raise NotAllowed unless the actor has one of these roles in the group's area."""
    if not actor.has_role(*roles, area=group.area):
        raise NotAllowed(
            rule="role-needed",
            detail="In this area this is for: " + ", ".join(roles).replace("_", " ") + ".",
            who_can_change_it="The area's admin gives and takes roles.",
            what_else=["Ask somebody with that role to do it with you."],
        )


async def guard(tx: WriteSession, group: Group, *more: Subject) -> None:
    """Hold every move forward while somebody has said stop, or the group is paused.

    Money on its way back to people, wages for what was done, and leaving are never held
    (law.md 4): those do not come here.
    """
    if group.pool.paused_at is not None:
        raise rules.paused()
    await decisions.guard(tx, subjects=[Subject("pool", group.id), *more])


async def step(
    tx: WriteSession,
    group: Group,
    *,
    actor: Actor,
    now: datetime,
    what: str,
    to: State | None = None,
    reason: str,
    role: str = "member",
    words: str | None = None,
    key: str | None = None,
    **changes: Any,
) -> Group:
    """Change a group by one version and keep the change as a row; return it as it then is.

    ``reason`` is a code. ``changes`` are columns of the group. Raises Conflict for a state that
    does not follow from where it stands.
    """
    if to is not None:
        check_move(group.state, to)
    version = group.pool.version + 1
    await tx.execute(
        insert(PoolStep).values(
            id=new_id(),
            pool_id=group.id,
            version=version,
            what=what,
            state=to or group.state,
            role="kith" if actor.kind == "task" else role,
            reason=reason,
            words=words,
            key=key,
            actor_kind=actor.kind,
            actor_id=actor.id,
            at=now,
        )
    )
    await tx.execute(
        update(Pool)
        .where(Pool.id == group.id)
        .values(version=version, state=to or group.state, **changes)
        .execution_options(synchronize_session=False)
    )
    await audit.record(
        tx,
        actor=actor,
        now=now,
        action=f"pool.{what}",
        subject_type="pool",
        subject_id=group.id,
        version=version,
        why=reason,
    )
    return await locked(tx, pool_id=group.id)


async def happened(
    tx: WriteSession,
    *,
    actor: Actor,
    now: datetime,
    pool_id: UUID,
    member_id: UUID,
    person_id: UUID,
    what: str,
    amount_pence: int | None = None,
    words: str | None = None,
) -> None:
    """Keep what happened to one member, for that member and the staff."""
    await tx.execute(
        insert(PoolMemberEvent).values(
            id=new_id(),
            pool_id=pool_id,
            member_id=member_id,
            person_id=person_id,
            what=what,
            amount_pence=amount_pence,
            words=words,
            actor_kind=actor.kind,
            actor_id=actor.id,
            at=now,
        )
    )


async def set_member(tx: WriteSession, *, member_id: UUID, state: str) -> None:
    """Say whether somebody is in, out, or their share is paused."""
    await tx.execute(
        update(PoolMember)
        .where(PoolMember.id == member_id)
        .values(state=state)
        .execution_options(synchronize_session=False)
    )


async def advance_later(tx: WriteSession, *, pool_id: UUID, now: datetime) -> None:
    """Ask for a look at what follows by itself: see ``advance``. Many asks become one."""
    await outbox.enqueue(
        tx,
        task="pools.advance",
        payload={"pool_id": pool_id},
        now=now,
        coalesce_key=f"pool:{pool_id}",
    )
