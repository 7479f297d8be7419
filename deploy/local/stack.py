"""A real PostgreSQL and a real Valkey in one home, as one thing."""

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.local import identity, layout
from deploy.local.binaries import postgres_programs
from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey

OWNER = "kith_owner"


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server: pid and version are None while it does not run."""

    running: bool
    pid: int | None
    version: str | None


@dataclass(frozen=True, slots=True)
class StackStatus:
    """Both servers of a home; sockets is None where TCP on 127.0.0.1 is used."""

    home: Path
    sockets: Path | None
    postgres: ServerStatus
    valkey: ServerStatus

    @property
    def running(self) -> bool:
        """True when both servers run."""
        return self.postgres.running and self.valkey.running


class Stack:
    """The local servers of one home (a folder, made when needed).

    Starting is idempotent and safe from several processes at once: the first starts, the others
    find. Raises StackError, whose message a newcomer can act on.
    """

    def __init__(self, home: Path) -> None:
        self.home = Path(os.path.abspath(home))
        self._place: layout.Layout | None = None
        self._servers: tuple[Postgres, Valkey] | None = None
        self._use: int | None = None

    def start(self, progress: Callable[[str], None] | None = None) -> None:
        """Start or find both servers, make the owner's role, and wait until all is ready."""
        say = progress or _silent
        with layout.locked(home=self.home):
            self._start_postgres(say)
            self._valkey().start(progress=say)
            self._hold()

    def start_postgres(self, progress: Callable[[str], None] | None = None) -> None:
        """Start or find PostgreSQL alone."""
        with layout.locked(home=self.home):
            self._start_postgres(progress or _silent)

    def start_valkey(self, progress: Callable[[str], None] | None = None) -> None:
        """Start or find Valkey alone."""
        with layout.locked(home=self.home):
            self._valkey().start(progress=progress or _silent)

    def stop(self) -> None:
        """Stop both servers cleanly, whoever started them."""
        with layout.locked(home=self.home):
            self._let_go()
            self._stop_both()

    def release(self) -> bool:
        """Stop both servers unless another process that called `start` still uses them.

        Returns whether they were stopped.
        """
        with layout.locked(home=self.home):
            self._let_go()
            handle = layout.lock_file(path=self.home / "in_use")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            else:
                self._stop_both()
                return True
            finally:
                os.close(handle)

    def stop_valkey(self, *, kill: bool = False, lose_data: bool = False) -> None:
        """Stop Valkey alone: cleanly or with SIGKILL, keeping its data or not."""
        with layout.locked(home=self.home):
            server = self._valkey()
            if kill:
                server.kill()
            else:
                server.stop()
            if lose_data:
                server.lose_data()

    def stop_postgres(self) -> None:
        """Stop PostgreSQL alone, cleanly."""
        with layout.locked(home=self.home):
            self._postgres().stop()

    def kill_postgres(self) -> None:
        """End PostgreSQL with SIGKILL, as a power cut would."""
        with layout.locked(home=self.home):
            self._postgres().kill()

    def reset(self) -> None:
        """Stop both servers and delete their data, sockets and logs."""
        with layout.locked(home=self.home):
            self._let_go()
            self._stop_both()
            layout.remove(layout=self._layout())
            self._forget()

    def status(self) -> StackStatus:
        """What runs now; starts nothing and makes no folders."""
        place = layout.read(home=self.home)
        if place is None:
            down = ServerStatus(running=False, pid=None, version=None)
            return StackStatus(self.home, None, down, down)
        postgres, valkey = self._both()
        sockets = Path(place.sockets) if place.sockets else None
        return StackStatus(
            self.home,
            sockets,
            _status(pid=postgres.pid(), version=_postgres_version(postgres)),
            _status(pid=valkey.pid(), version=valkey.version()),
        )

    def database_url(self, *, role: str, database: str) -> str:
        """A libpq URL: postgresql://role@/database?host=<folder>&port=<port>."""
        return self._postgres().url(role=role, database=database)

    def broker_url(self, *, virtual_host: int = 0) -> str:
        """The broker's address as Celery writes it."""
        return self._valkey().broker_url(virtual_host=virtual_host)

    def redis_url(self) -> str:
        """The broker's address as redis-py writes it."""
        return self._valkey().redis_url()

    def ensure_database(self, name: str, *, template: str | None = None) -> bool:
        """Make a database owned by kith_owner unless it exists; returns whether it was made.

        template: a database to copy, which nobody may be connected to meanwhile; waits for that
        up to ten seconds.
        """
        query = sql.SQL("CREATE DATABASE {} OWNER {}").format(
            sql.Identifier(name), sql.Identifier(OWNER)
        )
        if template is not None:
            query += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        deadline = time.monotonic() + 10
        with self._postgres().connect() as connection:
            while not _exists(connection, name):
                try:
                    connection.execute(query)
                except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    return False  # another process was quicker
                except psycopg.errors.ObjectInUse:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
                else:
                    return True
        return False

    def drop_database(self, name: str) -> None:
        """Drop a database, closing whatever is connected to it; nothing when there is none."""
        query = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        with self._postgres().connect() as connection:
            connection.execute(query)

    def _layout(self) -> layout.Layout:
        current = layout.read(home=self.home)
        if current is None or current != self._place:
            self._place = current or layout.decide(home=self.home, root=self._root())
            self._servers = None
        return self._place

    def _root(self) -> Path | None:
        """Where the database lies: elsewhere only if PostgreSQL's account cannot reach the home."""
        if os.geteuid() != 0 or (self.home / "postgres").exists():
            return None
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        who = identity.for_new_cluster(home=self.home, program=postgres_programs() / "postgres")
        program = Path("/bin/true")
        if who.kind != "setuid" or who.can_use(directory=self.home, program=program):
            return None
        self.home.chmod(0o711)
        if who.can_use(directory=self.home, program=program):
            return None
        # Unlike /tmp it outlives a restart of the machine.
        elsewhere = layout.short_folder(base="/var/tmp")  # noqa: S108
        elsewhere.chmod(0o711)
        return elsewhere

    def _both(self) -> tuple[Postgres, Valkey]:
        place = self._layout()
        if self._servers is None:
            self._servers = (Postgres(place=place), Valkey(place=place))
        return self._servers

    def _postgres(self) -> Postgres:
        return self._both()[0]

    def _valkey(self) -> Valkey:
        return self._both()[1]

    def _start_postgres(self, say: Callable[[str], None]) -> None:
        self._postgres().start(progress=say)
        role = sql.Identifier(OWNER)
        rights = "LOGIN CREATEROLE CREATEDB NOSUPERUSER"
        with self._postgres().connect() as connection:
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [OWNER])
            verb = "CREATE" if known.fetchone() is None else "ALTER"
            connection.execute(sql.SQL(f"{verb} ROLE {{}} {rights}").format(role))

    def _stop_both(self) -> None:
        if layout.read(home=self.home) is not None:
            postgres, valkey = self._both()
            valkey.stop()
            postgres.stop()

    def _hold(self) -> None:
        if self._use is None:
            self._use = layout.lock_file(path=self.home / "in_use")
            fcntl.flock(self._use, fcntl.LOCK_SH)

    def _let_go(self) -> None:
        if self._use is not None:
            os.close(self._use)
            self._use = None

    def _forget(self) -> None:
        self._place = None
        self._servers = None


def _silent(_: str) -> None:
    """Progress for callers who want none."""


def _exists(connection: psycopg.Connection, name: str) -> bool:
    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
    return found.fetchone() is not None


def _status(*, pid: int | None, version: str | None) -> ServerStatus:
    running = pid is not None and version is not None
    return ServerStatus(running=running, pid=pid, version=version if running else None)


def _postgres_version(server: Postgres) -> str | None:
    if server.pid() is None:
        return None
    try:
        with server.connect(seconds=3) as connection:
            row = connection.execute("SHOW server_version").fetchone()
            return str(row[0]) if row else None
    except psycopg.OperationalError:
        return None
