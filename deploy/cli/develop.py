"""For whoever changes Kith: checks, tests, benches."""

import importlib
import json
import os
import sys

import click

from deploy import checks
from deploy.cli.world import ROOT

BENCHES = ("browse", "ledger", "outbox")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(as_json: bool) -> None:
    """Run ruff, mypy, the import contracts and the architecture tests."""
    sys.exit(checks.run(as_json=as_json))


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.option("--deep", is_flag=True, help="Run the long property, fault and load rounds too.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(deep: bool, arguments: tuple[str, ...]) -> None:
    """Run the tests; ARGUMENTS go to pytest. Each worker has a database of its own."""
    os.chdir(ROOT)
    parallel = [] if any(one.startswith("-n") or one == "-x" for one in arguments) else ["-n", "2"]
    command = [sys.executable, "-m", "pytest", *parallel, "--dist", "worksteal"]
    if deep:
        command.append("--deep")
    os.execv(sys.executable, [*command, *arguments])  # noqa: S606


@click.command()
@click.argument("name", type=click.Choice(BENCHES))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bench(name: str, as_json: bool) -> None:
    """Measure NAME against its named baseline, in one run."""
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    module = importlib.import_module(f"tests.bench.{name}")
    result = module.run(json=as_json)
    if as_json:
        click.echo(json.dumps(result, indent=2))
