"""The supervisor of child processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import Processes, StackError, pids, running_supervisor, stop_running
from deploy.local.processes import pause_seconds
from tests.local.conftest import eventually

FOREVER = ["sh", "-c", "trap 'echo $0 >> ended; exit 0' TERM; while :; do sleep 0.02; done"]

SUPERVISOR = """
import sys
from pathlib import Path
from deploy.local import Processes
with Processes(home=Path(sys.argv[1])) as children:
    print(children.start("one", ["sh", "-c", "sleep 300 & sleep 300"]), flush=True)
    sys.exit(children.run())
"""


@pytest.fixture
def supervisor(tmp_path: Path, child_environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path)],
        stdout=subprocess.PIPE,
        env=child_environment,
    )


def child_of(supervisor: "subprocess.Popen[bytes]") -> int:
    assert supervisor.stdout is not None
    return int(supervisor.stdout.readline())


def test_children_end_in_the_reverse_order_of_their_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Processes(home=tmp_path) as children:
        for name in ("worker", "relay", "api"):
            children.start(name, [*FOREVER, name])
            # Its shell has set the trap once it started its first sleep.
            assert eventually(lambda name=name: _has_child(children.pid(name)))
    assert (tmp_path / "ended").read_text().split() == ["api", "relay", "worker"]


def test_a_crashed_child_is_started_again_and_its_log_kept(tmp_path: Path) -> None:
    said: list[str] = []
    with Processes(home=tmp_path, report=said.append) as children:
        first = children.start("worker", ["sh", "-c", "echo $GREETING; sleep 60"], env=_hello())
        assert eventually(lambda: children.tail("worker") == "hello")
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: children.pid("worker") not in (first, None))
        assert eventually(lambda: children.tail("worker") == "hello\nhello")
        assert not pids.is_alive(pid=first)
    assert said == ["worker ended with SIGKILL; starting it again in 0.5 s"]


def test_a_child_that_must_not_be_started_again_is_named_as_failed(tmp_path: Path) -> None:
    with Processes(home=tmp_path) as children:
        children.start("well", ["true"], restart=False)
        children.start("badly", ["false"], restart=False)
        assert eventually(children.failed)
        assert children.failed() == ["badly"]
        assert children.run() == 1


def test_the_pause_before_a_restart_doubles_up_to_half_a_minute() -> None:
    assert [pause_seconds(failures=n) for n in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, 30.0]


def test_a_child_that_ignores_the_request_to_end_is_killed_at_the_deadline(tmp_path: Path) -> None:
    with Processes(home=tmp_path) as children:
        deaf = children.start("deaf", ["sh", "-c", "trap '' TERM; echo set; sleep 60; sleep 60"])
        assert eventually(lambda: children.tail("deaf") == "set")
        children.stop(seconds=0.2)
    assert not pids.is_alive(pid=deaf)


def test_children_end_when_their_supervisor_is_killed(
    supervisor: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    child = child_of(supervisor)
    supervisor.kill()
    supervisor.wait()
    assert eventually(lambda: not pids.is_alive(pid=child))
    with Processes(home=tmp_path):
        assert running_supervisor(home=tmp_path) == os.getpid()


def test_one_set_of_children_runs_once_and_can_be_stopped_from_elsewhere(
    supervisor: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    child = child_of(supervisor)
    with pytest.raises(StackError, match="already runs here"):
        Processes(home=tmp_path).__enter__()
    assert running_supervisor(home=tmp_path) == supervisor.pid
    os.kill(supervisor.pid, 0)
    # The supervisor is our own child here, so somebody has to collect it while we wait.
    with subprocess.Popen(
        [sys.executable, "-c", _STOP, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    ) as stopper:
        assert supervisor.wait(20) == 0
        assert stopper.communicate()[0] == b"True\n"
    assert not pids.is_alive(pid=child)
    assert not stop_running(home=tmp_path)


_STOP = "import sys; from pathlib import Path; from deploy.local import stop_running\n"
_STOP += "print(stop_running(home=Path(sys.argv[1])))"


def _hello() -> dict[str, str]:
    return {"GREETING": "hello"}


def _has_child(pid: int | None) -> bool:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True)
    return found.stdout.strip() != b""
