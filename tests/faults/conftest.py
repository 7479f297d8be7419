"""Servers that a test may kill: nobody else's, and with nothing switched off for speed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.core.config import Settings
from deploy.local import Stack
from tests.fixtures.crew import Crew
from tests.fixtures.servers import API, OWNER, WORKER, migrate_as_owner
from tests.workers import chores

DATABASE = "kith_faults"


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    """Lend a PostgreSQL and a Valkey of this test's own, with a migrated database."""
    stack = Stack(tmp_path / "home")
    stack.start()
    stack.ensure_database(DATABASE)
    migrate_as_owner(stack, DATABASE)
    yield stack
    stack.reset()


@pytest.fixture
def own_settings(own_stack: Stack) -> Settings:
    """Return settings for the servers of this test; what is lost is sent again after a second."""
    settings = Settings(
        database_url=own_stack.database_url(role=API, database=DATABASE),
        worker_url=own_stack.database_url(role=WORKER, database=DATABASE),
        migrate_url=own_stack.database_url(role=OWNER, database=DATABASE),
        broker_url=own_stack.broker_url(),
        outbox_lease_seconds=1,
    )
    chores.make_tables(settings.migrate_url or "")
    return settings


@pytest.fixture
def own_crew(own_settings: Settings, tmp_path: Path) -> Iterator[Crew]:
    """Lend a crew on those servers, with nobody at work yet."""
    with Crew(own_settings, logs=tmp_path, include=["tests.workers.chores"]) as crew:
        yield crew
