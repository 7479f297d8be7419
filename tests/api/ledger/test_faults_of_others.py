"""Each fault seen in other products that handle money, by name: none of them is ours."""

import asyncio
import math
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from api.core.errors import Invalid, Refusal
from api.ledger import service
from api.ledger.rules import MAX_AMOUNT_PENCE, Hold, PostHold, ReleaseHold, Reverse, Transfer
from tests.books import NOW, Books, fingerprint, refused

pytestmark = pytest.mark.anyio


async def test_holds_are_counted_in_what_is_available(books: Books) -> None:
    purse = await books.purse(100)
    await books.hold(purse.budget, 60)
    assert await books.pence(purse.budget) == (100, 40)
    assert await refused(books.move(purse.budget, purse.provider, 41)) == "not-enough"
    assert await refused(books.hold(purse.budget, 41)) == "not-enough"
    await books.move(purse.budget, purse.provider, 40)
    assert await books.pence(purse.budget) == (60, 0)


async def test_a_hold_that_was_let_go_is_not_applied_later(books: Books) -> None:
    purse = await books.purse(100)
    hold = await books.hold(purse.budget, 60)
    await books.release(hold)
    assert await refused(books.pay(hold, purse.provider)) == "hold-ended"
    assert await refused(books.pay(hold, purse.provider, 1)) == "hold-ended"
    assert await books.pence(purse.budget) == (100, 100)
    assert await books.pence(purse.provider) == (0, 0)


async def test_a_hold_is_not_let_go_twice(books: Books) -> None:
    purse = await books.purse(100)
    first, second = await books.hold(purse.budget, 60), await books.hold(purse.budget, 30)
    await books.release(first)
    assert await refused(books.release(first)) == "hold-ended"
    # Letting the first go again would have freed what is held for the second.
    assert await books.pence(purse.budget) == (100, 70)
    await books.pay(second, purse.provider)
    assert await refused(books.release(second)) == "hold-ended"
    assert await refused(books.pay(second, purse.provider)) == "hold-ended"
    assert await books.pence(purse.budget) == (70, 70)


async def test_a_hold_is_not_ended_twice_in_one_batch(books: Books) -> None:
    purse = await books.purse(100)
    hold = await books.hold(purse.budget, 30)
    step = PostHold(hold_id=hold, credit_id=purse.provider, amount_pence=10)
    for again in (step, ReleaseHold(hold_id=hold)):
        assert await refused(books.post(step, again)) == "hold-ended"
    assert await books.pence(purse.budget) == (100, 70)


async def test_a_refund_is_not_repeated_and_a_repeated_one_posts_nothing(
    books: Books, owner_connection: psycopg.Connection
) -> None:
    """Others answered the second refund with 409 and posted it all the same."""
    purse = await books.purse(100)
    paid = await books.move(purse.budget, purse.provider, 40)
    await books.move(purse.budget, purse.provider, 40)
    await books.reverse(paid)
    assert await books.pence(purse.budget) == (60, 60)
    before = fingerprint(owner_connection)
    assert await refused(books.reverse(paid)) == "reversed-already"
    assert await refused(books.post(*[Reverse(transfer_id=paid)] * 2)) == "reversed-already"
    assert fingerprint(owner_connection) == before
    assert await books.pence(purse.budget) == (60, 60)
    assert await books.pence(purse.provider) == (40, 40)


async def test_a_refund_sent_twice_under_one_key_happens_once(books: Books) -> None:
    purse = await books.purse(100)
    paid, key = await books.move(purse.budget, purse.provider, 40), uuid4().hex
    assert await books.reverse(paid, key=key) == await books.reverse(paid, key=key)
    assert await books.pence(purse.budget) == (100, 100)


async def test_a_refund_is_not_refunded(books: Books) -> None:
    purse = await books.purse(100)
    back = await books.reverse(await books.move(purse.budget, purse.provider, 40))
    assert await refused(books.reverse(back)) == "reversed-already"


async def test_what_was_spent_on_is_not_refunded_whole(books: Books) -> None:
    """A funded and part-spent pot cannot be given back whole: the money is not there."""
    purse = await books.purse(100)
    put_in = await books.move(purse.budget, purse.share, 100)
    await books.move(purse.share, purse.provider, 30)
    assert await refused(books.reverse(put_in)) == "not-enough"
    assert await refused(books.move(purse.share, purse.budget, 100)) == "not-enough"
    await books.move(purse.share, purse.budget, 70)
    assert await books.pence(purse.budget) == (70, 70)


async def test_an_expiring_hold_does_not_move_a_closed_account(
    books: Books, owner_connection: psycopg.Connection
) -> None:
    """It cannot come about: so the owner makes it so, past every guard, and it still stays."""
    purse = await books.purse(100)
    books.now = NOW - timedelta(days=500)
    hold = await books.hold(purse.budget, 100, lasts=timedelta(hours=1))
    owner_connection.execute(
        "UPDATE ledger_accounts SET closed_at = now() WHERE id = %s", [purse.budget]
    )
    before = await books.stands(purse.budget)
    books.now += timedelta(days=1)
    await books.expire(limit=900)
    assert await books.stands(purse.budget) == before
    assert before.held_pence == 100
    assert await refused(books.release(hold)) == "account-closed"
    assert await refused(books.pay(hold, purse.provider)) == "account-closed"
    # Left as it was for the other tests: open, without holds.
    with owner_connection.transaction():
        owner_connection.execute("ALTER TABLE ledger_accounts DISABLE TRIGGER stays_row")
        owner_connection.execute(
            "UPDATE ledger_accounts SET closed_at = NULL WHERE id = %s", [purse.budget]
        )
        owner_connection.execute("ALTER TABLE ledger_accounts ENABLE TRIGGER stays_row")
    await books.release(hold)


async def test_expiry_names_a_closed_account_s_hold_and_moves_nothing(
    books: Books, owner_connection: psycopg.Connection, app_connection: psycopg.Connection
) -> None:
    """Even asked for by its id, straight at the posting function."""
    purse = await books.purse(100)
    hold = await books.hold(purse.budget, 100, lasts=timedelta(hours=1))
    await books.release(hold)
    await books.move(purse.budget, purse.provider, 100)
    await books.close(purse.budget)
    before = await books.stands(purse.budget)
    with app_connection.transaction():
        app_connection.execute(
            "SELECT set_config('app.actor_kind', 'service', true),"
            " set_config('app.now', '2027-01-01T00:00Z', true)"
        )
        row = app_connection.execute(
            "SELECT ids FROM ledger_post(%s, 'x', 'test.expire', NULL, NULL, NULL, NULL, NULL,"
            " '{expire}', ARRAY[%s]::uuid[], '{NULL}', '{NULL}', '{NULL}')",
            [uuid4().hex, hold],
        ).fetchone()
    assert row == ([None],)
    assert await books.stands(purse.budget) == before


async def test_a_cancel_deletes_no_history(books: Books) -> None:
    purse = await books.purse(100)
    paid = await books.move(purse.budget, purse.provider, 40)
    back = await books.reverse(paid)
    page = await books.run(lambda tx: service.statement(tx, account_id=purse.budget))
    assert [(line.amount_pence, line.balance_pence) for line in page.items] == [
        (100, 100),
        (-40, 60),
        (40, 100),
    ]
    assert [line.transfer_id for line in page.items][1:] == [paid, back]


async def test_two_payments_that_race_one_balance_do_not_both_win(books: Books) -> None:
    for _ in range(10):
        purse = await books.purse(100)
        ways = await asyncio.gather(
            *(books.move(purse.budget, purse.provider, 60) for _ in range(4)),
            *(books.hold(purse.budget, 60) for _ in range(4)),
            return_exceptions=True,
        )
        lost = [one for one in ways if isinstance(one, Refusal)]
        assert {one.rule for one in lost} == {"not-enough"}
        assert len(lost) == 7
        assert (await books.stands(purse.budget)).available_pence == 40


async def test_nine_figure_sums_are_kept_to_the_penny(books: Books) -> None:
    purse = await books.purse(999_999_999_99)
    await books.move(purse.source, purse.budget, MAX_AMOUNT_PENCE)
    await books.move(purse.budget, purse.provider, 999_999_999_98)
    assert await books.pence(purse.budget) == (MAX_AMOUNT_PENCE + 1, MAX_AMOUNT_PENCE + 1)
    assert await books.pence(purse.source) == (-999_999_999_99 - MAX_AMOUNT_PENCE,) * 2


async def test_a_balance_has_a_bound_too(books: Books) -> None:
    purse = await books.purse()
    step = Transfer(debit_id=purse.source, credit_id=purse.budget, amount_pence=MAX_AMOUNT_PENCE)
    for _ in range(10):
        await books.post(*[step] * 990)
    await books.post(*[step] * 100)
    assert await books.pence(purse.budget) == (10**15, 10**15)
    assert await refused(books.move(purse.source, purse.budget, 1)) == "balance-out-of-bounds"


@pytest.mark.parametrize(
    "pence",
    [
        0,
        -1,
        MAX_AMOUNT_PENCE + 1,
        2**63,
        10**30,
        1.0,
        0.1,
        math.nan,
        math.inf,
        -math.inf,
        Decimal("NaN"),
        Decimal(5),
        True,
        False,
        "5",
        "NaN",
        None,
    ],
)
async def test_what_is_not_whole_pence_in_bounds_is_no_sum(
    books: Books, owner_connection: psycopg.Connection, pence: Any
) -> None:
    purse = await books.purse(100)
    before = fingerprint(owner_connection)
    with pytest.raises(Invalid) as transfer:
        await books.move(purse.budget, purse.provider, pence)
    with pytest.raises(Invalid):
        await books.hold(purse.budget, pence)
    assert transfer.value.rule == "amount-out-of-bounds"
    assert fingerprint(owner_connection) == before


@pytest.mark.parametrize(
    "pence", ["0", "-1", "100000000001", str(2**63 - 1), str(-(2**63)), "NULL"]
)
async def test_the_database_refuses_such_sums_too(
    books: Books, app_connection: psycopg.Connection, pence: str
) -> None:
    purse = await books.purse(100)
    for kind in ("transfer", "hold"):
        with app_connection.transaction(force_rollback=True):
            app_connection.execute(
                "SELECT set_config('app.actor_kind', 'service', true),"
                " set_config('app.now', '2027-01-01T00:00Z', true)"
            )
            with pytest.raises(psycopg.Error) as caught:
                app_connection.execute(
                    "SELECT ledger_post('k', 'x', 'test.post', NULL, NULL, NULL, NULL, NULL,"
                    f" '{{{kind}}}', ARRAY[%s]::uuid[], ARRAY[%s]::uuid[], '{{{pence}}}',"
                    " '{NULL}')",
                    [purse.source, purse.budget],
                )
            assert caught.value.sqlstate == "KL012"


async def test_a_changed_body_under_one_key_is_refused_and_changes_nothing(
    books: Books, owner_connection: psycopg.Connection
) -> None:
    purse = await books.purse(100)
    key = uuid4().hex
    await books.post(Hold(account_id=purse.budget, amount_pence=10), key=key)
    before = fingerprint(owner_connection)
    for step in (
        Hold(account_id=purse.budget, amount_pence=11),
        Hold(account_id=purse.budget, amount_pence=10, expires_at=NOW + timedelta(days=1)),
        Hold(account_id=purse.share, amount_pence=10),
        Transfer(debit_id=purse.budget, credit_id=purse.provider, amount_pence=10),
    ):
        assert await refused(books.post(step, key=key)) == "key-reused"
    same = Hold(account_id=purse.budget, amount_pence=10)
    assert await refused(books.post(same, key=key, code="test.other")) == "key-reused"
    assert await refused(books.post(same, same, key=key)) == "key-reused"
    assert fingerprint(owner_connection) == before
