"""A town, for the tests of groups that put money together."""

from collections.abc import AsyncIterator

import pytest

from api.core.config import Settings
from api.core.db import Database
from tests.api.pools.neighbours import Neighbours
from tests.groups import Town, found_town
from tests.make import Maker


@pytest.fixture
async def town(maker: Maker, settings: Settings) -> AsyncIterator[Town]:
    """Lend a town with nobody in a group yet."""
    database = Database(settings.worker_url, application_name="kith-test", pool_size=4)
    yield await found_town(maker, database)
    await database.close()


@pytest.fixture(scope="module")
async def home(maker: Maker, settings: Settings) -> AsyncIterator[Neighbours]:
    """Lend a module a town whose people take part in one group after another."""
    database = Database(settings.worker_url, application_name="kith-test", pool_size=4)
    yield Neighbours(await found_town(maker, database))
    await database.close()
