"""The kith command as somebody at a terminal uses it: real processes, a home of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from api.core.config import BadSetting
from deploy.cli import kith
from deploy.local import Stack
from deploy.migrate import NotReady

ROOT = Path(__file__).resolve().parents[2]
PORT = 18_400 + os.getpid() % 1000
SECONDS = 120


class House:
    """One home, and the command run in it: in this process, or as one of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env: dict[str, str | None] = {
            **{name: None for name in os.environ if name.startswith("KITH_")},
            "KITH_HOME": str(home),
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        env = {**os.environ, **{name: value or "" for name, value in self.env.items()}}
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", *words],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str) -> str:
        result = CliRunner().invoke(kith, words, env=self.env)
        assert result.exit_code == 0, f"{words}: {result.output}\n{result.exception!r}"
        return result.stdout

    def refused(self, *words: str) -> str:
        result = CliRunner().invoke(kith, words, env=self.env)
        assert isinstance(result.exception, BadSetting | NotReady), repr(result.exception)
        return str(result.exception)

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "home")
    yield made
    Stack(made.home).stop()


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx2.get(f"{address}/health/ready", timeout=2).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError("the house did not come up")


def _listing(area: str) -> dict[str, Any]:
    return {
        "area": area,
        "kind": "community",
        "name": "Bench by the canal",
        "summary": "Sit and talk.",
        "near": "M32 8",
        "price_pence": 0,
    }


def test_a_house_comes_up_is_kept_and_comes_back_from_its_backup(
    house: House, tmp_path: Path
) -> None:
    token = house.json("admin", "create", "--area", "canalside", "--called", "Lucy")["token"]
    headers = {"Authorization": f"Bearer {token}"}
    up = house.start("up", "--port", str(PORT), "--workers", "1")
    line = (up.stdout.readline() if up.stdout else "").strip()
    assert line.startswith("Kith is up: http://127.0.0.1:"), line
    address = line.split()[3]
    _wait_for(address)
    made = httpx2.post(f"{address}/v1/listings", json=_listing("canalside"), headers=headers)
    assert made.status_code == 201, made.text

    status = house.json("status")
    assert status["postgres"]["running"]
    assert status["supervisors"]["up"] == up.pid
    assert status["migrations"]["pending"] is False
    assert status["workers_share_the_apis_login"] is False

    copy = tmp_path / "kith.backup"
    house.run("backup", str(copy))
    assert copy.stat().st_mode & 0o077 == 0, "a backup holds people's stories"
    assert "never replaced" in house.refused("backup", str(copy))
    assert "holds data" in house.refused("restore", str(copy))

    house.run("down")
    assert up.wait(timeout=SECONDS) == 0
    house.run("reset", "--yes")
    house.run("restore", str(copy))

    again = house.start("up", "--port", str(PORT), "--workers", "1")
    line = (again.stdout.readline() if again.stdout else "").strip()
    address = line.split()[3]
    found = httpx2.get(f"{address}/v1/listings", params={"near": "M32 8"}).json()["items"]
    assert [one["name"] for one in found] == ["Bench by the canal"]
    assert httpx2.get(f"{address}/v1/me", headers=headers).status_code == 200
    again.send_signal(signal.SIGINT)
    assert again.wait(timeout=SECONDS) == 0
    assert not house.json("status")["postgres"]["running"], "Ctrl-C stops the servers too"


def test_a_wrong_setting_is_told_in_one_sentence(house: House) -> None:
    house.env["KITH_DATABASE_URL"] = "postgresql://kith_api@/kith?host=/nowhere"
    process = house.start("api")
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert "KITH_BROKER_URL is not set" in said
    assert "Traceback" not in said
    house.env["KITH_BROKER_URL"] = "redis://127.0.0.1:1/0"
    assert "does not answer" in house.refused("api")
    assert "leaves those alone" in house.refused("reset", "--yes")


def test_every_command_has_help(house: House) -> None:
    listed = house.run("--help")
    for name in kith.commands:
        assert f"  {name} " in listed
        assert "Usage:" in house.run(name, "--help")
    assert {"demo", "up", "status", "down", "reset", "api", "worker", "relay"} <= set(kith.commands)
    assert {"migrate", "admin", "backup", "restore", "import"} <= set(kith.commands)
    assert {"check", "test", "bench"} <= set(kith.commands)
