"""Where something could go wrong between two statements, at odd times and at the bounds."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import psycopg
import pytest

from api.core import pagination
from api.core.db import Database
from api.core.errors import Conflict, Refusal
from api.ledger import invariants, service
from api.ledger.rules import MAX_BALANCE_PENCE, Hold, NewAccount, PostHold, Reverse, Transfer
from tests.books import NOW, TESTS, Books, refused

pytestmark = pytest.mark.anyio


def _new(name: str, *kinds: str) -> list[NewAccount]:
    return [NewAccount(kind=kind, owner_key=name, source_key=name) for kind in kinds]


async def _open(books: Books, new: list[NewAccount]) -> list[UUID]:
    return await books.run(
        lambda tx: service.open_accounts(tx, actor=TESTS, now=books.now, new=new)
    )


@contextmanager
def _others(owner: psycopg.Connection, name: str, *, ever: bool) -> Iterator[None]:
    """Have an account of kind "gone" closed between being met and being found, as others would.

    Once; or ``ever`` again, opened anew each time.
    """
    owner.execute(
        "CREATE FUNCTION test_others() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$"
        " BEGIN IF pg_trigger_depth() > 1 OR current_setting('test.once', true) = 'done' THEN"
        " RETURN NULL; ELSIF TG_WHEN = 'AFTER' THEN"
        f" UPDATE ledger_accounts SET closed_at = app_now() WHERE owner_key = '{name}'"
        " AND kind = 'gone' AND closed_at IS NULL;"
        f" PERFORM set_config('test.once', '{'' if ever else 'done'}', true);"
        f" ELSE INSERT INTO ledger_accounts VALUES (uuidv7(), 'gone', '{name}', '{name}', 'GBP',"
        " false, app_now()) ON CONFLICT DO NOTHING; END IF; RETURN NULL; END $$;"
        " CREATE TRIGGER test_others_before BEFORE INSERT ON ledger_accounts"
        " FOR EACH STATEMENT EXECUTE FUNCTION test_others();"
        " CREATE TRIGGER test_others_after AFTER INSERT ON ledger_accounts"
        " FOR EACH STATEMENT EXECUTE FUNCTION test_others()"
    )
    try:
        yield
    finally:
        owner.execute(
            "DROP TRIGGER test_others_before ON ledger_accounts;"
            " DROP TRIGGER test_others_after ON ledger_accounts; DROP FUNCTION test_others()"
        )


async def test_an_account_that_is_closed_while_it_is_looked_for_is_opened_anew(
    books: Books, owner_connection: psycopg.Connection
) -> None:
    """Else the answer would be short by one, and every later id that of another account."""
    name = uuid4().hex
    new = _new(name, "gone", "budget")
    first = await _open(books, new)
    with _others(owner_connection, name, ever=False):
        again = await _open(books, new)
    assert again[0] != first[0]
    assert again[1] == first[1]
    assert (await books.stands(again[0])).closed_at is None
    assert (await books.stands(first[0])).closed_at == NOW


async def test_accounts_that_are_closed_again_and_again_are_a_clash_and_no_wrong_answer(
    books: Books, owner_connection: psycopg.Connection
) -> None:
    name = uuid4().hex
    new = _new(name, "gone", "budget")
    with _others(owner_connection, name, ever=True):
        assert await refused(_open(books, new)) == "two-at-once"


async def test_an_account_that_many_open_at_once_is_one(books: Books) -> None:
    for _ in range(5):
        new = _new(uuid4().hex, "budget", "pool_share", "provider")
        found = await asyncio.gather(*(_open(books, new[::-1] if n % 2 else new) for n in range(6)))
        assert len({tuple(ids[::-1] if n % 2 else ids) for n, ids in enumerate(found)}) == 1


async def test_posting_closing_and_opening_at_once_never_end_in_a_deadlock(
    books: Books, database: Database, owner_connection: psycopg.Connection, deep: bool
) -> None:
    """And the books are right whoever comes first: money is in an open account or nowhere."""
    purse = await books.purse(1_000)
    new = NewAccount(kind="returned", owner_key=purse.source_key, source_key=purse.source_key)
    until, before = time.monotonic() + (10 if deep else 2), _deadlocks(owner_connection)
    done = {"in": 0, "out": 0, "closed": 0}

    async def go(what: str) -> None:
        while time.monotonic() < until:
            (mine,) = await _open(books, [new])
            with suppress(Conflict):
                if what == "closed":
                    await books.close(mine)
                elif what == "in":
                    await books.move(purse.budget, mine, 1)
                else:
                    await books.move(mine, purse.budget, 1)
                done[what] += 1

    await asyncio.gather(go("in"), go("out"), go("out"), go("closed"), go("closed"))
    assert min(done.values()) > 5
    assert _deadlocks(owner_connection) == before
    async with database.read(actor=TESTS, now=NOW) as session:
        assert await invariants.look(session) == []


async def test_a_hold_that_runs_out_while_it_is_paid_ends_once(
    books: Books, database: Database
) -> None:
    """One whose request began in time, and the sweep just afterwards."""
    ends = []
    for number in range(12):
        purse, sweeper = await books.purse(100), Books(database)
        books.now = NOW - timedelta(days=900, minutes=number)
        hold = await books.hold(purse.budget, 60, lasts=timedelta(minutes=1))
        sweeper.now = books.now + timedelta(minutes=1)
        paid, freed = await asyncio.gather(
            books.pay(hold, purse.provider), sweeper.expire(), return_exceptions=True
        )
        found = await books.run(lambda tx, hold=hold: service.holds(tx, ids=[hold]))  # type: ignore[misc]
        ends.append(found[hold].ended)
        if isinstance(paid, Refusal):
            assert (paid.rule, freed, found[hold].ended) == ("hold-ended", 1, "expired")
            assert await books.pence(purse.budget) == (100, 100)
        else:
            assert (freed, found[hold].ended) == (0, "posted")
            assert await books.pence(purse.budget) == (40, 40)
    assert set(ends) <= {"posted", "expired"}


async def test_what_is_promised_on_is_not_taken_back(books: Books) -> None:
    purse = await books.purse(100)
    put_in = await books.move(purse.budget, purse.share, 50)
    hold = await books.hold(purse.share, 20)
    assert await refused(books.reverse(put_in)) == "not-enough"
    await books.post(
        PostHold(hold_id=hold, credit_id=purse.budget),
        Transfer(debit_id=purse.budget, credit_id=purse.share, amount_pence=20),
        Reverse(transfer_id=put_in),
    )
    assert await books.pence(purse.budget) == (100, 100)


async def test_a_source_promises_no_more_than_the_books_can_keep(
    books: Books, owner_connection: psycopg.Connection
) -> None:
    purse = await books.purse(100)
    change = "UPDATE ledger_accounts SET balance_pence = %s WHERE id = %s"
    owner_connection.execute(change, [10 - MAX_BALANCE_PENCE, purse.source])
    try:
        hold = await books.hold(purse.source, 10)
        assert await refused(books.hold(purse.source, 1)) == "balance-out-of-bounds"
        # What is promised stays payable: it counts before anything else that is owed.
        assert await refused(books.move(purse.source, purse.budget, 1)) == "balance-out-of-bounds"
        over = Hold(account_id=purse.source, amount_pence=1, expires_at=books.now)
        assert await refused(books.post(over)) == "balance-out-of-bounds"
        await books.release(hold)
        assert await refused(books.post(over)) == "hold-expired"
    finally:
        owner_connection.execute(change, [-100, purse.source])


async def test_one_moment_is_one_moment_in_every_time_zone(books: Books) -> None:
    purse, key = await books.purse(100), uuid4().hex
    at = NOW + timedelta(days=1)
    first, second = [
        await books.post(
            Hold(account_id=purse.budget, amount_pence=5, expires_at=at.astimezone(zone)), key=key
        )
        for zone in (UTC, timezone(timedelta(hours=1)))
    ]
    assert (second.again, second.ids) == (True, first.ids)


@pytest.mark.parametrize("year", [1, 1969, 9999])
async def test_an_odd_time_makes_odd_times_and_nothing_else(
    books: Books, database: Database, year: int
) -> None:
    purse = await books.purse(100)
    books.now = datetime(year, 6, 1, tzinfo=UTC)
    made = [await books.hold(purse.budget, 10) for _ in range(3)]
    paid = await books.pay(made[0], purse.provider)
    await books.reverse(paid)
    assert {one.version for one in (*made, paid)} == {7}
    assert len({*made, paid}) == 4
    page = await books.run(lambda tx: service.statement(tx, account_id=purse.budget))
    assert [line.at.year for line in page.items] == [NOW.year, year, year]
    async with database.read(actor=TESTS, now=NOW) as session:
        assert await invariants.look(session) == []


async def test_what_was_rolled_back_is_done_the_next_time_under_the_same_key(
    books: Books, database: Database
) -> None:
    """With the same ids, if the time is the same: nothing of the first time is left."""
    purse, key = await books.purse(100), uuid4().hex
    step, ids = Hold(account_id=purse.budget, amount_pence=30), []
    for times in (1, 1, 2):
        with suppress(ZeroDivisionError):
            async with database.write(actor=TESTS, now=NOW) as tx:
                for _ in range(times):
                    done = await service.post(
                        tx, actor=TESTS, now=NOW, key=key, code="test.post", steps=[step]
                    )
                ids.append((done.id, done.again))
                if times == 1:
                    raise ZeroDivisionError
    assert ids == [(ids[0][0], False), (ids[0][0], False), (ids[0][0], True)]
    assert await books.pence(purse.budget) == (100, 70)


@pytest.mark.parametrize("version", [2**63, 2**64 - 1, -1])
async def test_a_page_beyond_all_versions_is_no_page(books: Books, version: int) -> None:
    purse = await books.purse(100)
    cursor = pagination.encode(version)
    reading = books.run(lambda tx: service.statement(tx, account_id=purse.budget, cursor=cursor))
    assert await refused(reading) == "cursor-unknown"


def _deadlocks(connection: psycopg.Connection) -> int:
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])
