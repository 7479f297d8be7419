"""Running the house on one machine: the API, relay and workers as children of a command."""

import json
import sys
import time
import webbrowser
from pathlib import Path

import click
import httpx2

from deploy.cli.world import World, check_ready, free_port, home, open_world, prepare
from deploy.local import Processes, StackError

READY_SECONDS = 60


def say(sentence: str) -> None:
    """Tell the person at the terminal; never mixed with what a program reads."""
    click.echo(f"  {sentence}", err=True)


def start_parts(processes: Processes, world: World, *, port: int, workers: int = 2) -> str:
    """Start API, relay and worker as children, wait until the API is ready; its address."""
    python = [sys.executable, "-m"]
    address = f"http://127.0.0.1:{port}"
    processes.start("api", [*python, "deploy.cli", "api", "--port", str(port)], env=world.env)
    if workers:
        start_workers(processes, world, workers=workers)
    wait_ready(processes, address)
    return address


def start_workers(processes: Processes, world: World, *, workers: int = 2) -> None:
    """Start relay and worker as children."""
    python = [sys.executable, "-m"]
    processes.start("relay", [*python, "workers.relay"], env=world.env)
    processes.start(
        "worker", [*python, "workers.app", "--concurrency", str(workers)], env=world.env
    )


def wait_ready(processes: Processes, address: str) -> None:
    """Wait until the API answers that it is ready; StackError with its last words if it is not."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and "api" not in processes.failed():
        try:
            if httpx2.get(f"{address}/health/ready", timeout=2).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.1)
    raise StackError(f"The API did not get ready. Its last words:\n{processes.tail('api')}")


@click.command()
@click.option(
    "--directory",
    type=click.Path(exists=True, path_type=Path),
    help="Also take in real listings: a CSV file, or a folder of them.",
)
@click.option("--exit", "leave", is_flag=True, help="Stop when the story is told.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and no story.")
@click.option("--people", is_flag=True, help="Tell everybody's ideas, not only two.")
@click.option("--port", default=8080, show_default=True, help="Port of the API, or the next free.")
def demo(directory: Path | None, leave: bool, as_json: bool, people: bool, port: int) -> None:
    """Watch the main job: invented people, ideas that bring them together, and their money."""
    from deploy.demo import run

    world = open_world(database="kith_demo", mode="demo", say=say)
    try:
        with Processes(home=home(), name="demo", report=say) as processes:
            result = run.run(
                world,
                processes,
                directory=directory,
                everybody=people,
                port=free_port(port),
                quiet=as_json,
                stays=not leave,
            )
            if as_json:
                click.echo(json.dumps(result, indent=2, ensure_ascii=False))
            if not leave:
                sys.exit(processes.run())
    finally:
        world.release()


@click.command()
@click.option("--port", default=8080, show_default=True, help="Port of the API, or the next free.")
@click.option("--workers", default=2, show_default=True, help="Worker processes.")
@click.option("--open", "show", is_flag=True, help="Open the reference page in a browser.")
def up(port: int, workers: int, show: bool) -> None:
    """Start everything on this machine, without demo data; stay until Ctrl-C."""
    world = open_world(say=say)
    try:
        prepare(world, purpose="live", say=say)
        check_ready(world.settings)
        with Processes(home=home(), name="up", report=say) as processes:
            address = start_parts(processes, world, port=free_port(port), workers=workers)
            click.echo(f"Kith is up: {address} (every address: {address}/docs). Stop: Ctrl-C")
            click.echo("The first admin: ./kith admin create --area NAME --called 'Your name'")
            if show:
                webbrowser.open(f"{address}/docs")
            sys.exit(processes.run())
    finally:
        world.release()
