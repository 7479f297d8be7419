"""A copy of the packages to plant violations in, and import-linter to find them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from .house import ROOT
from .rules import PACKAGES

Linter = Callable[[Mapping[str, str]], "subprocess.CompletedProcess[str]"]

LINT = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())"


@pytest.fixture(scope="module")
def lint(tmp_path_factory: pytest.TempPathFactory) -> Linter:
    """Return a function that lints a copy of the house with lines planted: {path: line}."""

    def lint_planted(planted: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        top = tmp_path_factory.mktemp("house")
        shutil.copy(ROOT / ".importlinter", top)
        for package in PACKAGES:
            if (ROOT / package).is_dir():
                shutil.copytree(ROOT / package, top / package, ignore=_not_python)
        for path, line in {"api/app.py": "", "api/core/http.py": "", **planted}.items():
            _plant(top, path=path, line=line)
        for package in PACKAGES:
            _plant(top, path=f"{package}/__init__.py", line="")
        return subprocess.run(
            [sys.executable, "-c", LINT, "--no-cache", "--no-logo"],
            cwd=top,
            env={**os.environ, "PYTHONPATH": str(top), "COLUMNS": "400"},
            capture_output=True,
            text=True,
            check=False,
        )

    return lint_planted


def _not_python(folder: str, names: list[str]) -> list[str]:
    return [n for n in names if not n.endswith(".py") and not (Path(folder) / n).is_dir()]


def _plant(top: Path, *, path: str, line: str) -> None:
    """Add a line to a file of the copy; make the file, and packages above it, if absent."""
    file = top / path
    file.parent.mkdir(parents=True, exist_ok=True)
    for folder in file.relative_to(top).parents:
        if folder.name:
            (top / folder / "__init__.py").touch()
    with file.open("a") as handle:
        handle.write(f"\n{line}\n")
