"""The launcher's own decisions; a whole install is tried on the build server, not here."""

import importlib.machinery
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.local.conftest import PROJECT


@pytest.fixture
def launcher(tmp_path: Path) -> ModuleType:
    """The launcher as it lies in a folder of its own, with the project's locks beside it."""
    (tmp_path / "deploy").mkdir()
    shutil.copytree(PROJECT / "deploy" / "locks", tmp_path / "deploy" / "locks")
    for name in ("kith", "pyproject.toml"):
        shutil.copy(PROJECT / name, tmp_path / name)
    return load(tmp_path / "kith")


def load(path: Path) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("launcher", str(path))
    spec = importlib.util.spec_from_loader("launcher", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def pretend_installed(launcher: ModuleType, words: list[str]) -> None:
    launcher.PYTHON.parent.mkdir(parents=True)
    launcher.PYTHON.symlink_to(sys.executable)
    stamp = {**launcher.wanted(words), "python": launcher.base()}
    launcher.STAMP.write_text(json.dumps(stamp))


def test_only_developers_commands_want_the_tools_of_developers(launcher: ModuleType) -> None:
    assert set(launcher.wanted(["demo", "test"])) == {"runtime", "weights", "project", "root"}
    assert "dev" in launcher.wanted(["test", "--deep"])
    assert "dev" in launcher.wanted(["--json", "bench"])


def test_what_is_installed_is_used_as_it_is(launcher: ModuleType) -> None:
    pretend_installed(launcher, ["demo"])
    assert launcher.is_ready(launcher.wanted(["up"]))
    assert not launcher.is_ready(launcher.wanted(["check"]))


def test_an_install_with_tools_serves_ordinary_commands_too(launcher: ModuleType) -> None:
    pretend_installed(launcher, ["check"])
    assert launcher.is_ready(launcher.wanted(["demo"]))


def test_a_changed_lock_is_installed_over_what_stands(launcher: ModuleType) -> None:
    pretend_installed(launcher, ["demo"])
    with (launcher.LOCKS / "runtime.lock").open("a") as lock:
        lock.write("# changed\n")
    assert not launcher.is_ready(launcher.wanted(["demo"]))
    assert launcher.is_usable(launcher.installed())


def test_an_interrupted_install_begins_afresh(launcher: ModuleType) -> None:
    pretend_installed(launcher, ["demo"])
    for unfinished in ("{}", ""):
        launcher.STAMP.write_text(unfinished)
        assert not launcher.is_usable(launcher.installed())


def test_a_folder_that_was_moved_is_noticed(launcher: ModuleType, tmp_path: Path) -> None:
    pretend_installed(launcher, ["demo"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("kith", "pyproject.toml", "deploy", ".venv"):
        shutil.move(tmp_path / name, elsewhere / name)
    moved = load(elsewhere / "kith")
    assert not moved.is_usable(moved.installed())


def test_a_python_that_went_away_is_noticed(launcher: ModuleType) -> None:
    pretend_installed(launcher, ["demo"])
    launcher.PYTHON.unlink()
    launcher.PYTHON.symlink_to("/nowhere/python3")
    assert not launcher.is_ready(launcher.wanted(["demo"]))


def test_a_missing_venv_module_is_said_in_a_sentence(
    launcher: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"sudo apt install python3\.\d+-venv"):
        launcher.install(launcher.wanted(["demo"]))
    assert not launcher.VENV.exists()


def test_an_old_python_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or later"):
        load(PROJECT / "kith")


def test_a_step_that_fails_shows_what_it_said(
    launcher: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", "print('no such index'); raise SystemExit(1)"]
    with pytest.raises(SystemExit, match="this step failed: Fetching"):
        launcher.step("Fetching", command)
    said = capsys.readouterr()
    assert "no such index" in said.err
    assert said.out == ""


def test_a_step_that_succeeds_keeps_its_noise_to_itself(
    launcher: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher.step("Fetching", [sys.executable, "-c", "print('WARNING: noise')"])
    assert capsys.readouterr().err == "  Fetching …\n"
