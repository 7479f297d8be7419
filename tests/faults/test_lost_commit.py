"""The database dies under a change: it is said truly whether nothing happened or nobody knows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import text

from api.core.config import Settings
from api.core.db import Database, WriteSession
from api.core.errors import Unavailable
from api.identity.rules import Service
from deploy.local import Stack
from tests.fixtures.crew import until

pytestmark = pytest.mark.anyio

_SLOW_TO_COMMIT = """
CREATE TABLE kept (id int PRIMARY KEY);
GRANT SELECT, INSERT ON kept TO kith_app;
CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(5); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON kept DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION be_slow();
"""
_UNDER_WAY = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE %s"


class Change:
    """Rows that are kept by the API's way to the database, or not."""

    def __init__(self, stack: Stack, settings: Settings) -> None:
        self.stack = stack
        self.database = Database(settings.database_url, application_name="kith-test")
        # Nobody else is shown what others are waiting in.
        self._url = stack.database_url(role="postgres", database="postgres")

    async def keep(self, number: int, *, then: str = "SELECT 1") -> None:
        """Keep one row, and do something more in the same transaction."""

        async def work(tx: WriteSession) -> None:
            await tx.execute(text("INSERT INTO kept VALUES (:id)"), {"id": number})
            await tx.execute(text(then))

        await self.database.run(work, actor=Service("tests"), now=datetime.now(UTC))

    async def keep_while_it_dies(self, number: int, *, query: str, then: str = "SELECT 1") -> str:
        """Kill the database in the middle of this query; return the rule of what is told."""
        keeping = asyncio.create_task(self.keep(number, then=then))
        await asyncio.to_thread(self._wait_for, query)
        self.stack.kill_postgres()
        with pytest.raises(Unavailable) as caught:
            await keeping
        self.stack.start_postgres()
        return caught.value.rule

    def _wait_for(self, query: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            until(
                lambda: connection.execute(_UNDER_WAY, [query]).fetchone() == (1,),
                seconds=30,
                what=query,
            )


@pytest.fixture
async def change(own_stack: Stack, own_settings: Settings) -> AsyncIterator[Change]:
    """Lend a way to keep rows, of which those above 0 take five seconds to commit."""
    with psycopg.connect(own_settings.migrate_url or "") as connection:
        connection.execute(_SLOW_TO_COMMIT)
    change = Change(own_stack, own_settings)
    yield change
    await change.database.close()


async def test_whoever_loses_the_database_while_committing_is_told_that_it_may_be_done(
    change: Change,
) -> None:
    assert await change.keep_while_it_dies(1, query="COMMIT%") == "perhaps-done"
    await change.keep(0)  # and the next one finds its way by itself


async def test_whoever_loses_it_earlier_is_told_that_nothing_was_changed(change: Change) -> None:
    rule = await change.keep_while_it_dies(0, query="%pg_sleep%", then="SELECT pg_sleep(4)")
    assert rule == "busy"
    await change.keep(0)  # so it was not there
