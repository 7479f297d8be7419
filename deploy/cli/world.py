"""Which servers a command works with: Kith's own in .kith/, or those the environment names."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psycopg
from alembic import command
from redis.exceptions import RedisError

from api.core import clock
from api.core.config import Mode, Settings
from api.core.db import Database
from api.core.redis import redis_for
from deploy.local import Stack
from deploy.migrate import NotReady, check_version, configuration, migrate, plain, state

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
REDIS_AT_LEAST = (6, 2)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Settings, the local stack where it is Kith's own, and the database's name."""

    settings: Settings
    stack: Stack | None
    database: str

    @property
    def env(self) -> dict[str, str]:
        """What a child process needs in its environment to see the same world."""
        settings = self.settings
        env = {
            "KITH_DATABASE_URL": settings.database_url,
            "KITH_WORKER_URL": settings.worker_url,
            "KITH_BROKER_URL": settings.broker_url,
            "KITH_MODE": settings.mode,
            "KITH_HOME": str(home()),
            # One text at a time on one thread: two threads on busy cores wait for each other.
            "OPENBLAS_NUM_THREADS": "1",
        }
        if settings.migrate_url is not None:
            env["KITH_MIGRATE_URL"] = settings.migrate_url
        if settings.clock_file is not None:
            env["KITH_CLOCK_FILE"] = str(settings.clock_file)
        return env

    @property
    def owner_url(self) -> str:
        """The owner's address; NotReady when no setting names it."""
        if self.settings.migrate_url is None:
            raise NotReady(
                "KITH_MIGRATE_URL is not set: it is the owner's address, for migrations, "
                "backup and the first admin."
            )
        return self.settings.migrate_url

    def release(self) -> None:
        """Stop the servers, where they are Kith's own and nobody else uses them."""
        if self.stack is not None:
            self.stack.release()


def home() -> Path:
    """Return the folder of everything that Kith keeps on this machine."""
    return Path(os.environ.get("KITH_HOME") or ROOT / ".kith")


def _environ(mode: Mode) -> Mapping[str, str]:
    """Return the environment of a command in this mode; a demo has a file that moves its clock."""
    environ = {**os.environ, "KITH_MODE": mode}
    if mode == "demo":
        environ.setdefault("KITH_CLOCK_FILE", str((home() / "demo" / "clock").absolute()))
    elif os.environ.get("KITH_MODE") == "demo":  # the file is the demo's and not this command's
        environ.pop("KITH_CLOCK_FILE", None)
    return environ


def open_world(
    *, database: str = "kith", mode: Mode = "live", say: Say, start: bool = True
) -> World:
    """Return the world of a command, with Kith's own servers started where none are named."""
    if os.environ.get("KITH_DATABASE_URL"):
        return World(
            settings=Settings.from_environment(_environ(mode)),
            stack=None,
            database=database,
        )
    stack = Stack(home())
    if start:
        stack.start(progress=say)
    return World(settings=local_settings(stack, database, mode), stack=stack, database=database)


def local_settings(stack: Stack, database: str, mode: Mode) -> Settings:
    """Return the settings for one database of the local servers."""
    urls = {
        role: stack.database_url(role=role, database=database)
        for role in ("kith_api", "kith_worker", "kith_owner")
    }
    environ: Mapping[str, str] = {
        **_environ(mode),
        "KITH_DATABASE_URL": urls["kith_api"],
        "KITH_WORKER_URL": urls["kith_worker"],
        "KITH_MIGRATE_URL": urls["kith_owner"],
        "KITH_BROKER_URL": stack.broker_url(virtual_host=1 if mode == "demo" else 0),
    }
    return Settings.from_environment(environ)


def prepare(world: World, *, purpose: str, say: Say, afresh: bool = False) -> None:
    """Make the database, run what is pending, and note what it is for.

    ``afresh`` empties a database that was made for this purpose, and no other, and starts at the
    present time. Raises NotReady when the database is for something else.
    """
    if world.stack is not None:
        if afresh:
            world.stack.drop_database(world.database)
        world.stack.ensure_database(world.database)
    found = purpose_of(world)
    if found is not None and found != purpose:
        raise NotReady(
            f"This database is for '{found}' and not for '{purpose}', so it is left alone. "
            "Name another one in KITH_DATABASE_URL, or leave that unset."
        )
    if found is None and world.stack is None and _has_tables(world):
        raise NotReady(
            "This database holds tables that Kith did not make, so it is left alone. "
            "Name an empty one."
        )
    say("Getting the database ready")
    if afresh and world.settings.clock_file is not None:
        world.settings.clock_file.unlink(missing_ok=True)
    if afresh and world.stack is None and found == purpose:
        command.downgrade(configuration(world.owner_url), "base")
    migrate(
        owner_url=world.owner_url,
        api_url=world.settings.database_url,
        worker_url=world.settings.worker_url,
    )
    with psycopg.connect(plain(world.owner_url), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO installation (id, purpose, made_at) VALUES (1, %s, %s)"
            " ON CONFLICT (id) DO NOTHING",
            [purpose, clock.now()],
        )


def purpose_of(world: World) -> str | None:
    """Return what a database is for; None when Kith has not been here."""
    with psycopg.connect(plain(world.owner_url), autocommit=True) as connection:
        found = connection.execute("SELECT to_regclass('installation')").fetchone()
        if found is None or found[0] is None:
            return None
        row = connection.execute("SELECT purpose FROM installation").fetchone()
        return str(row[0]) if row is not None else None


def _has_tables(world: World) -> bool:
    with psycopg.connect(plain(world.owner_url), autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename <> 'alembic_version'"
        ).fetchone()
        return row is not None and row[0] > 0


def check_ready(settings: Settings) -> None:
    """Raise NotReady, saying what to do, unless servers and migrations fit this code."""
    try:
        check_version(settings.database_url)
        found = state(settings.database_url)
    except psycopg.OperationalError:
        raise NotReady(
            "The database does not answer. Is it running? './kith up' starts Kith's own."
        ) from None
    if found.pending:
        raise NotReady(
            f"Migrations are pending: the database is at {found.at or 'nothing'}, this code "
            f"needs {found.newest}. Run './kith migrate' first."
        )
    version = asyncio.run(_broker_version(settings.broker_url))
    if version is not None and version < REDIS_AT_LEAST:
        raise NotReady("The broker is too old: Kith needs Redis 6.2 or any Valkey.")


async def _broker_version(url: str) -> tuple[int, int] | None:
    client = redis_for(url)
    with suppress(RedisError, OSError):
        info = await client.info("server")
        major, minor = str(info["redis_version"]).split(".")[:2]
        return int(major), int(minor)
    await client.aclose()
    return None


def free_port(wanted: int) -> int:
    """Return ``wanted``, or the next port above it on which nobody listens."""
    for port in range(wanted, wanted + 50):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise NotReady(f"All ports from {wanted} to {wanted + 49} are taken.")


def with_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Run one piece of async work with a database of its own, from a command."""

    async def go() -> T:
        database = Database(settings.database_url, application_name="kith-cli", pool_size=2)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(go())
