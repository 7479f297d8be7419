"""What the map and the papers of the house are checked for: folders, files, addresses, locks."""

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from .rules import SLICE_PARTS

ROOT = Path(__file__).resolve().parents[2]
MAP = "deploy/decisions/0001-the-map.md"

# Where a folder is looked for without git, these are never part of the house.
NOT_OURS = re.compile(
    r"^(?:\.git|\.venv|\.kith|__pycache__|build|schemathesis-report|\..+_cache|.+\.egg-info"
    r"|\.hypothesis)$"
)
MAP_BLOCK = re.compile(r"^```map\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Written so that no pattern matches itself.
REGISTRIES = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|yarnpkg\.com|conda\.anaconda\.org"
    r"|(?:deb|security)\.debian\.org|archive\.ubuntu\.com|ghcr\.io|docker\.io|quay\.io)\b"
)
MACHINE_PATHS = re.compile(r"(?<![\w.}])/(?:root|home|work|farm|Users|mnt)/")
EMAILS = re.compile(r"[\w.+-]+@(?P<domain>[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,})\b")
# RFC 2606 and RFC 6761: names that reach nobody.
RESERVED = re.compile(r"(?:^|\.)(?:example\.(?:org|com|net)|example|test|invalid|localhost)$")

REQUIREMENT = re.compile(r"^[A-Za-z0-9][\w.-]*(?:\[[\w,-]+\])?==[^\s;]+(?:\s*;[^#]+?)?$")
HASH = re.compile(r"^--hash=sha256:[0-9a-f]{64}$")


def files(*, root: Path = ROOT) -> list[str]:
    """Return every file of the house, tracked or about to be, as sorted paths from the root."""
    listing = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    try:
        answer = subprocess.run(listing, cwd=root, capture_output=True, text=True, check=True)
        found = [name for name in answer.stdout.split("\0") if name]
    except (FileNotFoundError, subprocess.CalledProcessError):
        found = list(_walk(root))
    return sorted(name for name in set(found) if (root / name).is_file())


def _walk(folder: Path, before: str = "") -> Iterator[str]:
    for entry in folder.iterdir():
        if NOT_OURS.match(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(entry, f"{before}{entry.name}/")
        else:
            yield before + entry.name


def read_map(text: str) -> list[str]:
    """Return the paths in the map's one fenced block, folders with a closing slash."""
    blocks = MAP_BLOCK.findall(text)
    if len(blocks) != 1:
        raise ValueError(f"the map has {len(blocks)} fenced map blocks, not one")
    return [line.split()[0] for line in blocks[0].splitlines() if line.strip()]


def map_violations(*, standing: Iterable[str], mapped: list[str]) -> list[str]:
    """Compare the files that stand with the map: folders, files at the root, parts of slices."""
    standing = set(standing)
    folders = {f"{parent}/" for name in standing for parent in PurePosixPath(name).parents} - {"./"}
    roots = {name for name in standing if "/" not in name}
    extras = {name for name in standing if _is_extra(name)}
    known = set(mapped)
    found = [f"{name} is not on the map" for name in (folders | roots | extras) - known]
    found += [f"{name} is on the map and does not stand" for name in known - folders - standing]
    found += [f"{name} is on the map twice" for name in known if mapped.count(name) > 1]
    return sorted(found)


def _is_extra(name: str) -> bool:
    """True for a Python file in a slice, core or web that is not one of the usual few."""
    parts = name.split("/")
    if len(parts) != 3 or parts[0] != "api" or not name.endswith(".py"):
        return False
    return parts[2].removesuffix(".py") not in SLICE_PARTS


def slip_violations(*, path: str, text: str) -> list[str]:
    """Find registry hosts, machine paths and real e-mail addresses in one file."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if REGISTRIES.search(line):
            found.append(f"{path}:{number} names a package registry's host")
        if MACHINE_PATHS.search(line):
            found.append(f"{path}:{number} names a path of one machine")
        if any(not RESERVED.search(match["domain"]) for match in EMAILS.finditer(line)):
            found.append(f"{path}:{number} has an e-mail address")
    return found


def lock_violations(*, path: str, text: str) -> list[str]:
    """Every requirement is one exact version with its hashes, and nothing says where from."""
    found = []
    lines = re.sub(r"\\\n", " ", text).splitlines()
    for line in (line.split(" #")[0].strip() for line in lines):
        if not line or line.startswith("#"):
            continue
        requirement, *hashes = re.split(r"\s+(?=--)", line)
        if not REQUIREMENT.match(requirement.strip()):
            found.append(f"{path}: {requirement} is not one exact version")
        elif not hashes or not all(HASH.match(part.strip()) for part in hashes):
            found.append(f"{path}: {requirement} has no sha256 hash, or something beside it")
    return found
