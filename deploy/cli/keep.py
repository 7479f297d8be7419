"""Backup and restore, with PostgreSQL's own tools."""

import subprocess
from pathlib import Path

import click
import psycopg

from deploy.cli.running import say
from deploy.cli.world import ROOT, World, open_world, prepare
from deploy.local import StackError
from deploy.local.binaries import postgres_programs
from deploy.migrate import NotReady, plain, prepare_roles


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
def backup(path: Path) -> None:
    """Write all data to PATH (PostgreSQL's custom format), consistent while Kith runs."""
    if path.exists():
        raise NotReady(f"{path} is there already. Name another file: a backup is never replaced.")
    world = open_world(say=say)
    try:
        draft = path.with_name(path.name + ".part")
        draft.touch(mode=0o600)
        _tool("pg_dump", "--format=custom", f"--file={draft}", plain(world.owner_url))
        draft.replace(path)
    finally:
        world.release()
    click.echo(f"Written: {path} ({path.stat().st_size:,} bytes). It holds people's stories.")


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(path: Path) -> None:
    """Read a backup into an empty database. One that holds data is refused."""
    world = open_world(say=say)
    try:
        if world.stack is not None:
            world.stack.ensure_database(world.database)
        with psycopg.connect(plain(world.owner_url)) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            ).fetchone()
        if row is not None and row[0]:
            raise NotReady(
                "This database holds data, so nothing was restored. Use an empty one: "
                "'./kith reset' makes Kith's own empty."
            )
        _prepare_empty(world)
        _tool(
            "pg_restore",
            "--exit-on-error",
            "--single-transaction",
            "--no-owner",
            f"--dbname={plain(world.owner_url)}",
            str(path),
        )
        prepare(world, purpose="live", say=say)
    finally:
        world.release()
    click.echo("Restored. Start with './kith up'.")


def _prepare_empty(world: World) -> None:
    prepare_roles(
        owner_url=world.owner_url,
        api_url=world.settings.database_url,
        worker_url=world.settings.worker_url,
    )


def _tool(name: str, *arguments: str) -> None:
    program = postgres_programs() / name
    done = subprocess.run([str(program), *arguments], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise StackError(f"{name} failed: {' '.join(last)}")
