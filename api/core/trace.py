"""One correlation id from request to task: set at the edge, read by logs, audit and outbox."""

from contextvars import ContextVar
from uuid import UUID

from api.core.ids import new_id

_current: ContextVar[UUID | None] = ContextVar("correlation_id", default=None)


def begin(correlation_id: str | UUID | None = None) -> UUID:
    """Start a trace. A caller's id is taken only when it is a UUID: no words come in this way."""
    try:
        value = UUID(str(correlation_id)) if correlation_id else new_id()
    except ValueError:
        value = new_id()
    _current.set(value)
    return value


def current() -> UUID:
    """Return the id of the trace under way, starting one where there is none."""
    value = _current.get()
    return value if value is not None else begin()
