"""Where a home keeps its things, and where its sockets fit.

home/                0700; everything below is ours
  layout.json        what had to be decided once (short socket folder, ports, data elsewhere)
  lock  in_use       held by whoever starts or stops; shared by whoever uses the servers
  postgres/ valkey/  the data
  run/               unix sockets and process records
  logs/              one log per server and child process
"""

import contextlib
import fcntl
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.local import identity

POSTGRES_SOCKET = ".s.PGSQL.5432"
VALKEY_SOCKET = "valkey.sock"
# sockaddr_un holds 108 bytes with the closing zero on Linux, 104 on macOS; PostgreSQL writes a
# lock file beside its socket, which has no such limit.
_SOCKET_PATH_BYTES = 103


@dataclass(frozen=True, slots=True)
class Layout:
    """sockets: folder, or None where the machine has no unix sockets and the ports count.

    root: where postgres/ lies; the home itself unless PostgreSQL's account cannot reach that.
    """

    home: str
    root: str
    sockets: str | None
    postgres_port: int = 5432
    valkey_port: int = 0

    @property
    def postgres_data(self) -> Path:
        return Path(self.root) / "postgres"

    @property
    def valkey_data(self) -> Path:
        return Path(self.home) / "valkey"

    @property
    def logs(self) -> Path:
        return Path(self.home) / "logs"

    @property
    def run(self) -> Path:
        return Path(self.home) / "run"


def fits_a_socket(*, directory: Path) -> bool:
    """True when the path of a socket in `directory` is short enough and can really be bound."""
    probe = directory / f"{POSTGRES_SOCKET[:-4]}{os.getpid() % 10_000:04d}"
    if len(os.fsencode(probe)) > _SOCKET_PATH_BYTES:
        return False
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(probe))
    except (OSError, AttributeError):
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True


def read(*, home: Path) -> Layout | None:
    """The layout decided before, or None when there is none or it belongs to another place."""
    try:
        stored = Layout(**json.loads((home / "layout.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    # A copied or moved home must not use the sockets of the one it came from.
    if stored.home != str(home):
        return None
    sockets = Path(stored.sockets) if stored.sockets else None
    return stored if sockets is None or _is_ours(sockets) else None


def decide(*, home: Path, root: Path | None = None) -> Layout:
    """Read the home's layout, or make one and write it down; makes the folders it names."""
    stored = read(home=home)
    if stored and root in (None, Path(stored.root)):
        return stored
    root = root or home
    for folder in (home, home / "run", home / "logs", root, root / "run"):
        if not folder.exists():
            folder.mkdir(parents=True, mode=0o700)
            if folder.parent in (home, root):
                identity.hand_over(path=folder)
    sockets = _choose_sockets(root / "run")
    if sockets:
        identity.owner_of(path=home).own(sockets)
    ports = {} if sockets else {"postgres_port": _free_port(), "valkey_port": _free_port()}
    made = Layout(str(home), str(root), str(sockets) if sockets else None, **ports)
    write(layout=made)
    return made


def write(*, layout: Layout) -> None:
    """Write the layout down in one step, so that no reader sees half of it."""
    target = Path(layout.home) / "layout.json"
    draft = target.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(asdict(layout), indent=1))
    identity.hand_over(path=draft)
    draft.replace(target)


def remove(*, layout: Layout) -> None:
    """Delete every trace of the servers: data, logs, sockets, and the layout itself last."""
    elsewhere = [Path(p) for p in (layout.sockets, layout.root) if p and p != layout.home]
    for folder in (layout.postgres_data, layout.valkey_data, layout.run, layout.logs, *elsewhere):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in Path(layout.home).glob("postgres-*"):
        shutil.rmtree(folder, ignore_errors=True)
    (Path(layout.home) / "layout.json").unlink(missing_ok=True)


@contextlib.contextmanager
def locked(*, home: Path) -> Iterator[None]:
    """Hold the home alone while servers start or stop; waits for whoever holds it."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity.owner_of(path=home)  # says so when it is another account's
    handle = lock_file(path=home / "lock")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def lock_file(*, path: Path) -> int:
    """Open a file that only serves to be locked."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    identity.hand_over(path=path)
    return handle


def short_folder(*, base: str = "/tmp") -> Path:  # noqa: S108 (mkdtemp makes it 0700)
    """A fresh folder with a short path that only we can open."""
    return Path(tempfile.mkdtemp(prefix="kith-", dir=base if os.path.isdir(base) else None))


def _choose_sockets(preferred: Path) -> Path | None:
    if fits_a_socket(directory=preferred):
        return preferred
    short = short_folder()
    if fits_a_socket(directory=short):
        return short
    short.rmdir()
    return None


def _is_ours(folder: Path) -> bool:
    """A folder under /tmp could have been swept away and made again by somebody else."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    private = found.st_mode & 0o077 == 0
    return private and (found.st_uid == os.geteuid() or os.geteuid() == 0)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
