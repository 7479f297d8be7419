"""What follows by itself in groups that put money together."""

from typing import Any
from uuid import UUID

from api.core import outbox
from api.pools import advance as groups
from api.pools import queries
from workers.runtime import Job, task


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
            await outbox.enqueue(
                tx,
                task="pools.advance",
                payload={"pool_id": pool_id},
                now=job.now,
                coalesce_key=f"pool:{pool_id}",
            )
