"""A caller's own statement that rides with a posting: with it, once, in one round trip, or not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from api.core.db import Database, WriteSession, constraint, sqlstate
from api.ledger import service
from api.ledger.rules import Also, Hold, Later
from tests.books import NOW, TESTS, Books, fingerprint, refused

pytestmark = pytest.mark.anyio

# A table that the application may write to and whose rows are told apart by two columns.
_MINE = (
    "INSERT INTO schedule_ticks (name, period_start, outbox_id)"
    " SELECT :name, :at, ids[1] FROM posted WHERE NOT again"
)


def _mine(name: str) -> Also:
    return Also(sql=_MINE, values={"name": name, "at": NOW})


def _kept(owner: psycopg.Connection, name: str) -> list[UUID]:
    rows = owner.execute("SELECT outbox_id FROM schedule_ticks WHERE name = %s", [name])
    return [row[0] for row in rows.fetchall()]


async def test_the_callers_row_knows_what_came_of_the_posting(
    books: Books, owner_connection: psycopg.Connection
) -> None:
    purse, name = await books.purse(100), uuid4().hex
    done = await books.post(Hold(account_id=purse.budget, amount_pence=30), also=_mine(name))
    assert _kept(owner_connection, name) == [done.id]
    assert (done.again, done.available_pence) == (False, [70])
    assert await books.pence(purse.budget) == (100, 70)


async def test_nothing_rides_with_a_repeated_posting(
    books: Books, owner_connection: psycopg.Connection
) -> None:
    purse, name, key = await books.purse(100), uuid4().hex, uuid4().hex
    step = Hold(account_id=purse.budget, amount_pence=30)
    first = await books.post(step, key=key, also=_mine(name))
    before = fingerprint(owner_connection)
    second = await books.post(step, key=key, also=_mine(name))
    assert (second.again, second.id) == (True, first.id)
    assert _kept(owner_connection, name) == [first.id]
    assert (await books.post(step, key=key, also=_mine(f"{name}-2"))).again
    assert _kept(owner_connection, f"{name}-2") == []
    assert fingerprint(owner_connection) == before


async def test_nothing_rides_with_a_refused_posting(
    books: Books, owner_connection: psycopg.Connection
) -> None:
    purse, name = await books.purse(100), uuid4().hex
    before = fingerprint(owner_connection)
    too_much = Hold(account_id=purse.budget, amount_pence=101)
    assert await refused(books.post(too_much, also=_mine(name))) == "not-enough"
    assert _kept(owner_connection, name) == []
    assert fingerprint(owner_connection) == before


async def test_a_constraint_of_the_callers_table_is_told_as_it_is_and_nothing_is_posted(
    books: Books, database: Database, owner_connection: psycopg.Connection
) -> None:
    purse, name = await books.purse(100), uuid4().hex
    step, later = Hold(account_id=purse.budget, amount_pence=30), Later(task="a.b", payload={})
    await books.post(step, also=_mine(name))
    before = fingerprint(owner_connection)
    with pytest.raises(DBAPIError) as caught:
        async with database.write(actor=TESTS, now=NOW) as tx:
            await service.post(
                tx,
                actor=TESTS,
                now=NOW,
                key=uuid4().hex,
                code="test.post",
                steps=[step],
                later=later,
                also=_mine(name),
            )
    assert sqlstate(caught.value) == "23505"
    assert constraint(caught.value) == "pk_schedule_ticks"
    assert caught.value.__cause__ is not caught.value
    assert fingerprint(owner_connection) == before
    assert await books.pence(purse.budget) == (100, 70)


async def test_it_is_the_callers_statement_and_has_the_callers_powers(books: Books) -> None:
    purse = await books.purse(100)
    sql = "UPDATE ledger_accounts SET balance_pence = 5 FROM posted WHERE NOT again"
    with pytest.raises(DBAPIError) as caught:
        await books.post(
            Hold(account_id=purse.budget, amount_pence=1), also=Also(sql=sql, values={})
        )
    assert sqlstate(caught.value) == "42501"


async def test_a_posting_with_what_rides_along_is_one_round_trip(
    books: Books, database: Database
) -> None:
    purse, name = await books.purse(100), uuid4().hex

    async def once(tx: WriteSession) -> None:
        with _statements(database) as seen:
            await service.hold(
                tx,
                actor=TESTS,
                now=NOW,
                key=uuid4().hex,
                code="test.post",
                account_id=purse.budget,
                amount_pence=5,
                later=Later(task="a.b", payload={}),
                also=_mine(f"{name}-{uuid4().hex}"),
            )
        assert len(seen) == 1
        assert "schedule_ticks" in seen[0]

    await books.run(once)


def test_one_statement_is_composed_for_each_text() -> None:
    assert service._posting(_MINE) is service._posting(str(_MINE))
    assert service._posting(_MINE) is not service._posting(None)


def test_what_does_not_ask_whether_it_is_repeated_does_not_ride() -> None:
    with pytest.raises(ValueError, match="repeated"):
        Also(sql="DELETE FROM schedule_ticks", values={})
    with pytest.raises(ValueError, match="p_"):
        Also(sql=_MINE, values={"p_key": 1})


@contextmanager
def _statements(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
