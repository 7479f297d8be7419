"""Is a change held by a stop? Asked in the transaction of every change, before anything else."""

from collections.abc import Sequence
from datetime import datetime

from api.core.db import WriteSession
from api.core.errors import Conflict
from api.decisions import stop_queries
from api.decisions.rules import Subject


async def guard(tx: WriteSession, *, subjects: Sequence[Subject]) -> None:
    """Let a change go on, unless somebody said stop to one of its subjects: then Conflict.

    One round trip. Until this transaction ends, a stop to any of them waits; once a stop stands,
    nothing passes here. Ask before rows are locked.
    """
    if not subjects:
        return
    held = await stop_queries.held(tx, subjects=subjects)
    if held:
        raise stopped(since=held[0].since)


def stopped(*, since: datetime) -> Conflict:
    """Return the refusal of a change that somebody said stop to. It never says who, or why."""
    return Conflict(
        rule="safety-stop",
        detail="Somebody was worried and said stop. This change is held while someone checks, "
        f"since {since:%d %B %Y, %H:%M} UTC. What is under way already goes on.",
        who_can_change_it="The manager or social worker of the area who answers the stop.",
        what_else=[
            "Wait for the answer: it comes within a day, or the manager is told.",
            "Ask the front door of your area.",
            "Ask for an advocate.",
        ],
    )
