"""The Celery application: how a worker takes messages, and what each of its processes holds.

Run by ``python -m workers.app --concurrency N``. The outbox keeps the truth, so the queue may be
lost: messages are acknowledged as a task starts, there are no results, and nothing is restored
from the broker. Celery knows nothing of asyncio: each process has one runner and one pool of
connections, made after the fork.
"""

import argparse
import asyncio
import importlib
import logging
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from celery import Celery, signals

import workers.tasks
from api.core import clock, logs
from api.core.config import BadSetting, Settings
from api.core.db import Database
from workers import broker, registry, runtime
from workers.rows import Rows

QUEUE = "kith"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Process:
    """What one worker process keeps from task to task."""

    runner: asyncio.Runner
    rows: Rows
    lease_seconds: float


_process: Process | None = None


def make_app(settings: Settings, *, answer_seconds: float | None = None) -> Celery:
    """Return a Celery application that can send; ``serve`` makes it a worker's.

    ``answer_seconds`` is how long the broker may take over one command (None: for ever, as a
    worker waits for messages).
    """
    app = Celery("kith", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,
        task_send_sent_event=False,
        task_publish_retry=False,  # the relay has a back-off of its own
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_prefetch_multiplier=4,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_prefetch_count_reduction=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": 3600,
            "socket_connect_timeout": 5,
            "socket_timeout": answer_seconds,
            "socket_keepalive": True,
        },
    )
    return app


def load_tasks(*, also: Sequence[str] = ()) -> None:
    """Import every module of workers.tasks, and ``also``, so that their tasks are registered."""
    for module in pkgutil.iter_modules(workers.tasks.__path__):
        importlib.import_module(f"workers.tasks.{module.name}")
    for name in also:
        importlib.import_module(name)


def serve(app: Celery, settings: Settings) -> None:
    """Give the application all registered tasks, and each of its processes what it needs."""
    for name in registry.REGISTRY:
        app.task(_entry(name), name=name)

    def begin(**_: Any) -> None:
        global _process
        database = Database(
            settings.worker_url,
            application_name="kith-worker",
            pool_size=4,
            pool_wait_seconds=settings.pool_wait_seconds,
            statement_timeout_ms=settings.statement_timeout_ms,
            lock_timeout_ms=settings.lock_timeout_ms,
            idle_in_transaction_ms=settings.idle_in_transaction_ms,
        )
        _process = Process(asyncio.Runner(), Rows(database), settings.outbox_lease_seconds)

    def unknown(name: str, id: str, **_: Any) -> None:
        _refuse_unknown(settings, name, id)

    # weak=False: these are closures, and nothing else keeps them.
    signals.worker_process_init.connect(begin, weak=False)
    signals.worker_process_shutdown.connect(_end, weak=False)
    signals.task_unknown.connect(unknown, weak=False)
    signals.worker_ready.connect(lambda **_: log.info("worker-ready"), weak=False)
    signals.setup_logging.connect(_leave_logging_alone, weak=False)
    broker.mend()


def _entry(name: str) -> Callable[..., None]:
    def entry(*, outbox_id: str, **_later: Any) -> None:
        process = _process
        assert process is not None, "worker_process_init comes before the first task"
        process.runner.run(
            runtime.run(
                rows=process.rows,
                name=name,
                outbox_id=UUID(outbox_id),
                lease_seconds=process.lease_seconds,
            )
        )

    return entry


def _end(**_: Any) -> None:
    global _process
    if _process is not None:
        _process.runner.run(_process.rows.database.close())
        _process.runner.close()
        _process = None


def _refuse_unknown(settings: Settings, name: str, outbox_id: str) -> None:
    """Count a row whose task no module here knows as a failed attempt.

    It is tried again with a back-off, as a newer worker may know it, and ends as a dead letter.
    """
    log.error("task-unknown", task=name, outbox_id=outbox_id)

    async def refuse() -> None:
        database = Database(settings.worker_url, application_name="kith-worker", pool_size=1)
        try:
            await runtime.refuse(rows=Rows(database), outbox_id=UUID(outbox_id))
        finally:
            await database.close()

    asyncio.run(refuse())


def _leave_logging_alone(**_: Any) -> None:
    """Celery sets up logging by itself unless somebody listens; ours is set up already."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a worker until SIGTERM; with tasks under way it waits for them."""
    parser = argparse.ArgumentParser(prog="python -m workers.app", description=main.__doc__)
    parser.add_argument("--concurrency", type=int, default=2, help="worker processes (2)")
    parser.add_argument("--pool", choices=["prefork", "solo"], default="prefork")
    parser.add_argument("--include", action="append", default=[], help="a further task module")
    chosen = parser.parse_args(argv)
    logs.configure()
    logging.captureWarnings(True)  # or Celery's warning about root would be the one line of prose
    try:
        settings = Settings.from_environment(os.environ)
    except BadSetting as error:
        parser.exit(2, f"{error}\n")
    clock.follow(settings.clock_file)  # before the fork: each process follows by itself
    load_tasks(also=chosen.include)
    app = make_app(settings)
    serve(app, settings)
    log.info("worker-starting", processes=chosen.concurrency, tasks=len(registry.REGISTRY))
    worker = ["worker", "--concurrency", str(chosen.concurrency), "--pool", chosen.pool]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    app.worker_main(["--quiet", *worker, *quiet])
    return 0


if __name__ == "__main__":
    sys.exit(main())
