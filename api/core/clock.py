"""The one place that reads a clock. Everything below the edge is told the time.

A demo shows what comes weeks later: its processes follow a file that says how far ahead they are.
"""

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

LONGEST_AHEAD = timedelta(days=3660)

_lock = threading.Lock()
_file: Path | None = None
_ahead = timedelta(0)


def now() -> datetime:
    """Return the present moment, aware, in UTC; as far ahead as the file says, if one is followed.

    Time never goes back: the most that this process has ever read there counts.
    """
    if _file is None:
        return datetime.now(UTC)
    return datetime.now(UTC) + _read_ahead(_file)


def follow(path: Path | None) -> None:
    """Be ahead, from here on, by the whole seconds that stand in a file. For a demo alone.

    The file is read each time; one that is absent or cannot be read says nothing. None: follow no
    file, and be ahead by nothing.
    """
    global _file, _ahead
    with _lock:
        _file, _ahead = path, timedelta(0)


def _read_ahead(path: Path) -> timedelta:
    global _ahead
    found = timedelta(0)
    with suppress(OSError, ValueError, OverflowError), path.open("rb") as file:
        found = timedelta(seconds=int(file.read(20)))
    with _lock:
        if _ahead < found <= LONGEST_AHEAD:
            _ahead = found
        return _ahead
