"""Fixtures for all tests: real servers, a migrated database per pytest process, real commits.

Tests leave their rows behind and tell them apart by fresh ids: nothing is truncated in between.
Async tests and fixtures run by anyio's plugin on asyncio.
"""

import os
from collections.abc import AsyncIterator, Iterator

import hypothesis
import psycopg
import pytest

from api.core.config import Settings
from api.core.db import Database

from .fixtures.crew import Crew
from .fixtures.servers import RUNNING, Servers, shared_servers


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --deep."""
    parser.addoption(
        "--deep",
        action="store_true",
        default=os.environ.get("KITH_DEEP") == "1",
        help="run the long property, fault and load rounds too (also KITH_DEEP=1)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Let hypothesis try few examples, or with --deep many."""
    hypothesis.settings.register_profile("short", max_examples=50, deadline=None)
    hypothesis.settings.register_profile("deep", max_examples=1_000, deadline=None)
    hypothesis.settings.load_profile("deep" if config.getoption("--deep") else "short")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked deep, and say so, unless --deep was given."""
    if config.getoption("--deep"):
        return
    for item in items:
        if item.get_closest_marker("deep"):
            item.add_marker(pytest.mark.skip(reason="a long round: ./kith test --deep"))


@pytest.fixture(scope="session")
def deep(pytestconfig: pytest.Config) -> bool:
    """Tell whether the long rounds were asked for."""
    return bool(pytestconfig.getoption("--deep"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Lend the shared servers."""
    with shared_servers() as running:
        yield running


@pytest.fixture(scope="session")
def settings(servers: Servers) -> Settings:
    """Return settings for the database of this pytest process."""
    return servers.settings(servers.clone(), keep=True)


@pytest.fixture(scope="module", autouse=True)
def _hosts_given_back() -> Iterator[None]:
    """Give back what a module's tests took of the broker."""
    yield
    for running in RUNNING:
        running.give_back_hosts()


@pytest.fixture
def owner_connection(settings: Settings) -> Iterator[psycopg.Connection]:
    """Connect as the owner of all tables, who sees past policies. Each statement commits."""
    with psycopg.connect(settings.migrate_url or "", autocommit=True) as connection:
        yield connection


@pytest.fixture
def app_connection(settings: Settings) -> Iterator[psycopg.Connection]:
    """Connect as the API does, with no actor set. Each statement commits."""
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """Lend the API's way to the database."""
    lent = Database(settings.database_url, application_name="kith-test")
    yield lent
    await lent.close()


@pytest.fixture
async def worker_database(settings: Settings) -> AsyncIterator[Database]:
    """Lend the workers' way to the database, which may take the matcher's role."""
    lent = Database(settings.worker_url, application_name="kith-test")
    yield lent
    await lent.close()


@pytest.fixture(scope="module")
def running_workers(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """Run a real relay and a real worker on this process' database while a module's tests run.

    What earlier tests left in the outbox is set aside first. ``drain()`` waits until nothing is
    due.
    """
    with psycopg.connect(settings.migrate_url or "", autocommit=True) as connection:
        connection.execute("UPDATE outbox SET done_at = now() WHERE done_at IS NULL")
    with Crew(settings, logs=tmp_path_factory.mktemp("crew")) as crew:
        crew.start_relay()
        crew.start_worker()
        yield crew
