"""Homes with real servers in them, and patience for what happens in other processes."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local import Stack

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One running stack for the tests that may stop, kill and start it again."""
    made = Stack(tmp_path_factory.mktemp("home") / "a home")
    made.start()
    yield made
    made.reset()


@pytest.fixture
def running(stack: Stack) -> Stack:
    """The stack, started again if the test before left it down."""
    stack.start()
    return stack


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Stack]:
    """A stack of a test's own, not started yet."""
    made = Stack(tmp_path / "home")
    yield made
    made.reset()


@pytest.fixture
def child_environment() -> dict[str, str]:
    """An environment in which another Python finds the project."""
    return {**os.environ, "PYTHONPATH": str(PROJECT)}


def eventually(holds: Callable[[], object], *, seconds: float = 10.0) -> bool:
    """True as soon as `holds` does, False when it has not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
