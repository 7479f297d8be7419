"""Silence goes up; and whoever asked for a go-ahead learns that it is decided."""

from typing import Any
from uuid import UUID

from api.decisions import service
from workers.runtime import Job, task
from workers.tasks.handlers import Handler, nothing

# By type of subject: what a slice above does, in the task's last transaction, when a go-ahead for
# a subject of its own is decided. It asks for the state itself: that may have moved on since.
HANDLERS: dict[str, Handler] = {}


@task("decisions.sweep")
async def sweep(job: Job, **_later: Any) -> None:
    """Mark what nobody answered in time, so that the manager has it. Nothing is decided by it."""
    async with job.last() as tx:
        await service.sweep(tx, actor=job.actor, now=job.now)


@task("decisions.decided")
async def decided(
    job: Job, *, subject_type: str, subject_id: UUID, sign_off_id: UUID, **_later: Any
) -> None:
    """Tell the slice whose subject it is. A type that nobody here knows is done."""
    handler: Handler = HANDLERS.get(subject_type, nothing)
    async with job.last() as tx:
        await handler(tx, job=job, subject_id=subject_id, sign_off_id=sign_off_id)
