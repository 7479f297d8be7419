"""The house as it stands keeps the laws of the map."""

import configparser
import importlib.util
import re
import tomllib

import click
import pytest

from . import house, rules
from .conftest import Linter

FILES = house.files()


def _text(name: str) -> str | None:
    """Return a file's text, or None for one that is not text."""
    try:
        return (house.ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def _is_python(name: str) -> bool:
    return name.endswith(".py") or name == "kith"


def test_the_import_contracts_hold(lint: Linter) -> None:
    answer = lint({})
    assert answer.returncode == 0, answer.stdout


def test_every_source_file_keeps_the_rules() -> None:
    sources = [(name, _text(name)) for name in FILES if _is_python(name)]
    found = [
        line
        for name, text in sources
        if text is not None
        for line in rules.violations(rules.Source(name, text))
    ]
    assert not found, "\n".join(found)


def test_every_folder_is_on_the_map_and_the_map_names_only_what_stands() -> None:
    mapped = house.read_map((house.ROOT / house.MAP).read_text())
    found = house.map_violations(standing=FILES, mapped=mapped)
    assert not found, "\n".join(found)


def test_the_map_tells_the_same_ranks_as_the_contract() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(house.ROOT / ".importlinter")
    layers = contracts["importlinter:contract:slices"]["layers"].split("\n")
    ranks = " > ".join(re.sub(r"[()]", "", layer) for layer in layers if layer)
    assert f"`{ranks}`" in (house.ROOT / house.MAP).read_text()


def test_the_readme_names_only_commands_that_exist() -> None:
    readme = house.ROOT / "README.md"
    if not readme.exists() or importlib.util.find_spec("deploy.cli") is None:
        pytest.skip("there is no README or no command yet")
    named = set(re.findall(r"\./kith ([a-z]+)", readme.read_text()))
    groups = vars(importlib.import_module("deploy.cli")).values()
    known = {name for group in groups if isinstance(group, click.Group) for name in group.commands}
    assert named
    assert named <= known


def test_no_file_names_a_registry_a_machine_s_path_or_an_address() -> None:
    texts = [(name, _text(name)) for name in FILES]
    found = [
        line
        for name, text in texts
        if text is not None
        for line in house.slip_violations(path=name, text=text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("lock", [name for name in FILES if name.endswith(".lock")])
def test_a_lock_is_exact_versions_with_hashes_and_no_address(lock: str) -> None:
    found = house.lock_violations(path=lock, text=(house.ROOT / lock).read_text())
    assert not found, "\n".join(found)


def test_what_the_project_needs_is_in_the_runtime_lock() -> None:
    project = tomllib.loads((house.ROOT / "pyproject.toml").read_text())["project"]
    lock = (house.ROOT / "deploy/locks/runtime.lock").read_text().lower()
    names = [_name(line) for line in project["dependencies"]]
    absent = [name for name in names if f"\n{name}==" not in f"\n{lock}"]
    assert names
    assert not absent


def _name(requirement: str) -> str:
    """Return the bare name of a requirement such as ``celery[redis]>=5.7``."""
    end = next((at for at, sign in enumerate(requirement) if sign in "[<>=!~; "), None)
    return requirement[:end].lower()
