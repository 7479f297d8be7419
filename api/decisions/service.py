"""Go-aheads, second looks and stops. Silence goes up to the manager and never decides."""

from datetime import datetime

from api.core.db import ActorContext, WriteSession
from api.decisions import queries
from api.decisions.holds import guard, stopped
from api.decisions.sign_offs import ask_sign_off, decide, read, sign_off_states, withdraw

SWEEP_AT_ONCE = 500

__all__ = ["ask_sign_off", "decide", "guard", "read", "sign_off_states", "stopped", "sweep", "withdraw"]


async def sweep(tx: WriteSession, *, actor: ActorContext, now: datetime) -> int:
    """Mark what nobody answered in time, so that the manager has it; return how many.

    Go-aheads and second looks are decided by nobody's silence, and a stop goes on holding. Only a
    task sweeps: what it may not read, it marks without reading. A second sweep finds nothing.
    """
    del actor, now  # the transaction was told both
    return await queries.sweep(tx, at_once=SWEEP_AT_ONCE)
