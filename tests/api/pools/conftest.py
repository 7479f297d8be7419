"""A town, for the tests of groups that put money together."""

from collections.abc import AsyncIterator

import pytest

from api.core.config import Settings
from api.core.db import Database
from tests.groups import Town, found_town
from tests.make import Maker


@pytest.fixture
async def town(maker: Maker, settings: Settings) -> AsyncIterator[Town]:
    """Lend a town with nobody in a group yet."""
    database = Database(settings.worker_url, application_name="kith-test", pool_size=4)
    yield await found_town(maker, database)
    await database.close()
