"""Several connections at the same moment, with real commits."""

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from api.core.db import Database, WriteSession
from api.core.errors import Conflict, Unavailable
from api.ledger import invariants, service
from api.ledger.rules import Hold, Transfer
from tests.books import NOW, TESTS, Books, refused

pytestmark = pytest.mark.anyio


async def test_transfers_in_opposite_order_never_end_in_a_deadlock(
    books: Books, owner_connection: psycopg.Connection, deep: bool
) -> None:
    """Batches that name the same accounts in opposite orders, from two connections at once.

    PostgreSQL itself counts the deadlocks that it met: there was none to be repeated.
    """
    purse = await books.purse(1_000_000)
    accounts = [purse.budget, purse.share, purse.provider]
    for account in accounts[1:]:
        await books.move(purse.source, account, 1_000_000)
    until, done = time.monotonic() + (10 if deep else 2), Counter[str]()
    before = _deadlocks(owner_connection)

    async def go(order: int) -> None:
        while time.monotonic() < until:
            pairs = list(itertools.permutations(accounts, 2))[::order]
            await books.post(*(Transfer(debit_id=a, credit_id=b, amount_pence=1) for a, b in pairs))
            done[str(order)] += 1

    await asyncio.gather(go(1), go(-1))
    assert min(done.values()) > 20
    assert _deadlocks(owner_connection) == before
    assert (await books.stands(purse.share)).balance_pence == 1_000_000
    assert (await books.stands(purse.budget)).version == 1 + 4 * sum(done.values())


async def test_two_batches_in_one_transaction_in_opposite_order_are_repeated_not_shown(
    books: Books, deep: bool
) -> None:
    """Not as it should be done. A deadlock that comes of it reaches nobody: one is repeated."""
    purse = await books.purse(1_000_000)
    await books.move(purse.source, purse.share, 1_000_000)
    until, done = time.monotonic() + (10 if deep else 2), 0

    async def go(first: UUID, second: UUID) -> None:
        nonlocal done
        while time.monotonic() < until:
            keys = uuid4().hex, uuid4().hex

            async def both(tx: WriteSession, keys: tuple[str, str] = keys) -> None:
                for key, account in zip(keys, (first, second), strict=True):
                    await service.hold(
                        tx,
                        actor=TESTS,
                        now=NOW,
                        key=key,
                        code="test.two",
                        account_id=account,
                        amount_pence=1,
                    )

            with contextlib.suppress(Unavailable):
                await books.run(both)
                done += 1

    await asyncio.gather(go(purse.budget, purse.share), go(purse.share, purse.budget))
    assert done > 4
    for account in (purse.budget, purse.share):
        assert (await books.stands(account)).held_pence == done


async def test_the_same_key_at_the_same_moment_is_done_once(books: Books) -> None:
    for _ in range(10):
        purse, key = await books.purse(100), uuid4().hex
        step = Transfer(debit_id=purse.budget, credit_id=purse.provider, amount_pence=30)
        answers = await asyncio.gather(*(books.post(step, key=key) for _ in range(6)))
        assert len({one.id for one in answers}) == 1
        assert [one.again for one in answers].count(False) == 1
        assert await books.pence(purse.budget) == (70, 70)


async def test_a_changed_body_under_one_key_at_the_same_moment_is_refused(books: Books) -> None:
    """One of them wins; the others, on the same accounts or on others, change nothing."""
    for _ in range(10):
        key, purses = uuid4().hex, [await books.purse(100) for _ in range(5)]
        answers = await asyncio.gather(
            *(
                books.post(Hold(account_id=purse.budget, amount_pence=30 + n), key=key)
                for n, purse in enumerate([*purses, purses[0]])
            ),
            return_exceptions=True,
        )
        lost = [one for one in answers if isinstance(one, BaseException)]
        assert len(lost) == 5
        assert {getattr(one, "rule", one) for one in lost} == {"key-reused"}
        held = [(await books.stands(purse.budget)).held_pence for purse in purses]
        assert len([pence for pence in held if pence]) == 1


async def test_a_hold_ends_once_whoever_comes_first(books: Books) -> None:
    for _ in range(10):
        purse = await books.purse(100)
        hold = await books.hold(purse.budget, 50)
        ways = await asyncio.gather(
            books.pay(hold, purse.provider),
            books.pay(hold, purse.provider, 20),
            books.release(hold),
            books.release(hold),
            return_exceptions=True,
        )
        lost = [one for one in ways if isinstance(one, BaseException)]
        assert [getattr(one, "rule", one) for one in lost] == ["hold-ended"] * 3
        assert (await books.stands(purse.budget)).held_pence == 0


async def test_a_transfer_is_reversed_once_whoever_comes_first(books: Books) -> None:
    for _ in range(10):
        purse = await books.purse(100)
        paid = await books.move(purse.budget, purse.provider, 50)
        ways = await asyncio.gather(
            *(books.reverse(paid) for _ in range(4)), return_exceptions=True
        )
        lost = [getattr(one, "rule", one) for one in ways if isinstance(one, BaseException)]
        assert lost == ["reversed-already"] * 3
        assert await books.pence(purse.budget) == (100, 100)


async def test_two_sweeps_at_once_free_each_hold_once(books: Books) -> None:
    purse = await books.purse(100)
    books.now = NOW - timedelta(days=600)
    for _ in range(10):
        await books.hold(purse.budget, 10, lasts=timedelta(hours=1))
    books.now += timedelta(days=1)
    freed = await asyncio.gather(*(books.expire(limit=10) for _ in range(4)))
    assert sum(freed) == 10
    assert await books.pence(purse.budget) == (100, 100)


async def test_two_hundred_members_in_many_hands_never_go_below_zero(
    books: Books, database: Database
) -> None:
    """Many small payments and returns at once over a few accounts, some of which must fail."""
    purses = [await books.purse(20) for _ in range(4)]
    chance = random.Random(7)

    async def go(turns: int) -> None:
        for _ in range(turns):
            purse = chance.choice(purses)
            a, b = chance.sample([purse.budget, purse.share, purse.provider], 2)
            with contextlib.suppress(Conflict):  # there is not enough
                await books.move(a, b, chance.randint(1, 15))

    await asyncio.gather(*(go(30) for _ in range(8)))
    async with database.read(actor=TESTS, now=NOW) as session:
        assert await invariants.look(session) == []


async def test_whoever_waits_too_long_for_an_account_is_told_to_come_again(
    books: Books, owner_connection: psycopg.Connection
) -> None:
    purse = await books.purse(100)
    with owner_connection.transaction():
        owner_connection.execute(
            "SELECT FROM ledger_accounts WHERE id = %s FOR UPDATE", [purse.budget]
        )
        assert await refused(books.move(purse.budget, purse.provider, 1)) == "busy"
    await books.move(purse.budget, purse.provider, 1)


def _deadlocks(connection: psycopg.Connection) -> int:
    connection.execute("SELECT pg_stat_force_next_flush()")
    row = connection.execute(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])
