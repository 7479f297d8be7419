"""As whom PostgreSQL runs. It refuses root, and we neither make users nor open directories."""

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError

_BECOME = Path(__file__).with_name("_become.py")


@dataclass(frozen=True, slots=True)
class Identity:
    """kind: `self`, `namespace` (root, mapped to nobody inside) or `setuid` (root gives way)."""

    kind: str
    uid: int
    gid: int

    def wrap(self, argv: list[str]) -> list[str]:
        """The command line that runs `argv` as this identity."""
        if self.kind == "self":
            return argv
        if self.kind == "namespace":
            return become(options=["--namespace"], argv=argv)
        return become(options=["--setuid", f"{self.uid}:{self.gid}"], argv=argv)

    def own(self, path: Path) -> None:
        """Hand a file or directory that we made to this identity."""
        if self.kind == "setuid":
            os.chown(path, self.uid, self.gid)

    def can_use(self, *, directory: Path, program: Path) -> bool:
        """True when this identity reaches `directory` and can run `program` from there."""
        inner = become(options=["--chdir", str(directory)], argv=[str(program), "--version"])
        if self.kind == "namespace":
            inner.insert(inner.index("--chdir"), "--namespace")
        elif self.kind == "setuid":
            place = inner.index("--chdir")
            inner[place:place] = ["--setuid", f"{self.uid}:{self.gid}"]
        return subprocess.run(inner, capture_output=True, check=False).returncode == 0


def become(*, options: list[str], argv: list[str]) -> list[str]:
    """The command line that runs `argv` through the small script that changes what it runs as."""
    return [sys.executable, "-I", "-S", str(_BECOME), *options, "--", *argv]


def myself() -> Identity:
    """Whoever runs this program, unless PostgreSQL would refuse that.

    It refuses root, and an account without a name, which containers like to use. Both it takes
    for `nobody` inside a namespace.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return Identity("namespace", uid, gid)
    return Identity("namespace" if uid == 0 else "self", uid, gid)


def nobody() -> Identity:
    """The account that owns nothing, for root where user namespaces are forbidden."""
    entry = pwd.getpwnam("nobody")
    return Identity("setuid", entry.pw_uid, entry.pw_gid)


def owner_of(*, path: Path) -> Identity:
    """As whom a server has to run whose data is `path`.

    Raises StackError when an ordinary account meets another account's data.
    """
    found = path.stat()
    if found.st_uid == os.geteuid():
        return myself()
    if os.geteuid() == 0:
        return Identity("setuid", found.st_uid, found.st_gid)
    raise StackError(
        f"What lies in {path} belongs to another account (uid {found.st_uid}). "
        "Start Kith as that account, or set KITH_HOME to a directory of your own."
    )


def for_new_cluster(*, home: Path, program: Path) -> Identity:
    """As whom a cluster that does not exist yet should run: as the home's owner if that works."""
    who = owner_of(path=home)
    if who.kind == "self" or who.can_use(directory=home, program=program):
        return who
    return nobody() if os.geteuid() == 0 else who


def hand_over(*, path: Path) -> None:
    """Give what root made in another account's folder to that account."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid)


def reachable_programs(*, identity: Identity, programs: Path, home: Path) -> Path:
    """The folder of PostgreSQL's programs, copied below `home` when `identity` cannot reach it."""
    if identity.kind != "setuid" or identity.can_use(directory=home, program=programs / "postgres"):
        return programs
    copy = home / "postgres-programs"
    if not (copy / "complete").exists():
        package = programs.parent.parent
        shutil.rmtree(copy, ignore_errors=True)
        kept = shutil.ignore_patterns("include", "__pycache__")
        # The programs find their libraries by a path relative to themselves.
        for folder in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(folder, copy / folder.name, ignore=kept, symlinks=True)
        copy.chmod(0o755)
        (copy / "complete").touch()
    return copy / programs.relative_to(programs.parents[2])
