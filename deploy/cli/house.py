"""Looking after the house: status, down, reset, import, the first admin."""

import json
import os
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import psycopg

from api.areas import service as areas
from api.areas.rules import AreaSettings
from api.areas.schemas import NewArea
from api.core import clock
from api.core.db import Database
from api.identity import service as identity
from api.identity.rules import Service
from api.identity.schemas import NewAccount, NewRole
from deploy.cli.running import say
from deploy.cli.world import World, home, open_world, prepare, with_database
from deploy.local import Stack, running_supervisor, stop_running
from deploy.migrate import NotReady, plain, state

SETS = ("up", "demo")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(as_json: bool) -> None:
    """Say what runs, and how far the outbox is behind."""
    found: dict[str, Any] = {"home": str(home())}
    world = open_world(say=say, start=False)
    found["supervisors"] = {name: running_supervisor(home=home(), name=name) for name in SETS}
    if world.stack is not None:
        servers = world.stack.status()
        found["postgres"] = _server(servers.postgres)
        found["valkey"] = _server(servers.valkey)
    try:
        migrations = state(world.settings.database_url)
        found["migrations"] = {
            "at": migrations.at,
            "newest": migrations.newest,
            "pending": migrations.pending,
        }
        found["outbox"] = _outbox(world)
        found["workers_share_the_apis_login"] = world.settings.shares_one_login
    except Exception:  # whatever it is, the database cannot be asked
        found["database"] = "does not answer"
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for key, value in found.items():
        shown = (
            value
            if not isinstance(value, dict)
            else ", ".join(f"{name} {'-' if one is None else one}" for name, one in value.items())
        )
        click.echo(f"{key.replace('_', ' '):>28}  {shown}")


def _server(server: Any) -> dict[str, Any]:
    return {"running": server.running, "pid": server.pid, "version": server.version}


def _outbox(world: World) -> dict[str, Any]:
    with psycopg.connect(plain(world.settings.database_url), connect_timeout=3) as connection:
        row = connection.execute(
            "SELECT count(*) FILTER (WHERE dead_at IS NULL AND not_before <= now()),"
            " count(*) FILTER (WHERE dead_at IS NOT NULL) FROM outbox WHERE done_at IS NULL"
        ).fetchone()
    return {"waiting": row[0] if row else 0, "given_up": row[1] if row else 0}


@click.command()
def down() -> None:
    """Stop what './kith up' or './kith demo' started in another terminal, and the servers."""
    stopped = [name for name in SETS if stop_running(home=home(), name=name)]
    Stack(home()).stop()
    click.echo(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing was running.")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Delete all data of Kith's own servers on this machine. Real servers are never touched."""
    if os.environ.get("KITH_DATABASE_URL"):
        raise NotReady("KITH_DATABASE_URL names a real server: reset leaves those alone.")
    if not yes:
        click.confirm(f"Delete all data in {home()}?", abort=True)
    for name in SETS:
        stop_running(home=home(), name=name)
    Stack(home()).reset()
    shutil.rmtree(home() / "demo", ignore_errors=True)
    click.echo("Deleted. './kith up' or './kith demo' starts afresh.")


@click.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_listings(path: Path, as_json: bool) -> None:
    """Take in listings from PATH: a CSV file, or a folder of them. Doing it again is harmless."""
    from deploy import directories

    world = open_world(say=say)
    try:
        prepare(world, purpose="live", say=say)
        summary = directories.run(path, settings=world.settings, as_json=as_json)
        sys.exit(summary.exit_code)
    finally:
        world.release()


@click.group()
def admin() -> None:
    """Area admins."""


@admin.command("create")
@click.option("--area", required=True, help="The area's short name, such as bridgewater.")
@click.option("--area-name", default=None, help="Its name in full, when it is a new area.")
@click.option("--called", required=True, help="What the admin is called.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create(area: str, area_name: str | None, called: str, as_json: bool) -> None:
    """Make an area's first admin and print their token, once. A new area starts with defaults."""
    world = open_world(say=say)
    try:
        prepare(world, purpose="live", say=say)
        made = with_database(
            world.settings,
            lambda database: make_admin(
                database, area=area, area_name=area_name, called=called, now=clock.now()
            ),
        )
    finally:
        world.release()
    if as_json:
        click.echo(json.dumps(made, indent=2))
    else:
        click.echo(f"Token of {called}, admin of {area}. It is shown once; keep it safe.")
        click.echo(made["token"])


async def make_admin(
    database: Database, *, area: str, area_name: str | None, called: str, now: datetime
) -> dict[str, str]:
    """Make an area where it is missing, an admin's account in it, and a session for them."""
    actor = Service("first-admin")
    async with database.write(actor=actor, now=now) as tx:
        known = {one.slug for one in (await areas.list_areas(tx)).items}
        if area not in known:
            name = area_name or area.replace("-", " ").title()
            new = NewArea(slug=area, name=name, settings=AreaSettings(front_door_name=name))
            await areas.create_area(tx, actor=actor, now=now, new=new)
        account = await identity.create_account(
            tx,
            actor=actor,
            now=now,
            new=NewAccount(called=called, roles=[NewRole(area=area, role="area_admin")]),
        )
        session = await identity.start_session(
            tx, actor=actor, now=now, proven=identity.Proven("account", account.id)
        )
    return {"account_id": str(account.id), "area": area, "token": session.token}
