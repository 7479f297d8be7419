"""What happens at regular times: once per period, however many relays there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from api.core.ids import new_id

_MIDNIGHT = datetime(1970, 1, 1, tzinfo=UTC)

# The row that says "this period has been dealt with" and the outbox row come in one statement,
# so in one transaction: whoever inserts the first inserts the second.
_TICK = """
WITH tick AS (
    INSERT INTO schedule_ticks (name, period_start, outbox_id)
    VALUES (%(name)s, %(period_start)s, %(id)s)
    ON CONFLICT DO NOTHING RETURNING outbox_id
)
INSERT INTO outbox (id, task, payload, correlation_id, created_at, not_before)
SELECT outbox_id, %(task)s, '{}', %(correlation_id)s, %(now)s, %(now)s FROM tick
RETURNING id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodic:
    """A task without arguments, and how often it runs. Periods are counted from 1970, in UTC."""

    name: str
    task: str
    every: timedelta

    def period_start(self, *, now: datetime) -> datetime:
        """Return when the period that ``now`` lies in began."""
        return _MIDNIGHT + (now - _MIDNIGHT) // self.every * self.every


SCHEDULE: tuple[Periodic, ...] = (
    Periodic(name="retention", task="core.retention", every=timedelta(hours=1)),
    Periodic(name="overdue", task="enquiries.sweep", every=timedelta(minutes=5)),
    Periodic(name="silence", task="decisions.sweep", every=timedelta(minutes=5)),
    Periodic(name="books", task="ledger.invariants", every=timedelta(hours=1)),
    Periodic(name="expired-holds", task="ledger.expire", every=timedelta(minutes=5)),
    Periodic(name="groups", task="pools.sweep", every=timedelta(minutes=5)),
    Periodic(name="due-looks", task="matches.due_looks", every=timedelta(hours=6)),
)


class Ticker:
    """Asks for what is due, and asks the database only once per period and entry."""

    def __init__(self, entries: Sequence[Periodic] = SCHEDULE) -> None:
        self._entries = entries
        self._asked: dict[str, datetime] = {}

    def tick(self, connection: psycopg.Connection, *, now: datetime) -> int:
        """Enqueue what is due and nobody has enqueued yet; return how many.

        A period that passed while no relay ran is not made up for. The connection commits each
        statement by itself.
        """
        enqueued = 0
        for entry in self._entries:
            start = entry.period_start(now=now)
            if self._asked.get(entry.name) == start:
                continue
            values = {
                "name": entry.name,
                "period_start": start,
                "id": new_id(),
                "task": entry.task,
                "correlation_id": new_id(),
                "now": now,
            }
            enqueued += connection.execute(_TICK, values).rowcount
            self._asked[entry.name] = start
        return enqueued
