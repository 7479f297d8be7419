"""A database whose outbox holds nothing but what a module's tests put in it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from api.core.config import Settings
from api.core.db import Database
from tests.fixtures.crew import Crew
from tests.fixtures.servers import Servers

from . import chores
from .shop import Shop


@pytest.fixture(scope="module")
def shop_settings(servers: Servers) -> Settings:
    """Return settings for a database of this module's own, with a lease of one second."""
    settings = servers.settings(servers.clone(), lease_seconds=1)
    chores.make_tables(settings.migrate_url or "")
    return settings


@pytest.fixture
async def shop(shop_settings: Settings) -> AsyncIterator[Shop]:
    """Lend the module's database with an empty outbox."""
    url = shop_settings.worker_url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM outbox")
        database = Database(url, application_name="kith-test")
        yield Shop(shop_settings, database, connection)
        await database.close()


@pytest.fixture
def crew(shop_settings: Settings, tmp_path: Path) -> Iterator[Crew]:
    """Lend a crew on the module's database, with nobody at work yet."""
    with Crew(shop_settings, logs=tmp_path, include=["tests.workers.chores"]) as crew:
        yield crew
