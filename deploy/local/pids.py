"""Which process is it really? Process ids are recycled, so a number in a file proves nothing."""

import os
import subprocess
import time
from pathlib import Path

_PROC = Path("/proc/self/stat").exists()


def is_alive(*, pid: int) -> bool:
    """True while `pid` runs; a zombie that nobody has collected counts as dead."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not (_PROC and _stat_fields(pid)[:1] in ([], ["Z"], ["X"]))


def birth(*, pid: int) -> str | None:
    """A mark of when `pid` began, equal only for the very same process; None when it is gone."""
    if _PROC:
        fields = _stat_fields(pid)
        # Field 22 of /proc/<pid>/stat; the first two were cut off before.
        return fields[19] if len(fields) > 19 else None
    return _ps(pid, "lstart") or None


def is_server_of(*, pid: int, program: str, directory: Path) -> bool:
    """True when `pid` is `program` at work in `directory`.

    The working directory is asked first: it stays true when the checkout is moved under a running
    server, and differs when the checkout was copied.
    """
    if not is_alive(pid=pid):
        return False
    words = _command(pid)
    if not words or Path(words[0].rstrip(":")).name != program:
        return False
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", directory)
    except OSError:
        return str(directory) in words or any(w.endswith(f" {directory}") for w in words)


def wait_until_gone(*, pid: int, seconds: float) -> bool:
    """Wait at most `seconds` for `pid` to end; True when it has."""
    deadline = time.monotonic() + seconds
    while is_alive(pid=pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the name, which may itself hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _command(pid: int) -> list[str]:
    if _PROC:
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return []
        return [os.fsdecode(word) for word in raw.split(b"\0") if word]
    line = _ps(pid, "command")
    program, _, rest = line.partition(" -")
    return [program, f"-{rest}"] if line else []


def _ps(pid: int, column: str) -> str:
    answer = subprocess.run(
        ["ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()
