"""What ``./kith check`` runs: lint, format, types, import contracts, architecture tests.

Every step runs even when an earlier one fails, so that one run shows all there is to mend.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

ROOT = Path(__file__).resolve().parents[1]
LONGEST_STEP_SECONDS = 600

_IMPORT_LINTER = "from importlinter.cli import lint_imports_command as run; run()"


@dataclass(frozen=True, slots=True)
class Step:
    """One check: its name, and what to run at the project's root with this Python."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a step. ``output`` is what it said, kept only where it failed."""

    name: str
    passed: bool
    seconds: float
    output: str


STEPS = (
    Step("lint", ("-m", "ruff", "check", ".")),
    Step("format", ("-m", "ruff", "format", "--check", ".")),
    Step("types", ("-m", "mypy")),
    Step("imports", ("-c", _IMPORT_LINTER, "--no-logo")),
    Step("architecture", ("-m", "pytest", "tests/architecture", "-q")),
)


def run(*, as_json: bool = False, steps: Sequence[Step] = STEPS) -> int:
    """Run the steps, print each with its result and time; return 0 if all passed, else 1.

    With ``as_json``, print one object instead: ``passed``, ``seconds``, and ``steps`` with
    ``name``, ``passed``, ``seconds`` and ``output`` each.
    """
    started = time.monotonic()
    results: list[Result] = []
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:.0f}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=as_json or not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task("", total=len(steps))
        for step in steps:
            bar.update(task, description=step.name)
            result = run_step(step)
            results.append(result)
            bar.advance(task)
            if not as_json:
                _tell(result)
    passed = all(result.passed for result in results)
    seconds = round(time.monotonic() - started, 2)
    if as_json:
        listed = [asdict(result) for result in results]
        print(json.dumps({"passed": passed, "seconds": seconds, "steps": listed}))
    else:
        failed = [result.name for result in results if not result.passed]
        ending = "all passed" if passed else f"failed: {', '.join(failed)}"
        print(f"check: {len(results)} steps in {seconds:.1f} s, {ending}")
    return 0 if passed else 1


def run_step(step: Step) -> Result:
    """Run one step to its end, at most LONGEST_STEP_SECONDS."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, *step.arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_STEP_SECONDS,
            check=False,
        )
        passed, output = done.returncode == 0, done.stdout
    except subprocess.TimeoutExpired:
        passed, output = False, f"not done after {LONGEST_STEP_SECONDS} seconds"
    seconds = round(time.monotonic() - started, 2)
    return Result(step.name, passed, seconds, "" if passed else output.strip())


def _tell(result: Result) -> None:
    print(f"{'passed' if result.passed else 'FAILED'}  {result.name:<13}{result.seconds:6.1f} s")
    if result.output:
        print(result.output)
    sys.stdout.flush()
