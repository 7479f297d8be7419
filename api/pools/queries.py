"""Reads of groups. Row-level policies decide which rows come back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Uuid, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from api.areas.models import Area
from api.pools.models import (
    Pool,
    PoolApproval,
    PoolBallot,
    PoolChoice,
    PoolMember,
    PoolMemberEvent,
    PoolMessage,
    PoolOffer,
    PoolPledge,
    PoolStage,
    PoolStageWord,
    PoolStep,
    PoolVote,
)

Rows = Sequence[Any]


class ShareRow(NamedTuple):
    """A promise or share of a group, by the number of its member and without a name."""

    pledge_id: UUID
    member_id: UUID
    number: int
    member_state: str
    budget_id: UUID
    use_id: UUID
    offer_id: UUID
    body: str | None
    amount_pence: int
    hold_id: UUID
    budget_account_id: UUID
    source_key: str
    share_id: UUID | None
    state: str


_SHARES = text("SELECT * FROM pools_shares(:pool)").bindparams(bindparam("pool", type_=Uuid()))
_FRONT = text("SELECT * FROM pools_front(:pool, :invite, :joining)").bindparams(
    bindparam("pool", type_=Uuid())
)
_OPEN = text("SELECT * FROM pools_open(:area)").bindparams(bindparam("area", type_=Uuid()))
_NUMBER = text("SELECT pools_next_number(:pool)").bindparams(bindparam("pool", type_=Uuid()))
_BALLOTS = text("SELECT * FROM pools_ballots(:vote)").bindparams(bindparam("vote", type_=Uuid()))
_LET_IN = text("SELECT set_config('app.pool_let_in', :pool, true)")
_OF_USE = text("SELECT * FROM pools_of_use(:use)").bindparams(bindparam("use", type_=Uuid()))
_INSIDE = text("SELECT :pool = ANY (ARRAY(SELECT app_pools_seen()))").bindparams(
    bindparam("pool", type_=Uuid())
)
_DUE = text("SELECT * FROM pools_due(:now)")
_OTHER = aliased(PoolMember)
_SPEAKING = text("person_id = ANY (ARRAY(SELECT app_speaking_people()))")


def _one(of: Any) -> Any:
    return select(Pool, Area.slug, Area.settings).join(Area, Area.id == Pool.area_id).where(of)


async def pool(tx: AsyncSession, *, pool_id: UUID, lock: str | None = None) -> Any | None:
    """Return (Pool, area's slug, area's settings), or None when the actor may not see it.

    ``lock``: "change" for whoever moves it, "keep" for whoever needs it to stay as it is beside
    others who do, None to look.
    """
    statement = _one(Pool.id == pool_id).execution_options(populate_existing=True)
    if lock is not None:
        keep = lock == "keep"
        statement = statement.with_for_update(of=Pool, read=keep, key_share=not keep)
    return (await tx.execute(statement)).one_or_none()


async def offers(tx: AsyncSession, *, pool_id: UUID) -> list[PoolOffer]:
    """Return all offers to a group, the first made first."""
    found = (
        select(PoolOffer).where(PoolOffer.pool_id == pool_id).order_by(PoolOffer.at, PoolOffer.id)
    )
    return list(await tx.scalars(found))


async def offer(tx: AsyncSession, *, pool_id: UUID, offer_id: UUID) -> PoolOffer | None:
    """Return one offer to this group."""
    found: PoolOffer | None = await tx.scalar(
        select(PoolOffer).where(PoolOffer.id == offer_id, PoolOffer.pool_id == pool_id)
    )
    return found


async def members(tx: AsyncSession, *, pool_id: UUID) -> list[PoolMember]:
    """Return everybody who is or was in a group, in joining order."""
    found = select(PoolMember).where(PoolMember.pool_id == pool_id).order_by(PoolMember.number)
    return list(await tx.scalars(found.execution_options(populate_existing=True)))


async def me(tx: AsyncSession, *, pool_id: UUID) -> PoolMember | None:
    """Return the member that the actor speaks for."""
    found = select(PoolMember).where(PoolMember.pool_id == pool_id, _SPEAKING)
    row: PoolMember | None = await tx.scalar(found.execution_options(populate_existing=True))
    return row


async def inside(tx: AsyncSession, *, pool_id: UUID) -> bool:
    """Say whether the actor sees the group itself, and not only that they were in it."""
    return bool(await tx.scalar(_INSIDE, {"pool": pool_id}))


async def front(
    tx: AsyncSession, *, pool_id: UUID, invite: bytes | None, joining: bool
) -> Any | None:
    """Return what somebody outside may see of a group; locked while they join."""
    values = {"pool": pool_id, "invite": invite, "joining": joining}
    return (await tx.execute(_FRONT, values)).one_or_none()


async def let_in(tx: AsyncSession, *, pool_id: UUID) -> None:
    """Let the actor into a group that they are starting in this transaction."""
    await tx.execute(_LET_IN, {"pool": str(pool_id)})


async def open_pools(tx: AsyncSession, *, area_id: UUID) -> Rows:
    """Return the groups of an area that are open and not small."""
    return (await tx.execute(_OPEN, {"area": area_id})).all()


async def my_pools(tx: AsyncSession) -> Rows:
    """Return the groups that the actor is or was in, the newest first."""
    there = (
        select(func.count())
        .select_from(_OTHER)
        .where(_OTHER.pool_id == Pool.id, _OTHER.state == "in")
        .scalar_subquery()
    )
    found = (
        select(Pool.id, Pool.name, Pool.summary, Pool.state, there.label("people"))
        .join(PoolMember, PoolMember.pool_id == Pool.id)
        .where(text("pool_members.person_id = ANY (ARRAY(SELECT app_speaking_people()))"))
        .order_by(Pool.id.desc())
        .limit(100)
    )
    return (await tx.execute(found)).all()


async def next_number(tx: AsyncSession, *, pool_id: UUID) -> int:
    """Return the next number in joining order; the group is locked."""
    return int((await tx.execute(_NUMBER, {"pool": pool_id})).scalar_one())


async def shares(tx: AsyncSession, *, pool_id: UUID) -> list[ShareRow]:
    """Return the live promises and all shares of a group that the actor may see."""
    return [ShareRow._make(row) for row in await tx.execute(_SHARES, {"pool": pool_id})]


async def choices(tx: AsyncSession, *, pool_id: UUID) -> dict[str, PoolChoice]:
    """Return the newest choice for each topic that has one."""
    found = select(PoolChoice).where(PoolChoice.pool_id == pool_id).order_by(PoolChoice.version)
    return {row.topic: row for row in await tx.scalars(found)}


async def messages(tx: AsyncSession, *, pool_id: UUID) -> list[PoolMessage]:
    """Return questions and answers in order."""
    found = select(PoolMessage).where(PoolMessage.pool_id == pool_id).order_by(PoolMessage.id)
    return list(await tx.scalars(found))


async def votes(tx: AsyncSession, *, pool_id: UUID) -> list[PoolVote]:
    """Return the group's votes, the first opened first."""
    found = select(PoolVote).where(PoolVote.pool_id == pool_id).order_by(PoolVote.id)
    return list(await tx.scalars(found.execution_options(populate_existing=True)))


async def ballots(tx: AsyncSession, *, vote_id: UUID) -> Rows:
    """Return (choice, citizen, how many) of a vote."""
    return (await tx.execute(_BALLOTS, {"vote": vote_id})).all()


async def my_ballots(tx: AsyncSession, *, pool_id: UUID) -> dict[UUID, str]:
    """Return how the actor voted, by vote."""
    found = select(PoolBallot.vote_id, PoolBallot.choice).where(
        PoolBallot.pool_id == pool_id, _SPEAKING
    )
    return {row.vote_id: row.choice for row in await tx.execute(found)}


async def stages(tx: AsyncSession, *, pool_id: UUID) -> list[PoolStage]:
    """Return the stages in order."""
    found = select(PoolStage).where(PoolStage.pool_id == pool_id).order_by(PoolStage.number)
    return list(await tx.scalars(found.execution_options(populate_existing=True)))


async def stage_words(tx: AsyncSession, *, pool_id: UUID) -> list[PoolStageWord]:
    """Return what was said about stages, in order."""
    found = select(PoolStageWord).where(PoolStageWord.pool_id == pool_id).order_by(PoolStageWord.id)
    return list(await tx.scalars(found))


async def steps(tx: AsyncSession, *, pool_id: UUID) -> list[PoolStep]:
    """Return every change of a group, in order."""
    found = select(PoolStep).where(PoolStep.pool_id == pool_id).order_by(PoolStep.version)
    return list(await tx.scalars(found))


async def contract_step(tx: AsyncSession, *, pool_id: UUID) -> PoolStep | None:
    """Return the last change of what is signed: all had a go-ahead, or a body was named."""
    found: PoolStep | None = await tx.scalar(
        select(PoolStep)
        .where(PoolStep.pool_id == pool_id, PoolStep.what.in_(("approved", "body_named")))
        .order_by(PoolStep.version.desc())
        .limit(1)
    )
    return found


async def approvals(tx: AsyncSession, *, pool_id: UUID, round_: int) -> list[UUID]:
    """Return who has passed the contract in this round."""
    found = select(PoolApproval.account_id).where(
        PoolApproval.pool_id == pool_id, PoolApproval.round == round_
    )
    return list(await tx.scalars(found))


async def pledge(tx: AsyncSession, *, pledge_id: UUID) -> PoolPledge | None:
    """Return a promise that the actor may see."""
    found: PoolPledge | None = await tx.scalar(
        select(PoolPledge)
        .where(PoolPledge.id == pledge_id)
        .execution_options(populate_existing=True)
    )
    return found


async def pledges(tx: AsyncSession, *, member_id: UUID) -> list[PoolPledge]:
    """Return all promises of a member, oldest first."""
    found = select(PoolPledge).where(PoolPledge.member_id == member_id).order_by(PoolPledge.id)
    return list(await tx.scalars(found.execution_options(populate_existing=True)))


async def events(tx: AsyncSession, *, member_id: UUID) -> list[PoolMemberEvent]:
    """Return what happened to a member, in order."""
    found = (
        select(PoolMemberEvent)
        .where(PoolMemberEvent.member_id == member_id)
        .order_by(PoolMemberEvent.id)
    )
    return list(await tx.scalars(found))


async def due(tx: AsyncSession, *, now: datetime) -> list[UUID]:
    """Return the groups that a clock has something to do with. For tasks alone."""
    return list(await tx.scalars(_DUE, {"now": now}))


async def of_use(tx: AsyncSession, *, use_id: UUID) -> list[UUID]:
    """Return the groups in which a budget's use is signed off under this id. For tasks alone."""
    return list(await tx.scalars(_OF_USE, {"use": use_id}))
