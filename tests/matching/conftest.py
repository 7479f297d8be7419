"""One loaded text model for the whole run: loading is cheap, but not free."""

from __future__ import annotations

import pytest

from matching.text import MiniLM


@pytest.fixture(scope="session")
def minilm() -> MiniLM:
    return MiniLM()
