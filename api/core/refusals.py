"""What a refusal leaves behind, in a short transaction of its own after the roll-back."""

from datetime import datetime

from sqlalchemy import insert

from api.core import audit, trace
from api.core.db import ActorContext, Database, WriteSession
from api.core.errors import Refusal
from api.core.ids import new_id
from api.core.models import RefusalCount

_NOT_COUNTED = {401, 404, 429, 503}


async def leave(
    database: Database, refusal: Refusal, *, actor: ActorContext, now: datetime
) -> None:
    """Keep the receipt of a refused read and the count of a refused request."""
    refused_read = refusal.leaves
    if refused_read is None and refusal.status in _NOT_COUNTED:
        return

    async def write(tx: WriteSession) -> None:
        if refused_read is not None:
            await audit.receipt(
                tx,
                actor=actor,
                now=now,
                about_id=refused_read.about_id,
                what=refused_read.what,
                outcome="refused",
            )
        await tx.execute(
            insert(RefusalCount).values(
                id=new_id(),
                at=now,
                rule=refusal.rule,
                actor_kind=actor.kind,
                correlation_id=trace.current(),
            )
        )

    await database.run(write, actor=actor, now=now)
