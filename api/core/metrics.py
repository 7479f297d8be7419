"""Prometheus metrics: requests by route, and how far the outbox is behind."""

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "kith_http_requests_total",
    "Requests answered",
    ["method", "route", "status"],
    registry=REGISTRY,
)
SECONDS = Histogram(
    "kith_http_request_seconds",
    "Seconds per request",
    ["method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    registry=REGISTRY,
)
OUTBOX_WAITING = Gauge("kith_outbox_waiting", "Outbox rows due and not done", registry=REGISTRY)
OUTBOX_DEAD = Gauge("kith_outbox_dead", "Outbox rows given up: needs a person", registry=REGISTRY)
OUTBOX_FAILING = Gauge(
    "kith_outbox_failing",
    "Outbox rows whose last attempt failed and that are not done",
    ["task"],
    registry=REGISTRY,
)
OUTBOX_LAG = Gauge(
    "kith_outbox_lag_seconds", "Age of the oldest outbox row due and not done", registry=REGISTRY
)

_OUTBOX = text(
    "SELECT count(*) FILTER (WHERE dead_at IS NULL AND not_before <= :now),"
    " count(*) FILTER (WHERE dead_at IS NOT NULL),"
    " coalesce(extract(epoch FROM :now - min(not_before)"
    "   FILTER (WHERE dead_at IS NULL AND not_before <= :now)), 0)"
    " FROM outbox WHERE done_at IS NULL"
)
_FAILING = text(
    "SELECT task, count(*) FROM outbox WHERE done_at IS NULL AND last_error IS NOT NULL"
    " GROUP BY task"
)


async def render(connection: AsyncConnection, *, now: datetime) -> bytes:
    """Measure the outbox and return all metrics in Prometheus' text form."""
    waiting, dead, lag = (await connection.execute(_OUTBOX, {"now": now})).one()
    failing = (await connection.execute(_FAILING)).all()
    OUTBOX_WAITING.set(waiting)
    OUTBOX_DEAD.set(dead)
    OUTBOX_LAG.set(float(lag))
    OUTBOX_FAILING.clear()
    for task, count in failing:
        OUTBOX_FAILING.labels(task).set(count)
    return generate_latest(REGISTRY)
