"""The books, counted again and again; holds whose time is over."""

from typing import Any
from uuid import UUID

import structlog

from api.ledger import invariants, service
from workers.runtime import Job, task

BATCHES_AT_ONCE = 50

log = structlog.get_logger()


class BooksBroken(Exception):
    """A rule of the books does not hold: a person has to look."""


@task("ledger.invariants")
async def count_books(job: Job, **_later: Any) -> None:
    """Look at every account and source, a page in each snapshot; sound the alarm if need be.

    What is broken is logged at error with the rule's code; and the task fails, which the metrics
    tell at once (kith_outbox_failing), is tried again, and at last left as a dead letter.
    """
    async with job.snapshot() as session:
        broken = await invariants.look_at_ends(session)
    account: UUID | None = UUID(int=0)
    while account is not None:
        async with job.snapshot() as session:
            found, account = await invariants.look_at_accounts(session, after=account)
        broken += found
    source: str | None = ""
    while source is not None:
        async with job.snapshot() as session:
            found, source = await invariants.look_at_sources(session, after=source)
        broken += found
    for one in broken:
        log.error("ledger-broken", rule=one.rule, count=one.count, example=one.example)
    if broken:
        raise BooksBroken


@task("ledger.expire")
async def expire(job: Job, **_later: Any) -> None:
    """Free what was held until a time that is over. Each batch is a transaction of its own.

    A hold ends once, so running twice does no harm and needs no last transaction.
    """
    for number in range(BATCHES_AT_ONCE):
        key = f"ledger.expire:{job.outbox_id}:{job.attempt}:{number}"
        async with job.database.write(actor=job.actor, now=job.now) as tx:
            freed = await service.expire_holds(tx, actor=job.actor, now=job.now, key=key)
        if freed < service.EXPIRE_AT_ONCE:
            return
