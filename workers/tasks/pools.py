"""What follows by itself in groups that put money together."""

from typing import Any
from uuid import UUID

from api.core.db import WriteSession
from api.pools import advance as groups
from api.pools import queries
from api.pools.group import advance_later
from workers.runtime import Job, task
from workers.tasks import budgets, decisions


@task("pools.advance", subject="pool_id")
async def advance(job: Job, *, pool_id: UUID, **_later: Any) -> None:
    """Do what is due for one group: deadlines, go-aheads, signing, payment, closing."""
    async with job.last() as tx:
        await groups.advance(tx, actor=job.actor, now=job.now, pool_id=pool_id)


@task("pools.sweep")
async def sweep(job: Job, **_later: Any) -> None:
    """Ask for a look at every group that a clock has something to do with."""
    async with job.last() as tx:
        for pool_id in await queries.due(tx, now=job.now):
            await advance_later(tx, pool_id=pool_id, now=job.now)


async def decided(tx: WriteSession, *, job: Job, subject_id: UUID, **_told: Any) -> None:
    """A go-ahead was given or refused: look at the group that asked for it."""
    for pool_id in await queries.of_use(tx, use_id=subject_id):
        await advance_later(tx, pool_id=pool_id, now=job.now)


async def settled(tx: WriteSession, *, job: Job, subject_id: UUID, **_told: Any) -> None:
    """A holder has said what became of payments: look at the group."""
    await advance_later(tx, pool_id=subject_id, now=job.now)


decisions.HANDLERS["pool_use"] = decided
budgets.HANDLERS["pool"] = settled
