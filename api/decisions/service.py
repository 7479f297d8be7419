"""Go-aheads, second looks and stops. Silence goes up to the manager and never decides."""

from datetime import datetime

from api.core.db import ActorContext, WriteSession
from api.decisions import queries
from api.decisions.challenges import challenge, decide_challenge
from api.decisions.holds import guard, stopped
from api.decisions.showing import read, sign_offs, visible
from api.decisions.sign_offs import ask_sign_off, decide, my_wish, sign_off_states, withdraw
from api.decisions.stops import answer_stop, raise_stop, stop_again, stops

SWEEP_AT_ONCE = 500

__all__ = [
    "answer_stop",
    "ask_sign_off",
    "challenge",
    "decide",
    "decide_challenge",
    "guard",
    "my_wish",
    "raise_stop",
    "read",
    "sign_off_states",
    "sign_offs",
    "stop_again",
    "stopped",
    "stops",
    "sweep",
    "visible",
    "withdraw",
]


async def sweep(tx: WriteSession, *, actor: ActorContext, now: datetime) -> int:
    """Mark what nobody answered in time, so that the manager has it; return how many.

    Go-aheads and second looks are decided by nobody's silence, and a stop goes on holding. Only a
    task sweeps: what it may not read, it marks without reading. A second sweep finds nothing.
    """
    del actor, now  # the transaction was told both
    return await queries.sweep(tx, at_once=SWEEP_AT_ONCE)
