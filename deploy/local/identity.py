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
    """Whoever runs this program."""
    return Identity("self", os.geteuid(), os.getegid())


def nobody() -> Identity:
    """The account that owns nothing, for root where user namespaces are forbidden."""
    entry = pwd.getpwnam("nobody")
    return Identity("setuid", entry.pw_uid, entry.pw_gid)


def owner_of(*, data: Path) -> Identity:
    """As whom the cluster that already lies in `data` has to run.

    Raises StackError when an ordinary account meets another account's data.
    """
    found = data.stat()
    if os.geteuid() != 0:
        if found.st_uid == os.geteuid():
            return myself()
        raise StackError(
            f"The database in {data} belongs to another account (uid {found.st_uid}). "
            "Start Kith as that account, or set KITH_HOME to a directory of your own."
        )
    if found.st_uid == 0:
        return Identity("namespace", 0, 0)
    return Identity("setuid", found.st_uid, found.st_gid)


def for_new_cluster(*, home: Path, program: Path) -> Identity:
    """As whom a cluster that does not exist yet should run: ourselves unless we are root."""
    if os.geteuid() != 0:
        return myself()
    inside = Identity("namespace", 0, os.getegid())
    return inside if inside.can_use(directory=home, program=program) else nobody()


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
