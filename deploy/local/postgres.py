"""One real PostgreSQL 18 in a home: made, started, found again, mended, stopped.

Every function expects the caller to hold the home's lock; `stack` does.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg

from deploy.local import binaries, identity, layout, logs, pids
from deploy.local.errors import StackError

MAJOR = "18"
_READY_SECONDS = 120.0
_STOP_SECONDS = 60.0

# Errors of statements stay out of the log, and of what is logged only the first line is: a
# message such as "Key (name)=(…) already exists" would carry people's own words.
_SETTINGS = """\
# Written by deploy/local at each start; changes here are lost.
listen_addresses = '{listen}'
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 128MB
work_mem = 8MB
maintenance_work_mem = 64MB
effective_cache_size = 1GB
random_page_cost = 1.1
max_wal_size = 1GB
fsync = on
synchronous_commit = on
full_page_writes = on
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
default_text_search_config = 'pg_catalog.english'
log_line_prefix = '%m [%p] '
log_min_messages = log
log_min_error_statement = panic
log_error_verbosity = terse
log_statement = none
log_min_duration_statement = -1
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""


class Postgres:
    """The PostgreSQL of one layout."""

    def __init__(self, *, place: layout.Layout) -> None:
        self.place = place
        self.log = place.logs / "postgres.log"
        self._child: subprocess.Popen[bytes] | None = None

    def url(self, *, role: str, database: str) -> str:
        """A libpq URL; the socket's folder is percent-encoded, for it may hold spaces."""
        name, base = quote(role, safe=""), quote(database, safe="")
        port = self.place.postgres_port
        if self.place.sockets is None:
            return f"postgresql://{name}@127.0.0.1:{port}/{base}"
        return f"postgresql://{name}@/{base}?host={quote(self.place.sockets, safe='')}&port={port}"

    def connect(self, *, seconds: int = 10) -> psycopg.Connection:
        """A superuser's connection that commits each statement by itself."""
        url = self.url(role="postgres", database="postgres")
        return psycopg.connect(url, autocommit=True, connect_timeout=seconds)

    def pid(self) -> int | None:
        """The running server's process id; None when what is written down is stale."""
        if self._child is not None:
            self._child.poll()  # collects it if it ended, so that it is no zombie
        try:
            lines = (self.place.postgres_data / "postmaster.pid").read_text().splitlines()
            pid = int(lines[0])
        except (OSError, ValueError, IndexError):
            return None
        data = self.place.postgres_data
        return pid if pids.is_server_of(pid=pid, program="postgres", directory=data) else None

    def start(self, *, progress: Callable[[str], None]) -> None:
        """Find the running server or start one, and wait until it answers."""
        pid = self.pid()
        if pid is not None:
            if self._answers(pid=pid, seconds=_READY_SECONDS):
                return
            progress("PostgreSQL runs but does not answer; starting it again")
            self.stop()
        if not self.place.postgres_data.exists():
            progress("Making the database")
            self._initdb()
        self._check_version()
        progress("Starting PostgreSQL")
        self._disown_stale_files()
        self._launch()

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, all that was committed is kept."""
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)
        if not self._gone(pid, _STOP_SECONDS):
            os.kill(pid, signal.SIGQUIT)
            if not self._gone(pid, 10):
                self.kill()

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self._gone(pid, 10)

    def _gone(self, pid: int, seconds: float) -> bool:
        if self._child is not None and self._child.pid == pid:
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                return False
            return True
        return pids.wait_until_gone(pid=pid, seconds=seconds)

    def _answers(self, *, pid: int, seconds: float) -> bool:
        """Wait until a connection succeeds, for as long as the process lives."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.pid() in (pid, None) and pids.is_alive(pid=pid):
            try:
                with self.connect():
                    return True
            except psycopg.OperationalError:
                if self._lost_its_socket(pid):
                    return False
                time.sleep(0.02)
        return False

    def _lost_its_socket(self, pid: int) -> bool:
        """True when it takes connections and its socket was removed: it will never answer."""
        if self.place.sockets is None or self.pid() != pid:
            return False
        # The last line of postmaster.pid says whether it takes connections yet.
        try:
            text = (self.place.postgres_data / "postmaster.pid").read_text()
        except OSError:
            return False
        socket = Path(self.place.sockets) / layout.POSTGRES_SOCKET
        return text.rstrip().endswith("ready") and not socket.exists()

    def _initdb(self) -> None:
        """Make the cluster in a folder beside, and move it in whole."""
        home = Path(self.place.root)
        programs = binaries.postgres_programs()
        who = identity.for_new_cluster(home=home, program=programs / "postgres")
        programs = identity.reachable_programs(identity=who, programs=programs, home=home)
        draft = home / "postgres-draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        who.own(draft)
        command = [str(programs / "initdb"), "-D", str(draft), "-U", "postgres", "-A", "trust"]
        command += ["-E", "UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += ["--locale=C", "--no-instructions"]
        made = subprocess.run(
            who.wrap(command),
            capture_output=True,
            text=True,
            check=False,
            cwd=home,
            env=_environment(),
        )
        if made.returncode != 0:
            raise StackError(f"The database could not be made: {made.stderr.strip()[-800:]}")
        draft.rename(self.place.postgres_data)

    def _check_version(self) -> None:
        data = self.place.postgres_data
        found = (data / "PG_VERSION").read_text().strip()
        if found != MAJOR:
            raise StackError(
                f"The data in {data} was written by PostgreSQL {found}, and this is {MAJOR}. "
                f"Take a backup with the release of Kith that made it, then run ./kith reset."
            )

    def _disown_stale_files(self) -> None:
        """Let the server start although a recycled process id is in its pid file.

        PostgreSQL takes any living process with that id for itself. The file is not deleted, for
        its last lines let the new server see whether children of a killed one still write to the
        data; with its parent's id on the first line it knows that line to be stale.
        """
        pid_file = self.place.postgres_data / "postmaster.pid"
        if pid_file.exists():
            lines = pid_file.read_text().splitlines()
            pid_file.write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
        if self.place.sockets:
            for left in Path(self.place.sockets).glob(f"{layout.POSTGRES_SOCKET}*"):
                left.unlink(missing_ok=True)

    def _launch(self) -> None:
        who = identity.owner_of(path=self.place.postgres_data)
        programs = identity.reachable_programs(
            identity=who, programs=binaries.postgres_programs(), home=Path(self.place.root)
        )
        self._write_settings(who)
        command = [str(programs / "postgres"), "-D", str(self.place.postgres_data)]
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            with logs.opened(path=self.log) as log:
                begin = log.tell()
                self._child = subprocess.Popen(
                    who.wrap(command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd=self.place.postgres_data,
                    env=_environment(),
                )
            if self._answers(pid=self._child.pid, seconds=deadline - time.monotonic()):
                return
            said = logs.tail(path=self.log, begin=begin)
            # Children of a killed server take a moment to notice and leave.
            if "shared memory block" not in said or time.monotonic() > deadline:
                raise StackError(f"PostgreSQL did not start. It said:\n{said}\nLog: {self.log}")
            time.sleep(0.1)

    def _write_settings(self, who: identity.Identity) -> None:
        data = self.place.postgres_data
        sockets = (self.place.sockets or "").replace("'", "''")
        on_socket = self.place.sockets is not None
        text = _SETTINGS.format(
            listen="" if on_socket else "127.0.0.1",
            port=self.place.postgres_port,
            sockets=sockets,
        )
        # The socket's folder is 0700: who can reach the socket is ourselves or root.
        way = "local all" if on_socket else "host all"
        address = "" if on_socket else "127.0.0.1/32"
        rules = f"{way} all {address} trust\n{way.split()[0]} replication all {address} trust\n"
        for name, content in (("postgresql.conf", text), ("pg_hba.conf", rules)):
            (data / name).write_text(content)
            who.own(data / name)
        if self.place.sockets:
            who.own(Path(self.place.sockets))


def _environment() -> dict[str, str]:
    """The environment without PG* variables, which would change what the server does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}
