"""What happened to a go-ahead or a stop: one history, beside the audit."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert

from api.core import audit
from api.core.db import ActorContext, WriteSession
from api.core.ids import new_id
from api.decisions.models import DecisionEvent


async def happened(
    tx: WriteSession,
    *,
    actor: ActorContext,
    now: datetime,
    what: str,
    sign_off_id: UUID | None = None,
    stop_id: UUID | None = None,
) -> None:
    """Write down, for one go-ahead or one stop, what happened and by whom."""
    about = sign_off_id or stop_id
    assert about is not None, "an event is about something"
    await tx.execute(
        insert(DecisionEvent).values(
            id=new_id(),
            sign_off_id=sign_off_id,
            stop_id=stop_id,
            what=what,
            at=now,
            actor_kind=actor.kind,
            actor_id=actor.id,
        )
    )
    kind = "sign_off" if sign_off_id is not None else "safety_stop"
    await audit.record(
        tx, actor=actor, now=now, action=f"{kind}.{what}", subject_type=kind, subject_id=about
    )
