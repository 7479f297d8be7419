"""A small supervisor: the API, relay and workers of one machine, in the foreground."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from deploy.local import identity, logs, records

_LOOK_SECONDS = 0.1
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 10.0
_FAILURES_LIMIT = 6


@dataclass(slots=True)
class _Child:
    name: str
    argv: list[str]
    env: dict[str, str]
    log: Path
    restart: bool
    began: float = 0.0
    failures: int = 0
    due: float | None = None  # when it is to be started again
    given_up: bool = False
    process: subprocess.Popen[bytes] | None = None


class Processes:
    """Starts named children, restarts what crashes, stops all in reverse order of their start.

    home: logs go to home/logs/<name>.log, a record of process ids to home/run. name: which set
    of children this is; a set runs once per home (StackError on entering if it already does).
    report: gets one sentence per event. Children end with us however we end: on Linux the kernel
    sees to it, elsewhere the next run ends what the last one left. A context manager for the main
    thread; a watcher thread collects and restarts, so that no zombie stays.
    """

    def __init__(
        self, *, home: Path, name: str = "up", report: Callable[[str], None] | None = None
    ) -> None:
        self.home = Path(os.path.abspath(home))
        self._report = report or (lambda _: None)
        self._record = records.path(home=self.home, name=name)
        self._children: dict[str, _Child] = {}
        self._lock = threading.RLock()
        self._over, self._ended, self._asked = (threading.Event() for _ in range(3))
        self._watcher: threading.Thread | None = None
        self._handle: int | None = None

    def __enter__(self) -> "Processes":
        self._record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._handle = records.claim(record=self._record)
        records.end_leftovers(record=self._record)
        self._write_record()
        self._watcher = threading.Thread(target=self._watch, name="kith-watcher", daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        restart: bool = True,
    ) -> int:
        """Start one child and return its process id; env is added to our own environment.

        restart: start it again, after a growing pause, whenever it ends.
        """
        log = self.home / "logs" / f"{name}.log"
        child = _Child(name, list(argv), {**os.environ, **(env or {})}, log, restart)
        with self._lock:
            if name in self._children:
                raise ValueError(f"there is already a process named {name}")
            self._children[name] = child
            return self._spawn(child)

    def pid(self, name: str) -> int | None:
        """The child's process id; None while it does not run."""
        with self._lock:
            process = self._children[name].process
            return process.pid if process is not None and process.poll() is None else None

    def tail(self, name: str, *, lines: int = 12) -> str:
        """The last lines of the child's log."""
        return logs.tail(path=self.home / "logs" / f"{name}.log", lines=lines)

    def failed(self) -> list[str]:
        """Names of the children that failed and will not be started again."""
        with self._lock:
            return [child.name for child in self._children.values() if child.given_up]

    def run(self) -> int:
        """Stay until Ctrl-C or SIGTERM (answer 0), or until a child is given up (1); then stop.

        A second Ctrl-C while stopping kills the children at once.
        """
        with self.signals():
            while not self._asked.wait(_LOOK_SECONDS) and not self.failed():
                pass
            code = 1 if self.failed() else 0
            self._report("Stopping")
            self.stop()
        return code

    @contextlib.contextmanager
    def signals(self) -> Iterator[threading.Event]:
        """While inside, Ctrl-C, SIGTERM and a closed terminal set the event that is yielded."""
        names = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup it stays ignored
            names.append(signal.SIGHUP)
        before = {name: signal.signal(name, self._on_signal) for name in names}
        try:
            yield self._asked
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def stop(self, *, seconds: float = 45.0) -> None:
        """End all children, the last started first, within `seconds`; then kill what is left."""
        deadline = time.monotonic() + seconds
        self._over.set()
        with self._lock:
            for child in reversed(list(self._children.values())):
                self._end(child, deadline)
        # The watcher stays until now: a child's kernel-kept parent is the thread that started it.
        self._ended.set()
        if self._watcher is not None:
            self._watcher.join()
            self._watcher = None
        if self._handle is not None:
            self._record.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = None

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked.is_set():
            # No lock is taken here: a signal may come in the middle of anything.
            for child in list(self._children.values()):
                if child.process is not None and child.process.returncode is None:
                    records.signal_group(pid=child.process.pid, number=signal.SIGKILL)
        self._asked.set()

    def _spawn(self, child: _Child) -> int:
        command = child.argv
        if sys.platform.startswith("linux"):
            command = identity.become(options=["--parent", str(os.getpid())], argv=command)
        with logs.opened(path=child.log) as log:
            # A session of its own: Ctrl-C reaches us alone, and we stop them in order.
            child.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=child.env,
                start_new_session=True,
            )
        child.began, child.due = time.monotonic(), None
        self._write_record()
        return child.process.pid

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            with self._lock:
                for child in self._children.values():
                    if self._over.is_set():
                        break
                    try:
                        self._look_after(child)
                    except OSError as error:  # no memory, no disk: try again at the next look
                        self._report(f"{child.name} could not be started: {error.strerror}")
                        child.due = time.monotonic() + _LONGEST_PAUSE_SECONDS
        self._ended.wait()

    def _look_after(self, child: _Child) -> None:
        now = time.monotonic()
        if child.due is not None and now >= child.due:
            self._spawn(child)
        process = child.process
        if process is None or process.poll() is None:
            return
        records.signal_group(pid=process.pid, number=signal.SIGKILL)  # what it left behind
        child.process = None
        outcome = _outcome(process.returncode)
        child.failures = 1 if now - child.began > _STEADY_SECONDS else child.failures + 1
        if child.restart and child.failures < _FAILURES_LIMIT:
            pause = pause_seconds(failures=child.failures)
            child.due = now + pause
            self._report(f"{child.name} ended with {outcome}; starting it again in {pause:g} s")
        elif child.restart or process.returncode != 0:
            child.given_up = True
            self._report(f"{child.name} ended with {outcome} and is given up; log: {child.log}")

    def _end(self, child: _Child, deadline: float) -> None:
        process = child.process
        child.due = None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._report(f"{child.name} did not end in time and was killed")
        records.signal_group(pid=process.pid, number=signal.SIGKILL)
        process.wait()
        child.process = None

    def _write_record(self) -> None:
        running = [c.process.pid for c in self._children.values() if c.process is not None]
        records.write(record=self._record, children=running)


def pause_seconds(*, failures: int) -> float:
    """How long to wait before the next start after so many failures in a row: doubling, capped."""
    pause: float = _FIRST_PAUSE_SECONDS * 2 ** (failures - 1)
    return min(pause, _LONGEST_PAUSE_SECONDS)


def _outcome(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
