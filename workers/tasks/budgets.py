"""Whoever asked for a payment learns that its holder has said what became of it."""

from typing import Any
from uuid import UUID

from workers.runtime import Job, task
from workers.tasks.handlers import Handler, nothing

# By type of what was paid for: what a slice above does in the task's last transaction.
HANDLERS: dict[str, Handler] = {}


@task("budgets.settled")
async def settled(job: Job, *, for_type: str, for_id: UUID, **_later: Any) -> None:
    """Tell the slice whose payments were confirmed or failed. An unknown type is done."""
    handler: Handler = HANDLERS.get(for_type, nothing)
    async with job.last() as tx:
        await handler(tx, job=job, subject_id=for_id)
