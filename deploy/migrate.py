"""Migrations as the owner: roles first, then Alembic, then a word on what is there."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url

# Roles belong to the server, advisory locks to a database: two databases that are migrated at once
# may both make a role, or grant one at the same moment ("tuple concurrently updated", XX000).
_CLASHES = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.DuplicateObject,
    psycopg.errors.InternalError_,
)
_TRIES = 10

POSTGRES_AT_LEAST = 180000
MIGRATIONS = Path(__file__).parent / "migrations"


class NotReady(Exception):
    """The database cannot be used as it is; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationState:
    """Which migration a database is at, and which is the newest."""

    at: str | None
    newest: str

    @property
    def pending(self) -> bool:
        """True when migrations have to run before this code can."""
        return self.at != self.newest


def configuration(owner_url: str) -> Config:
    """Return Alembic's configuration for one database."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["url"] = owner_url
    return config


def state(url: str) -> MigrationState:
    """Return where a database stands. Any sign-in that may connect can ask."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    try:
        with engine.connect() as connection:
            at = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    newest = ScriptDirectory.from_config(configuration(url)).get_current_head()
    return MigrationState(at=at, newest=newest or "")


def check_version(url: str) -> int:
    """Return the server's version number; raise NotReady when it is too old."""
    with psycopg.connect(plain(url), connect_timeout=5) as connection:
        version = connection.info.server_version
    if version < POSTGRES_AT_LEAST:
        raise NotReady(
            f"PostgreSQL is at version {version // 10000}; Kith needs 18 or newer. "
            "Upgrade the server, or leave KITH_DATABASE_URL unset to use the one Kith brings."
        )
    return version


def migrate(*, owner_url: str, api_url: str, worker_url: str) -> MigrationState:
    """Make roles, run what is pending, open the new tables to the application; safe to repeat."""
    check_version(owner_url)
    prepare_roles(owner_url=owner_url, api_url=api_url, worker_url=worker_url)
    command.upgrade(configuration(owner_url), "head")
    with psycopg.connect(plain(owner_url)) as connection:
        connection.execute("GRANT SELECT ON alembic_version TO kith_app")
    return state(owner_url)


def prepare_roles(*, owner_url: str, api_url: str, worker_url: str) -> None:
    """Make the groups kith_app and kith_match and the two sign-ins, where they are missing.

    The sign-ins are neither owner nor superuser and cannot bypass row-level security; only the
    worker's may take the matcher's role, and only by asking for it (SET ROLE).
    """
    for attempt in range(1, _TRIES + 1):
        try:
            return _prepare_roles(owner_url, make_url(api_url), make_url(worker_url))
        except _CLASHES:
            if attempt == _TRIES:
                raise
            time.sleep(0.05 * attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _prepare_roles(owner_url: str, api: URL, worker: URL) -> None:
    with psycopg.connect(plain(owner_url)) as connection:
        for group in ("kith_app", "kith_match"):
            _ensure_role(connection, group, "NOLOGIN")
        for url in (api, worker):
            _ensure_login(connection, url)
        _grant(connection, "kith_app", str(api.username), "INHERIT TRUE")
        _grant(connection, "kith_app", str(worker.username), "INHERIT TRUE")
        _grant(connection, "kith_match", str(worker.username), "INHERIT FALSE, SET TRUE")
        _refuse_powerful(connection, {str(api.username), str(worker.username)})


def plain(url: str | URL) -> str:
    """Return a libpq URL without a driver's name."""
    parsed = make_url(url).set(drivername="postgresql")
    return parsed.render_as_string(hide_password=False)


def _ensure_role(connection: psycopg.Connection, name: str, options: str) -> None:
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
    if found is None:
        statement = sql.SQL("CREATE ROLE {} " + options).format(sql.Identifier(name))
        connection.execute(statement)


def _ensure_login(connection: psycopg.Connection, url: URL) -> None:
    name = url.username or ""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
        raise NotReady("The address of a database needs a user name of lower-case letters.")
    _ensure_role(connection, name, "LOGIN NOBYPASSRLS NOSUPERUSER")
    if url.password:
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(name), sql.Literal(str(url.password))
            )
        )


def _grant(connection: psycopg.Connection, group: str, member: str, how: str) -> None:
    connection.execute(
        sql.SQL("GRANT {} TO {} WITH " + how).format(sql.Identifier(group), sql.Identifier(member))
    )


def _refuse_powerful(connection: psycopg.Connection, names: set[str]) -> None:
    rows = connection.execute(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)"
        " AND (rolsuper OR rolbypassrls OR rolname = current_user)",
        [list(names)],
    ).fetchall()
    if rows:
        raise NotReady(
            f"{rows[0][0]} could see past row-level security (owner, superuser or BYPASSRLS). "
            "Point KITH_DATABASE_URL and KITH_WORKER_URL to ordinary roles."
        )
