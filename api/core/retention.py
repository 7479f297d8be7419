"""What is kept for a time only, and for how long.

Done outbox rows 7 days (to look into what happened), the bodies of idempotent answers 90 days
(the key itself for ever), ticks of the schedule 30 days. Dead letters stay until a person has
dealt with them. Audit entries and receipts only grow.
"""

from datetime import datetime, timedelta

from sqlalchemy import CursorResult, TextClause, text

from api.core.db import WriteSession

BATCH = 1_000
OUTBOX_KEPT = timedelta(days=7)
BODIES_KEPT = timedelta(days=90)
TICKS_KEPT = timedelta(days=30)

_OUTBOX = text(
    "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE done_at < :before"
    " ORDER BY done_at LIMIT :batch FOR UPDATE SKIP LOCKED)"
)
_BODIES = text(
    "UPDATE idempotency_keys SET body = NULL WHERE (actor_key, key) IN ("
    " SELECT actor_key, key FROM idempotency_keys WHERE body IS NOT NULL AND made_at < :before"
    " ORDER BY made_at LIMIT :batch)"
)
_TICKS = text(
    "DELETE FROM schedule_ticks WHERE (name, period_start) IN ("
    " SELECT name, period_start FROM schedule_ticks WHERE period_start < :before LIMIT :batch)"
)


async def delete_done_outbox_rows(tx: WriteSession, *, now: datetime) -> int:
    """Delete up to BATCH outbox rows done more than 7 days ago; return how many."""
    return await _bounded(tx, _OUTBOX, before=now - OUTBOX_KEPT)


async def empty_old_bodies(tx: WriteSession, *, now: datetime) -> int:
    """Empty up to BATCH answers older than 90 days; return how many. Only a task may."""
    return await _bounded(tx, _BODIES, before=now - BODIES_KEPT)


async def delete_old_ticks(tx: WriteSession, *, now: datetime) -> int:
    """Delete up to BATCH ticks of periods more than 30 days ago; return how many."""
    return await _bounded(tx, _TICKS, before=now - TICKS_KEPT)


STEPS = (delete_done_outbox_rows, empty_old_bodies, delete_old_ticks)


async def _bounded(tx: WriteSession, statement: TextClause, *, before: datetime) -> int:
    result = await tx.execute(statement, {"before": before, "batch": BATCH})
    assert isinstance(result, CursorResult)
    return result.rowcount
