"""Log files of servers and child processes: appended to, and kept from growing for ever."""

import os
from pathlib import Path
from typing import BinaryIO

from deploy.local import identity

_LIMIT_BYTES = 5_000_000


def opened(*, path: Path) -> BinaryIO:
    """Open a log for appending; one that has grown large is set aside as `<name>.1` first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity.hand_over(path=path.parent)
    if path.exists() and path.stat().st_size > _LIMIT_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    identity.hand_over(path=path)
    log = os.fdopen(descriptor, "wb", buffering=0)
    log.seek(0, os.SEEK_END)
    return log


def tail(*, path: Path, lines: int = 12, begin: int = 0) -> str:
    """The last lines of a log, from byte `begin` on; empty when there is no log."""
    try:
        with path.open("rb") as log:
            log.seek(max(begin, path.stat().st_size - 16_384))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
