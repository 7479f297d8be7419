"""The parts, each by itself: for whoever runs them under a supervisor of their own."""

import os
import sys

import click

from api.core import clock, logs
from api.core.config import Mode
from deploy.cli.world import check_ready, open_world, prepare
from deploy.migrate import state

STOP_SECONDS = 20


def _quiet(_: str) -> None:
    """Say nothing: these commands are run by machines."""


def _mode() -> Mode:
    return "demo" if os.environ.get("KITH_MODE") == "demo" else "live"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, help="Port to listen on.")
@click.option("--uds", default=None, help="Listen on this unix socket instead.")
def api(host: str, port: int, uds: str | None) -> None:
    """Serve the API in this terminal."""
    # Only here: every other command would wait for these to load.
    import uvicorn

    from api.app import create_app

    world = open_world(mode=_mode(), say=_quiet)
    check_ready(world.settings)
    clock.follow(world.settings.clock_file)
    logs.configure()
    uvicorn.run(
        create_app(world.settings),
        host=host,
        port=port,
        uds=uds,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


@click.command()
@click.option("--concurrency", default=2, show_default=True, help="Worker processes.")
def worker(concurrency: int) -> None:
    """Run a worker in this terminal."""
    _become("workers.app", "--concurrency", str(concurrency))


@click.command()
def relay() -> None:
    """Run the relay from outbox to broker in this terminal. Several at once do no harm."""
    _become("workers.relay")


def _become(module: str, *arguments: str) -> None:
    world = open_world(mode=_mode(), say=_quiet)
    check_ready(world.settings)
    os.execve(  # noqa: S606
        sys.executable,
        [sys.executable, "-m", module, *arguments],
        {**os.environ, **world.env},
    )


@click.command("migrate")
@click.option("--check", is_flag=True, help="Only say whether migrations are pending.")
def migrate_command(check: bool) -> None:
    """Make roles and run pending migrations, as the owner (KITH_MIGRATE_URL)."""
    world = open_world(say=_quiet)
    if not check:
        prepare(world, purpose="live", say=lambda sentence: click.echo(sentence, err=True))
    found = state(world.owner_url)
    click.echo(f"at {found.at or 'nothing'}, newest {found.newest}")
    if found.pending:
        sys.exit(1)
