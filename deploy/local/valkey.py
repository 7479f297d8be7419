"""One real Valkey in a home: started, found again, mended, stopped.

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

import redis

from deploy.local import binaries, identity, layout, logs, pids
from deploy.local.errors import StackError

_READY_SECONDS = 60.0
_STOP_SECONDS = 30.0


class Valkey:
    """The Valkey of one layout."""

    def __init__(self, *, place: layout.Layout) -> None:
        self.place = place
        self.log = place.logs / "valkey.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._socket = f"{place.sockets}/{layout.VALKEY_SOCKET}" if place.sockets else None

    def broker_url(self, *, virtual_host: int = 0) -> str:
        """The address as Celery writes it."""
        if self._socket is None:
            return f"redis://127.0.0.1:{self.place.valkey_port}/{virtual_host}"
        return f"redis+socket://{quote(self._socket)}?virtual_host={virtual_host}"

    def redis_url(self) -> str:
        """The address as redis-py writes it."""
        if self._socket is None:
            return f"redis://127.0.0.1:{self.place.valkey_port}/0"
        return f"unix://{quote(self._socket)}?db=0"

    def pid(self) -> int | None:
        """The running server's process id; None when what is written down is stale."""
        if self._child is not None:
            self._child.poll()  # collects it if it ended, so that it is no zombie
        try:
            pid = int((self.place.run / "valkey.pid").read_text())
        except (OSError, ValueError):
            return None
        data = self.place.valkey_data
        return pid if pids.is_server_of(pid=pid, program="valkey-server", directory=data) else None

    def version(self) -> str | None:
        """What the running server calls its version; None when it does not answer."""
        answer = self._ask()
        return str(answer.get("valkey_version", answer.get("redis_version"))) if answer else None

    def start(self, *, progress: Callable[[str], None]) -> None:
        """Find the running server or start one, and wait until it answers."""
        pid = self.pid()
        if pid is not None:
            if self._answers(pid=pid):
                return
            progress("Valkey runs but does not answer; starting it again")
            self.stop()
        progress("Starting Valkey")
        said = self._launch()
        if said is not None and "append only file" in said.lower():
            # A queue that cannot be read is no loss: the outbox sends again what is not done.
            progress("The queue's file was damaged; setting it aside and starting an empty one")
            self._set_aside()
            said = self._launch()
        if said is not None:
            raise StackError(f"Valkey did not start. It said:\n{said}\nLog: {self.log}")

    def stop(self) -> None:
        """Ask it to write down what it has and end."""
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        if not self._gone(pid, _STOP_SECONDS):
            self.kill()

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            self._gone(pid, 10)

    def lose_data(self) -> None:
        """Delete the queue of a stopped server."""
        shutil.rmtree(self.place.valkey_data, ignore_errors=True)

    def _launch(self) -> str | None:
        """Start it; None when it answers, else what it said."""
        data = self.place.valkey_data
        who = identity.owner_of(path=Path(self.place.home))
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        who.own(data)
        command = [str(binaries.valkey_program()), *self._settings()]
        with logs.opened(path=self.log) as log:
            begin = log.tell()
            self._child = subprocess.Popen(
                # Only PostgreSQL minds root.
                who.wrap(command) if who.kind == "setuid" else command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=data,
            )
        if self._answers(pid=self._child.pid):
            return None
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        return logs.tail(path=self.log, begin=begin)

    def _settings(self) -> list[str]:
        pairs = {
            "dir": str(self.place.valkey_data),
            "pidfile": str(self.place.run / "valkey.pid"),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",  # the append-only file is the one copy on disk
            "maxmemory-policy": "noeviction",
            "set-proc-title": "no",  # keeps the command line by which it is recognised
            "port": str(self.place.valkey_port),
        }
        if self._socket is not None:
            pairs |= {"port": "0", "unixsocket": self._socket, "unixsocketperm": "700"}
        else:
            pairs |= {"bind": "127.0.0.1"}
        return [word for name, value in pairs.items() for word in (f"--{name}", value)]

    def _answers(self, *, pid: int) -> bool:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self._child is not None and self._child.pid == pid:
                self._child.poll()
            if not pids.is_alive(pid=pid):
                return False
            answer = self._ask()
            if answer and not int(answer.get("loading", 0)):
                # Another server on our socket would be another home's: its id gives it away.
                return int(answer["process_id"]) == pid
            if self._socket and self.pid() == pid and not Path(self._socket).exists():
                return False  # the socket was removed under it; it will never answer
            time.sleep(0.01)
        return False

    def _ask(self) -> dict[str, str | int] | None:
        client = redis.Redis.from_url(self.redis_url(), socket_timeout=5, socket_connect_timeout=5)
        try:
            with client:
                found: dict[str, str | int] = client.info()
                return found
        except redis.RedisError:
            return None

    def _gone(self, pid: int, seconds: float) -> bool:
        if self._child is not None and self._child.pid == pid:
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                return False
            return True
        return pids.wait_until_gone(pid=pid, seconds=seconds)

    def _set_aside(self) -> None:
        damaged = self.place.valkey_data.with_name("valkey-damaged")
        shutil.rmtree(damaged, ignore_errors=True)
        self.place.valkey_data.rename(damaged)
