"""The front door's clock."""

from typing import Any

from api.enquiries import service
from workers.runtime import Job, task


@task("enquiries.sweep")
async def sweep(job: Job, **_later: Any) -> None:
    """Mark what was not answered in time, so that silence goes up."""
    async with job.last() as tx:
        await service.sweep_overdue(tx, actor=job.actor, now=job.now)
