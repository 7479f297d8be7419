"""What a relay may take and when, on a simulated clock and with real commits."""

import threading
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.core.outbox import enqueue
from workers.relay import claim, give_back, stamp
from workers.rows import ATTEMPTS_LIMIT, LONGEST_BACKOFF_SECONDS, backoff_seconds

from .shop import START, TESTS, Shop, later

pytestmark = pytest.mark.anyio

LEASE = 30.0


def take(shop: Shop, *, at: float, batch: int = 200, in_flight: int = 400) -> list[UUID]:
    """Claim at so many seconds after START; return the ids to be sent."""
    rows = claim(
        shop.connection, now=later(at), lease_seconds=LEASE, batch=batch, in_flight=in_flight
    )
    return [row.id for row in rows if not row.dead]


async def test_a_claimed_row_is_left_alone_until_its_lease_is_over(shop: Shop) -> None:
    row_id = await shop.put("chores.nothing")
    assert take(shop, at=0) == [row_id]
    assert take(shop, at=LEASE - 0.001) == []
    assert take(shop, at=LEASE) == [row_id]


async def test_each_attempt_has_twice_the_lease_of_the_last(shop: Shop) -> None:
    row_id = await shop.put("chores.nothing")
    at, lease = 0.0, LEASE
    for attempt in range(1, 7):
        assert take(shop, at=at) == [row_id]
        assert shop.row(row_id)["lease_until"] == later(at + lease)
        assert shop.row(row_id)["attempts"] == attempt
        at, lease = at + lease, lease * 2


async def test_a_lease_is_never_longer_than_an_hour(shop: Shop) -> None:
    row_id = await shop.put("chores.nothing")
    shop.connection.execute("UPDATE outbox SET attempts = 9 WHERE id = %s", [row_id])
    assert take(shop, at=0) == [row_id]
    assert shop.row(row_id)["lease_until"] == START + timedelta(hours=1)


async def test_a_row_that_was_never_finished_is_given_up_at_the_limit(shop: Shop) -> None:
    row_id = await shop.put("chores.nothing")
    at = 0.0
    for _ in range(ATTEMPTS_LIMIT):
        assert take(shop, at=at) == [row_id]
        at += 3600
    given_up = claim(shop.connection, now=later(at), lease_seconds=LEASE)
    assert [(row.id, row.dead) for row in given_up] == [(row_id, True)]
    assert shop.row(row_id)["dead_at"] == later(at)
    assert take(shop, at=at + 100_000) == []


async def test_a_claim_given_back_does_not_count_and_is_free_at_once(shop: Shop) -> None:
    row_id = await shop.put("chores.nothing")
    for _ in range(ATTEMPTS_LIMIT + 2):
        assert take(shop, at=5) == [row_id]
        give_back(shop.connection, ids=[row_id], now=later(5))
    assert shop.row(row_id)["attempts"] == 0


async def test_a_row_is_not_claimed_before_its_time(shop: Shop) -> None:
    async with shop.database.write(actor=TESTS, now=START) as tx:
        row_id = await enqueue(
            tx, task="chores.nothing", payload={}, now=START, not_before=later(60)
        )
    assert take(shop, at=59) == []
    assert take(shop, at=60) == [row_id]


async def test_only_the_oldest_rows_are_in_flight(shop: Shop) -> None:
    ids = [await shop.put("chores.nothing", now=later(n)) for n in range(8)]
    assert sorted(take(shop, at=100, batch=3, in_flight=5)) == ids[:3]
    assert sorted(take(shop, at=100, batch=3, in_flight=5)) == ids[3:5]
    assert take(shop, at=100, batch=3, in_flight=5) == []
    shop.connection.execute("UPDATE outbox SET done_at = now() WHERE id = %s", [ids[1]])
    assert take(shop, at=100, batch=3, in_flight=5) == [ids[5]]


async def test_several_relays_never_claim_the_same_row(shop: Shop) -> None:
    ids = {await shop.put("chores.nothing") for _ in range(60)}
    claimed: list[UUID] = []
    ready = threading.Barrier(3)

    def relay() -> None:
        with psycopg.connect(shop.settings.worker_url, autocommit=True) as connection:
            ready.wait()
            for _ in range(40):
                claimed.extend(
                    row.id for row in claim(connection, now=later(1), lease_seconds=LEASE, batch=4)
                )

    threads = [threading.Thread(target=relay) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(ids)


async def test_a_row_being_merged_into_is_not_claimed_until_the_change_is_committed(
    shop: Shop,
) -> None:
    item = uuid4()
    row_id = await shop.put("chores.count", key=f"count:{item}", item=item)
    async with shop.database.write(actor=TESTS, now=START) as tx:
        merged = await enqueue(
            tx,
            task="chores.count",
            payload={"item": item},
            now=START,
            coalesce_key=f"count:{item}",
        )
        assert merged == row_id
        assert take(shop, at=1) == []
    assert take(shop, at=1) == [row_id]


async def test_a_change_after_the_claim_gets_a_row_of_its_own(shop: Shop) -> None:
    item = uuid4()
    first = await shop.put("chores.count", key=f"count:{item}", item=item)
    assert await shop.put("chores.count", key=f"count:{item}", item=item) == first
    assert take(shop, at=1) == [first]
    second = await shop.put("chores.count", key=f"count:{item}", item=item)
    assert second != first
    give_back(shop.connection, ids=[first], now=later(1))
    assert await shop.put("chores.count", key=f"count:{item}", item=item) == second
    assert sorted(take(shop, at=1)) == [first, second]


async def test_a_stamp_does_not_wait_for_a_worker_that_is_finishing(shop: Shop) -> None:
    held, free = [await shop.put("chores.nothing") for _ in range(2)]
    take(shop, at=0)
    with psycopg.connect(shop.settings.worker_url) as worker:
        worker.execute("UPDATE outbox SET done_at = now() WHERE id = %s", [held])
        shop.connection.execute("SET lock_timeout = 500")
        stamp(shop.connection, ids=[held, free], now=later(1))
    assert shop.row(held)["sent_at"] is None
    assert shop.row(free)["sent_at"] == later(1)


@pytest.mark.parametrize("words", ["Marigold likes tea", "café", "a" * 65, ""])
async def test_a_payload_with_words_is_refused(shop: Shop, words: str) -> None:
    with pytest.raises(ValueError, match="never words"):
        await shop.put("chores.note", item=words)
    assert shop.connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


@given(attempts=st.integers(min_value=1, max_value=10_000))
def test_the_wait_after_a_failure_doubles_up_to_an_hour(attempts: int) -> None:
    wait, next_wait = backoff_seconds(attempts=attempts), backoff_seconds(attempts=attempts + 1)
    assert wait == min(2**attempts, LONGEST_BACKOFF_SECONDS)
    assert next_wait in (2 * wait, LONGEST_BACKOFF_SECONDS)
