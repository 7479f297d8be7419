"""Accounts, batches, holds, statements: what moving money does."""

from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from api.core.db import Database
from api.ledger import invariants, service
from api.ledger.rules import (
    LINES_AT_ONCE,
    MAX_AMOUNT_PENCE,
    Hold,
    Later,
    NewAccount,
    PostHold,
    ReleaseHold,
    Reverse,
    Subject,
    Transfer,
)
from tests.books import NOW, TESTS, Books, refused

pytestmark = pytest.mark.anyio


async def test_money_in_is_in_the_account_and_owed_by_its_source(books: Books) -> None:
    purse = await books.purse(50_00)
    assert await books.pence(purse.budget) == (50_00, 50_00)
    assert await books.pence(purse.source) == (-50_00, -50_00)


async def test_linked_transfers_all_happen_in_their_order_or_none_does(books: Books) -> None:
    purse = await books.purse(10)
    through = [
        Transfer(debit_id=purse.budget, credit_id=purse.share, amount_pence=10),
        Transfer(debit_id=purse.share, credit_id=purse.provider, amount_pence=10),
    ]
    assert await refused(books.post(*through[::-1])) == "not-enough"
    assert await books.pence(purse.budget) == (10, 10)
    assert (await books.stands(purse.share)).version == 0
    done = await books.post(*through)
    assert done.available_pence == [0, 0]
    assert await books.pence(purse.provider) == (10, 10)


async def test_a_hold_is_paid_whole_or_in_part_and_a_part_frees_the_rest(books: Books) -> None:
    purse = await books.purse(100)
    whole, part = await books.hold(purse.budget, 30), await books.hold(purse.budget, 40)
    assert await books.pence(purse.budget) == (100, 30)
    await books.pay(whole, purse.provider)
    await books.pay(part, purse.provider, 15)
    assert await books.pence(purse.budget) == (55, 55)
    assert await books.pence(purse.provider) == (45, 45)
    found = await books.run(lambda tx: service.holds(tx, ids=[whole, part]))
    assert [(found[one].ended, found[one].ended_pence) for one in (whole, part)] == [
        ("posted", 30),
        ("posted", 15),
    ]


async def test_more_than_was_held_is_not_paid(books: Books) -> None:
    purse = await books.purse(100)
    hold = await books.hold(purse.budget, 30)
    assert await refused(books.pay(hold, purse.provider, 31)) == "more-than-held"
    assert await books.pence(purse.budget) == (100, 70)


async def test_a_hold_can_be_let_go_and_made_anew_in_one_batch(books: Books) -> None:
    purse = await books.purse(100)
    hold = await books.hold(purse.budget, 80)
    step = Hold(account_id=purse.budget, amount_pence=95)
    assert await refused(books.post(step, ReleaseHold(hold_id=hold))) == "not-enough"
    await books.post(ReleaseHold(hold_id=hold), step)
    assert await books.pence(purse.budget) == (100, 5)


async def test_a_hold_is_not_paid_from_the_moment_its_time_is_over(books: Books) -> None:
    purse = await books.purse(100)
    hold = await books.hold(purse.budget, 60, lasts=timedelta(days=1))
    books.now = NOW + timedelta(days=1)
    assert await refused(books.pay(hold, purse.provider)) == "hold-expired"
    assert await books.pence(purse.budget) == (100, 40)
    assert await books.expire() >= 1
    assert await books.pence(purse.budget) == (100, 100)
    assert await refused(books.hold(purse.budget, 1, lasts=timedelta(0))) == "hold-expired"


async def test_expiry_takes_what_is_due_in_bounded_batches_and_no_more(books: Books) -> None:
    purse = await books.purse(100)
    books.now = NOW - timedelta(days=400)  # so that these are the oldest of all
    due = [await books.hold(purse.budget, 10, lasts=timedelta(hours=one)) for one in (1, 2, 3)]
    later = await books.hold(purse.budget, 10, lasts=timedelta(days=30))
    books.now += timedelta(days=1)
    assert await books.expire(key=f"e:{due[0]}", limit=2) == 2
    assert await books.pence(purse.budget) == (100, 80)
    assert await books.expire(key=f"e:{due[0]}", limit=2) == 2  # the first answer again
    assert await books.pence(purse.budget) == (100, 80)
    assert await books.expire(limit=2) == 1
    assert await books.expire(limit=2) == 0
    found = await books.run(lambda tx: service.open_holds(tx, account_id=purse.budget))
    assert [one.id for one in found] == [later]


async def test_the_same_key_with_the_same_steps_gets_the_first_answer(books: Books) -> None:
    purse = await books.purse(100)
    steps = [
        Hold(account_id=purse.budget, amount_pence=20),
        Transfer(debit_id=purse.budget, credit_id=purse.provider, amount_pence=30),
    ]
    key = uuid4().hex
    first = await books.post(*steps, key=key)
    await books.move(purse.budget, purse.provider, 5)
    second = await books.post(*steps, key=key)
    assert not first.again
    assert second.again
    assert (second.ids, second.available_pence) == (first.ids, [80, 50])
    assert await books.pence(purse.budget) == (65, 45)


async def test_accounts_are_opened_once_and_found_again(books: Books) -> None:
    name = f"s:{uuid4().hex}"
    new = [
        NewAccount(kind=kind, owner_key=name, source_key=name) for kind in ("budget", "returned")
    ]
    open_all = service.open_accounts

    first = await books.run(lambda tx: open_all(tx, actor=TESTS, now=NOW, new=new))
    again = await books.run(lambda tx: open_all(tx, actor=TESTS, now=NOW, new=new[::-1]))
    assert again == first[::-1]
    assert await books.close(first[0]) == NOW
    assert await books.close(first[0]) == NOW
    third = await books.run(lambda tx: open_all(tx, actor=TESTS, now=NOW, new=new))
    assert third[0] != first[0]
    assert third[1] == first[1]
    found = await books.run(lambda tx: service.accounts_of(tx, kind="budget", owner_keys=[name]))
    assert [one.id for one in found] == [third[0]]


async def test_a_source_is_not_opened_again_under_other_terms(books: Books) -> None:
    purse = await books.purse()
    other = NewAccount(kind="source", owner_key=purse.source_key, source_key=purse.source_key)
    opening = books.run(lambda tx: service.open_account(tx, actor=TESTS, now=NOW, new=other))
    assert await refused(opening) == "account-differs"


async def test_an_account_closes_only_when_nothing_is_left_and_then_takes_nothing(
    books: Books,
) -> None:
    purse = await books.purse(10)
    assert await refused(books.close(purse.budget)) == "account-not-empty"
    hold = await books.hold(purse.budget, 10)
    assert await refused(books.close(purse.budget)) == "account-not-empty"
    paid = await books.pay(hold, purse.provider)
    await books.close(purse.budget)
    assert await refused(books.move(purse.source, purse.budget, 5)) == "account-closed"
    assert await refused(books.hold(purse.budget, 5)) == "account-closed"
    assert await refused(books.reverse(paid)) == "account-closed"
    assert await refused(books.close(uuid4())) == "visible-to-you"


async def test_money_stays_with_its_source(books: Books) -> None:
    one, other = await books.purse(10), await books.purse(10)
    assert await refused(books.move(one.budget, other.budget, 5)) == "between-sources"
    assert await refused(books.move(one.budget, one.budget, 5)) == "between-sources"
    hold = await books.hold(one.budget, 5)
    assert await refused(books.pay(hold, other.provider)) == "between-sources"


@pytest.mark.parametrize("kind", ["account", "hold", "transfer"])
async def test_what_is_not_there_is_not_found(books: Books, kind: str) -> None:
    purse = await books.purse(10)
    work = {
        "account": books.move(purse.budget, uuid4(), 1),
        "hold": books.release(uuid4()),
        "transfer": books.reverse(uuid4()),
    }
    assert await refused(work.pop(kind)) == "visible-to-you"
    for other in work.values():
        other.close()


async def test_an_id_of_another_kind_moves_nothing(books: Books) -> None:
    """An account's id where a hold's or a transfer's belongs, and the other way round."""
    purse = await books.purse(10)
    transfer = await books.move(purse.budget, purse.provider, 1)
    hold = await books.hold(purse.budget, 1)
    for work in (
        books.reverse(purse.budget),
        books.release(purse.budget),
        books.release(transfer),
        books.reverse(hold),
        books.move(hold, purse.provider, 1),
    ):
        assert await refused(work) == "visible-to-you"
    assert await books.pence(purse.budget) == (9, 8)


async def test_a_statement_is_in_the_order_of_versions_whatever_the_clock_said(
    books: Books,
) -> None:
    purse = await books.purse(100)
    for number in range(6):
        books.now = NOW - timedelta(days=number)  # each later posting has an earlier time
        await books.move(purse.budget, purse.provider, number + 1)
    pages, cursor = [], None
    while True:
        page = await books.run(
            lambda tx, cursor=cursor: service.statement(  # type: ignore[misc]
                tx, account_id=purse.budget, cursor=cursor, limit=3
            )
        )
        pages.append([line.version for line in page.items])
        cursor = page.next
        if cursor is None:
            break
    assert pages == [[1, 2, 3], [4, 5, 6], [7]]
    newest = await books.run(
        lambda tx: service.statement(tx, account_id=purse.budget, newest_first=True, limit=2)
    )
    assert [(line.version, line.amount_pence) for line in newest.items] == [(7, -6), (6, -5)]
    assert newest.items[0].previous_pence - 6 == newest.items[0].balance_pence == 79
    assert newest.items[0].other_kind == "provider"
    assert newest.items[0].code == "test.post"


async def test_a_statement_is_read_from_the_index_without_looking_at_the_rest(
    owner_connection: psycopg.Connection,
) -> None:
    with owner_connection.transaction():
        owner_connection.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"
        )
        plan = owner_connection.execute(
            "EXPLAIN SELECT * FROM ledger_postings"
            " WHERE account_id = '00000000-0000-7000-8000-000000000001'"
            " AND version > 5 ORDER BY version LIMIT 10"
        ).fetchall()
    told = "\n".join(str(line) for line in plan)
    assert "Merge Append" in told
    assert "->  Sort " not in told


async def test_an_operation_leaves_its_audit_entry_and_what_is_to_be_done_later(
    books: Books, owner_connection: psycopg.Connection
) -> None:
    purse = await books.purse(100)
    subject, key = Subject(type="pledge", id=uuid4()), uuid4().hex
    for _ in range(2):
        await books.post(
            Hold(account_id=purse.budget, amount_pence=5),
            key=key,
            code="pledge.made",
            subject=subject,
            later=Later(task="notices.send", payload={"pledge_id": subject.id}),
        )
    assert owner_connection.execute(
        "SELECT action, subject_type, actor_kind, at FROM audit_entries WHERE subject_id = %s",
        [subject.id],
    ).fetchall() == [("pledge.made", "pledge", "service", NOW)]
    assert owner_connection.execute(
        "SELECT task, not_before, done_at FROM outbox WHERE payload ->> 'pledge_id' = %s",
        [str(subject.id)],
    ).fetchall() == [("notices.send", NOW, None)]


async def test_a_source_s_money_adds_up_wherever_it_is(books: Books) -> None:
    purse = await books.purse(100_00)
    await books.move(purse.budget, purse.share, 60_00)
    await books.move(purse.share, purse.provider, 45_50)
    await books.hold(purse.budget, 7)
    totals = (
        await books.run(lambda tx: service.source_totals(tx, source_keys=[purse.source_key]))
    )[purse.source_key]
    assert totals.in_pence == 100_00
    assert totals.by_kind == {"budget": 40_00, "pool_share": 14_50, "provider": 45_50}
    assert totals.held_pence == 7
    assert totals.missing_pence == 0


async def test_a_batch_may_be_large_and_is_bounded(books: Books) -> None:
    purse = await books.purse(LINES_AT_ONCE)
    step = Transfer(debit_id=purse.budget, credit_id=purse.provider, amount_pence=1)
    done = await books.post(*[step] * LINES_AT_ONCE)
    assert len(set(done.ids)) == LINES_AT_ONCE
    assert await books.pence(purse.budget) == (0, 0)
    for wrong in ([], [step] * (LINES_AT_ONCE + 1)):
        with pytest.raises(ValueError, match="a batch has"):
            await books.post(*wrong)


async def test_every_kind_of_step_in_one_batch(books: Books, database: Database) -> None:
    purse = await books.purse(MAX_AMOUNT_PENCE)
    moved = await books.move(purse.budget, purse.share, 70)
    first, second = await books.hold(purse.budget, 10), await books.hold(purse.budget, 20)
    await books.post(
        Reverse(transfer_id=moved),
        PostHold(hold_id=first, credit_id=purse.provider, amount_pence=4),
        ReleaseHold(hold_id=second),
        Hold(account_id=purse.budget, amount_pence=9),
        Transfer(debit_id=purse.provider, credit_id=purse.share, amount_pence=3),
    )
    assert await books.pence(purse.budget) == (MAX_AMOUNT_PENCE - 4, MAX_AMOUNT_PENCE - 13)
    assert await books.pence(purse.provider) == (1, 1)
    assert await books.pence(purse.share) == (3, 3)
    async with database.read(actor=TESTS, now=NOW) as session:
        assert await invariants.look(session) == []
