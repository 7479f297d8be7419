"""The house's own upkeep."""

from typing import Any

from api.core import retention
from workers.runtime import Job, task

BATCHES_AT_ONCE = 200


@task("core.retention")
async def keep_short(job: Job, **_later: Any) -> None:
    """Forget what is kept for a time only. Each batch is a transaction of its own.

    A batch deletes by age alone, so running twice does no harm and needs no last transaction.
    """
    for step in retention.STEPS:
        for _ in range(BATCHES_AT_ONCE):
            async with job.database.write(actor=job.actor, now=job.now) as tx:
                if await step(tx, now=job.now) < retention.BATCH:
                    break
