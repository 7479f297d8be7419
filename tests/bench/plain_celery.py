"""Celery alone, with a task that does nothing: what the outbox is measured beside.

Same version, broker and settings as Kith's own workers; no database, no asyncio.
"""

import os
import sys

from api.core import logs
from api.core.config import Settings
from workers.app import make_app

NAME = "plain.nothing"


def main() -> None:
    """Run a worker with so many processes as the first argument says."""
    logs.configure()
    app = make_app(Settings.from_environment(os.environ))
    app.task(lambda: None, name=NAME)
    flags = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    app.worker_main(["--quiet", "worker", "--concurrency", sys.argv[1], *flags])


if __name__ == "__main__":
    main()
