"""Matching by a real relay and worker."""

import pytest
from httpx2 import AsyncClient

from tests.api.matches.corner import Corner
from tests.fixtures.crew import Crew
from tests.make import Maker


@pytest.fixture
def corner(maker: Maker, client: AsyncClient, running_workers: Crew) -> Corner:
    """Lend the corner."""
    return Corner(maker, client, running_workers)
