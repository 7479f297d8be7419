"""Who supervises which children: written down, so that a later run can end what was left."""

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from deploy.local import pids
from deploy.local.errors import StackError


def running_supervisor(*, home: Path, name: str = "up") -> int | None:
    """The process id of the supervisor that runs this set of children, if one does."""
    (pid, born), _ = _read(path(home=Path(os.path.abspath(home)), name=name))
    return pid if born is not None and pids.birth(pid=pid) == born else None


def stop_running(*, home: Path, name: str = "up", seconds: float = 60.0) -> bool:
    """Ask the supervisor in another terminal to stop, and wait; False when none runs.

    Raises StackError when it has not ended in time.
    """
    pid = running_supervisor(home=home, name=name)
    if pid is None:
        end_leftovers(record=path(home=Path(os.path.abspath(home)), name=name))
        return False
    os.kill(pid, signal.SIGTERM)
    if not pids.wait_until_gone(pid=pid, seconds=seconds):
        raise StackError(f"The running Kith (process {pid}) did not stop in {seconds:g} s.")
    return True


def path(*, home: Path, name: str) -> Path:
    """Where the record of one set of children lies."""
    return home / "run" / f"{name}.json"


def write(*, record: Path, children: Iterable[int]) -> None:
    """Write down ourselves as supervisor and the ids of our children, each with its birth."""
    marks = [[pid, pids.birth(pid=pid)] for pid in (os.getpid(), *children)]
    draft = record.with_suffix(".draft")
    draft.write_text(json.dumps({"supervisor": marks[0], "children": marks[1:]}))
    draft.replace(record)


def claim(*, record: Path) -> int:
    """Take the lock that one supervisor holds while it lives; the handle, to be closed at last."""
    handle = os.open(record.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        (pid, _), _ = _read(record)
        raise StackError(
            f"Kith already runs here (process {pid}). Use that one, or stop it with ./kith down."
        ) from error
    return handle


def _read(record: Path) -> tuple[tuple[int, str | None], list[tuple[int, str]]]:
    try:
        stored = json.loads(record.read_text())
        pid, born = stored["supervisor"]
        return (pid, born), [(pid, born) for pid, born in stored["children"]]
    except (OSError, ValueError, KeyError, TypeError):
        return (0, None), []


def end_leftovers(*, record: Path) -> None:
    """End children that outlived a killed supervisor; a recycled id is left alone."""
    _, children = _read(record)
    left = [pid for pid, born in children if born and pids.birth(pid=pid) == born]
    for pid in left:
        signal_group(pid=pid, number=signal.SIGTERM)
    deadline = time.monotonic() + 10
    for pid in left:
        if not pids.wait_until_gone(pid=pid, seconds=max(0.0, deadline - time.monotonic())):
            signal_group(pid=pid, number=signal.SIGKILL)
            pids.wait_until_gone(pid=pid, seconds=5)


def signal_group(*, pid: int, number: int) -> None:
    """Signal a child and all it started; quietly nothing when they are gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
