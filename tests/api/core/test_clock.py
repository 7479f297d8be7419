"""The clock that a demo may move: what a process that follows a file makes of it."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.core import clock
from api.core.config import BadSetting, Settings
from api.core.ids import new_id
from tests.fixtures.servers import ROOT

URLS = {"KITH_DATABASE_URL": "postgresql:///nowhere", "KITH_BROKER_URL": "redis://127.0.0.1:1/0"}
# Reads its clock, and makes an id, whenever it is asked.
CHILD = """
import sys
from pathlib import Path
from api.core import clock
from api.core.ids import new_id
if len(sys.argv) > 1:
    clock.follow(Path(sys.argv[1]))
for _ in sys.stdin:
    print(clock.now().isoformat(), new_id(), flush=True)
"""


class Child:
    """A process that tells how far ahead its clock and its ids are."""

    def __init__(self, *paths: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *map(str, paths)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ahead(self) -> int:
        """Return its whole seconds ahead, which its ids must share."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        told, made = self.process.stdout.readline().split()
        now = datetime.now(UTC)
        at = datetime.fromtimestamp((int(made.replace("-", ""), 16) >> 80) / 1000, UTC)
        seconds = [round((one - now).total_seconds()) for one in (datetime.fromisoformat(told), at)]
        assert seconds[0] == seconds[1]
        return seconds[0]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clock"


@pytest.fixture
def child(file: Path) -> Iterator[Child]:
    made = Child(file)
    yield made
    made.process.communicate()


def test_a_process_follows_the_file_forward_and_never_back(child: Child, file: Path) -> None:
    assert child.ahead() == 0
    for text, ahead in (
        ("1209600\n", 1_209_600),  # two weeks
        ("60", 1_209_600),
        ("-5", 1_209_600),
        ("next week", 1_209_600),
        ("", 1_209_600),
        ("9" * 400, 1_209_600),
        (" 1209660 ", 1_209_660),
    ):
        file.write_text(text)
        assert child.ahead() == ahead, text
    file.unlink()
    assert child.ahead() == 1_209_660


def test_what_cannot_be_read_says_nothing(child: Child, file: Path) -> None:
    file.mkdir()
    assert child.ahead() == 0
    file.rmdir()
    file.write_bytes(b"\xff\xfe6\x000\x00")
    assert child.ahead() == 0


def test_a_process_that_was_not_told_to_follow_reads_no_file(file: Path) -> None:
    file.write_text("1209600")
    child = Child()
    assert child.ahead() == 0
    child.process.communicate()


def test_this_process_follows_nothing() -> None:
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert new_id() < new_id()


def test_only_a_demo_may_have_a_clock_that_moves() -> None:
    with pytest.raises(BadSetting, match="KITH_CLOCK_FILE is set"):
        Settings.from_environment({**URLS, "KITH_CLOCK_FILE": "/tmp/clock"})
    with pytest.raises(BadSetting, match="only a demo"):
        Settings.from_environment({**URLS, "KITH_CLOCK_FILE": "clock", "KITH_MODE": "live"})
    demo = {**URLS, "KITH_MODE": "demo"}
    assert Settings.from_environment(demo).clock_file is None
    assert Settings.from_environment(demo | {"KITH_CLOCK_FILE": ""}).clock_file is None
    assert Settings.from_environment(demo | {"KITH_CLOCK_FILE": "c"}).clock_file == Path("c")
