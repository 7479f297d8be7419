"""From the outbox to the broker: claim, commit, send, stamp, over and over.

Run by ``python -m workers.relay``; several at once do no harm. A claim is a lease. Whatever is
not done when its lease is over is sent again, so that relay, broker and workers may each be lost
at any moment; the last transaction of a task sees to it that its effect happens once.
"""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import psycopg
import structlog
from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import OperationalError as BrokerError
from kombu.messaging import Producer
from psycopg.rows import class_row
from redis.exceptions import RedisError

from api.core import clock, logs
from api.core.config import BadSetting, Settings
from workers.app import QUEUE, make_app
from workers.rows import ATTEMPTS_LIMIT
from workers.schedule import SCHEDULE, Periodic, Ticker

BATCH = 200
# Only so many of the rows that are due, the oldest, are with the broker at a time: rows that had
# to queue there for longer than their lease would be sent twice.
IN_FLIGHT = 400
LONGEST_LEASE = timedelta(hours=1)

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.1, 5.0
_DOWN = (BrokerError, RedisError, OSError)

log = structlog.get_logger()

# Arrays instead of joins: the plan is then a good one even while the table's statistics are old.
_FRONT = """
SELECT id, lease_until IS NULL OR lease_until <= %(now)s AS free FROM outbox
WHERE done_at IS NULL AND dead_at IS NULL AND not_before <= %(now)s
ORDER BY not_before, id LIMIT %(in_flight)s
"""
_CLAIM = """
UPDATE outbox SET
    attempts = attempts + 1,
    sent_at = NULL,
    lease_until = %(now)s + least(%(lease)s * (1::bigint << least(attempts, 20)::int), %(longest)s),
    dead_at = CASE WHEN attempts >= %(limit)s THEN %(now)s END
WHERE id = ANY (ARRAY (
    SELECT id FROM outbox WHERE id = ANY (%(ids)s) AND done_at IS NULL AND dead_at IS NULL
        AND not_before <= %(now)s AND (lease_until IS NULL OR lease_until <= %(now)s)
    FOR UPDATE SKIP LOCKED
))
RETURNING id, task, correlation_id, attempts, dead_at IS NOT NULL AS dead
"""
# A row that a worker holds in its last transaction needs no stamp, and is not waited for.
_STAMP = """
UPDATE outbox SET sent_at = %(now)s WHERE id = ANY (ARRAY (
    SELECT id FROM outbox WHERE id = ANY (%(ids)s) AND done_at IS NULL FOR UPDATE SKIP LOCKED
))
"""
# The lease ends, and does not become NULL: a newer row with the same key may be waiting already.
_GIVE_BACK = """
UPDATE outbox SET lease_until = %(now)s, attempts = attempts - 1
WHERE id = ANY(%(ids)s) AND done_at IS NULL AND dead_at IS NULL
"""


class BrokerDown(Exception):
    """The broker does not take messages."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row that is ours to send while its lease lasts; ``dead`` when it is given up instead."""

    id: UUID
    task: str
    correlation_id: UUID
    attempts: int
    dead: bool


def claim(
    connection: psycopg.Connection,
    *,
    now: datetime,
    lease_seconds: float,
    batch: int = BATCH,
    in_flight: int = IN_FLIGHT,
) -> list[Claimed]:
    """Take a lease on due rows and commit; each attempt gets twice the lease of the last one.

    Looks at the ``in_flight`` oldest rows that are due and not done, whoever has them, and takes
    at most ``batch`` of those that are free. The connection commits each statement by itself.
    """
    due = connection.execute(_FRONT, {"now": now, "in_flight": in_flight}).fetchall()
    free = [row_id for row_id, is_free in due if is_free][:batch]
    if not free:
        return []
    values = {
        "now": now,
        "lease": timedelta(seconds=lease_seconds),
        "longest": LONGEST_LEASE,
        "limit": ATTEMPTS_LIMIT,
        "ids": free,
    }
    with connection.cursor(row_factory=class_row(Claimed)) as cursor:
        return cursor.execute(_CLAIM, values).fetchall()


def stamp(connection: psycopg.Connection, *, ids: Sequence[UUID], now: datetime) -> None:
    """Write down when rows went to the broker."""
    connection.execute(_STAMP, {"ids": list(ids), "now": now})


def give_back(connection: psycopg.Connection, *, ids: Sequence[UUID], now: datetime) -> None:
    """Give up the claim on rows that could not be sent, as if it had not been made."""
    connection.execute(_GIVE_BACK, {"ids": list(ids), "now": now})


class Broker:
    """One connection to the broker, made anew after trouble."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Connection | None = None
        self._producer: Producer | None = None

    def open(self) -> None:
        """Connect unless connected; raise BrokerDown."""
        if self._producer is not None:
            return
        try:
            self._connection = self._app.connection_for_write()
            self._producer = self._app.amqp.Producer(self._connection.channel())
        except _DOWN as error:
            self.close()
            raise BrokerDown from error

    def send(self, row: Claimed) -> None:
        """Hand over one message; raise BrokerDown. It says which row is due, and no more."""
        self.open()
        try:
            self._app.send_task(
                row.task,
                kwargs={"outbox_id": str(row.id), "correlation_id": str(row.correlation_id)},
                task_id=str(row.id),
                queue=QUEUE,
                producer=self._producer,
                argsrepr="",
                kwargsrepr="",
                ignore_result=True,
            )
        except _DOWN as error:
            self.close()
            raise BrokerDown from error

    def close(self) -> None:
        """Drop the connection, whatever state it is in."""
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            with suppress(*_DOWN):
                connection.release()  # type: ignore[no-untyped-call]


class Relay:
    """One relay process: a connection to PostgreSQL, one to the broker, and the schedule."""

    def __init__(
        self, settings: Settings, *, app: Celery, schedule: Sequence[Periodic] = SCHEDULE
    ) -> None:
        self._settings = settings
        self._broker = Broker(app)
        self._ticker = Ticker(schedule)
        self._connection: psycopg.Connection | None = None
        self._down: str | None = None
        self.stop = threading.Event()

    def run(self) -> None:
        """Work until ``stop`` is set; what is under way is finished first."""
        log.info("relay-starting", lease_seconds=self._settings.outbox_lease_seconds)
        pause, backoff = _SHORTEST_PAUSE, _FIRST_BACKOFF
        while not self.stop.is_set():
            try:
                sent = self.step()
            except (BrokerDown, psycopg.OperationalError) as error:
                self._note("broker" if isinstance(error, BrokerDown) else "database", error)
                self.stop.wait(backoff)
                backoff = min(backoff * 2, _LONGEST_BACKOFF)
                continue
            self._note(None)
            backoff = _FIRST_BACKOFF
            pause = _SHORTEST_PAUSE if sent else min(pause * 2, _LONGEST_PAUSE)
            if sent < BATCH:  # else more is waiting; if fewer, a few milliseconds gather some
                self.stop.wait(pause)
        self.close()
        log.info("relay-stopped")

    def step(self) -> int:
        """Enqueue what the schedule asks for, then move one batch; return how many were sent.

        Raises BrokerDown, with nothing left claimed, or psycopg.OperationalError.
        """
        connection = self._database()
        self._ticker.tick(connection, now=clock.now())
        self._broker.open()  # before the claim: while the broker is down nothing is claimed
        claimed = claim(
            connection, now=clock.now(), lease_seconds=self._settings.outbox_lease_seconds
        )
        sent: list[UUID] = []
        alive = [row for row in claimed if not row.dead]
        for row in claimed:
            if row.dead:
                log.error("task-dead", task=row.task, outbox_id=row.id, attempt=row.attempts - 1)
        try:
            for row in alive:
                self._broker.send(row)
                sent.append(row.id)
        finally:
            if len(sent) < len(alive):
                unsent = [row.id for row in alive[len(sent) :]]
                give_back(connection, ids=unsent, now=clock.now())
            if sent:
                stamp(connection, ids=sent, now=clock.now())
        return len(sent)

    def close(self) -> None:
        """Let go of both connections."""
        self._broker.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _database(self) -> psycopg.Connection:
        if self._connection is not None and self._connection.broken:
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self._connection = psycopg.connect(
                self._settings.worker_url,
                autocommit=True,  # each statement is a transaction of its own
                connect_timeout=5,
                application_name="kith-relay",
                options=f"-c statement_timeout={self._settings.statement_timeout_ms}"
                f" -c lock_timeout={self._settings.lock_timeout_ms} -c jit=off -c timezone=UTC",
            )
        return self._connection

    def _note(self, down: str | None, error: Exception | None = None) -> None:
        """Log when something goes down or all is well again, and not in between."""
        if down == self._down:
            return
        if down is not None:
            log.error("relay-cannot-reach", part=down, exc_info=error)
        else:
            log.info("relay-reaches-all-again", part=self._down)
        self._down = down


def main() -> int:
    """Run a relay until SIGTERM or SIGINT."""
    logs.configure()
    try:
        settings = Settings.from_environment(os.environ)
    except BadSetting as error:
        sys.stderr.write(f"{error}\n")
        return 2
    clock.follow(settings.clock_file)
    relay = Relay(settings, app=make_app(settings, answer_seconds=5))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: relay.stop.set())
    try:
        relay.run()
    except Exception as error:
        # Told without its message, as every error is; whoever started us starts us again.
        log.critical("relay-crashed", exc_info=error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
