"""Append-only records: every write, and every read of somebody's personal data."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert

from api.core import trace
from api.core.db import ActorContext, WriteSession
from api.core.ids import new_id
from api.core.models import AuditEntry, ReadReceipt


async def record(
    tx: WriteSession,
    *,
    actor: ActorContext,
    now: datetime,
    action: str,
    subject_type: str,
    subject_id: UUID,
    version: int | None = None,
    why: str | None = None,
) -> None:
    """Record one write. ``why`` is a reason code, never a person's words."""
    await tx.execute(
        insert(AuditEntry).values(
            id=new_id(),
            at=now,
            actor_kind=actor.kind,
            actor_id=actor.id,
            action=action,
            subject_type=subject_type,
            subject_id=subject_id,
            version=version,
            why=why,
            correlation_id=trace.current(),
        )
    )


async def receipt(
    tx: WriteSession,
    *,
    actor: ActorContext,
    now: datetime,
    about_id: UUID,
    what: str,
    object_id: UUID | None = None,
    version: int | None = None,
    why: str | None = None,
    outcome: str = "read",
) -> None:
    """Record that ``actor`` read ``what`` of the person ``about_id``, or was refused it."""
    await tx.execute(
        insert(ReadReceipt).values(
            id=new_id(),
            at=now,
            about_id=about_id,
            actor_kind=actor.kind,
            actor_id=actor.id,
            what=what,
            object_id=object_id,
            version=version,
            why=why,
            outcome=outcome,
            correlation_id=trace.current(),
        )
    )
