"""What ``./kith import PATH`` does: one CSV file, or every one in a folder."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from api.core import clock
from api.core.config import Settings
from api.core.db import Database
from api.core.errors import Refusal
from api.directories.rules.records import MOST_BYTES
from api.directories.schemas import FileReport
from api.directories.service import import_file

PROBLEMS_SHOWN = 20

# The file's name, how many of its rows are stored, and of how many (None: it is being read).
Watch = Callable[[str, int, int | None], None]


class RefusedFile(msgspec.Struct, frozen=True):
    """A file of which nothing came in, and why."""

    file: str
    detail: str


class ImportSummary(msgspec.Struct, kw_only=True, frozen=True):
    """What came of all files. A refused one does not stop the others."""

    files: list[FileReport]
    refused: list[RefusedFile]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 when every file was read, bad rows or not; 2 when one was refused or none found."""
        return 2 if self.refused or not self.files else 0

    def as_dict(self) -> dict[str, object]:
        """Return the object that ``--json`` prints; ``import_errors`` counts the bad rows."""
        new, changed, unchanged, same = (
            sum(getattr(one, name) for one in self.files)
            for name in ("new", "changed", "unchanged", "same")
        )
        return {
            "imported": new + changed + unchanged,
            "new": new,
            "changed": changed,
            "unchanged": unchanged,
            "same": same,
            "import_errors": sum(len({error.row for error in one.errors}) for one in self.files),
            "errors": [
                {"file": one.file, "row": error.row, "field": error.field, "message": error.message}
                for one in self.files
                for error in one.errors
            ],
            "refused": msgspec.to_builtins(self.refused),
            "seconds": self.seconds,
        }


def run(path: Path, *, settings: Settings, as_json: bool = False) -> ImportSummary:
    """Import, print what came of it (one JSON object with ``as_json``), and return it.

    Progress goes to stderr: a bar on a terminal, a line for each file elsewhere.
    """
    with _watched(as_json=as_json) as watch:
        summary = asyncio.run(_with_database(path, settings=settings, watch=watch))
    if as_json:
        print(msgspec.json.encode(summary.as_dict()).decode())
    else:
        print("\n".join(_lines(summary)))
    sys.stdout.flush()
    return summary


async def import_path(
    path: Path, *, database: Database, now: datetime, watch: Watch | None = None
) -> ImportSummary:
    """Import one file, or every ``.csv`` in a folder by name. Prints nothing."""
    started = time.monotonic()
    files: list[FileReport] = []
    refused: list[RefusedFile] = []
    try:
        found = _csv_files(path)
    except OSError as error:
        found, refused = [], [RefusedFile(path.name, f"It cannot be opened: {error.strerror}.")]
    else:
        if not found:
            refused = [RefusedFile(path.name, "There is no .csv file in this folder.")]
    for file in found:
        try:
            files.append(await _import_one(file, database=database, now=now, watch=watch))
        except Refusal as refusal:
            refused.append(RefusedFile(file.name, refusal.detail))
        except OSError as error:
            refused.append(RefusedFile(file.name, f"It cannot be opened: {error.strerror}."))
    seconds = round(time.monotonic() - started, 2)
    return ImportSummary(files=files, refused=refused, seconds=seconds)


async def _with_database(path: Path, *, settings: Settings, watch: Watch | None) -> ImportSummary:
    database = Database(
        settings.database_url,
        application_name="kith-import",
        pool_size=1,
        statement_timeout_ms=settings.statement_timeout_ms,
        lock_timeout_ms=settings.lock_timeout_ms,
        idle_in_transaction_ms=settings.idle_in_transaction_ms,
    )
    try:
        return await import_path(path, database=database, now=clock.now(), watch=watch)
    finally:
        await database.close()


async def _import_one(
    file: Path, *, database: Database, now: datetime, watch: Watch | None
) -> FileReport:
    if watch is not None:
        watch(file.name, 0, None)
    with file.open("rb") as opened:
        # One byte more than may be: enough to be refused by, however large the file is.
        data = opened.read(MOST_BYTES + 1)

    def rows(done: int, total: int) -> None:
        if watch is not None:
            watch(file.name, done, total)

    return await import_file(database, now=now, name=file.name, data=data, progress=rows)


def _csv_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = (file for file in path.iterdir() if file.suffix.lower() == ".csv" and file.is_file())
    return sorted(files)


@contextmanager
def _watched(*, as_json: bool) -> Iterator[Watch | None]:
    if as_json:
        yield None
        return
    if not sys.stderr.isatty():
        yield _line_for_each
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        tasks: dict[str, TaskID] = {}

        def show(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bar.add_task(file, total=None)
            bar.update(tasks[file], completed=done, total=total)

        yield show


def _line_for_each(file: str, done: int, total: int | None) -> None:
    del done
    if total is None:
        print(f"reading {file}", file=sys.stderr, flush=True)


def _lines(summary: ImportSummary) -> Iterator[str]:
    """Yield the table, the refused files and the first bad rows, for people."""
    heads = ("new", "changed", "unchanged", "same", "errors")
    rows = [
        (one.file, one.new, one.changed, one.unchanged, one.same, len({e.row for e in one.errors}))
        for one in summary.files
    ]
    widest = max([len(row[0]) for row in rows] + [len("file")])
    if rows:
        yield "file".ljust(widest) + "".join(head.rjust(11) for head in heads)
    for file, *numbers in rows:
        yield file.ljust(widest) + "".join(f"{number:11,}" for number in numbers)
    for one in summary.refused:
        yield f"refused: {one.file}: {one.detail}"
    problems = [(one.file, error) for one in summary.files for error in one.errors]
    for file, error in problems[:PROBLEMS_SHOWN]:
        yield f"not taken in: {file} row {error.row}, {error.field}: {error.message}"
    if len(problems) > PROBLEMS_SHOWN:
        yield f"… and {len(problems) - PROBLEMS_SHOWN:,} more; --json lists them all."
    count = sum(one.new + one.changed + one.unchanged for one in summary.files)
    yield f"{count:,} listings from these files are in Kith, after {summary.seconds:.1f} s."
