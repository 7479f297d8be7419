"""The count of the books finds what is wrong with them, and says so aloud."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from structlog.testing import capture_logs

from api.core import metrics
from api.core.config import Settings
from api.core.db import Database
from api.ledger import invariants
from api.ledger.invariants import RULES
from tests.books import NOW, TESTS, Books
from tests.fixtures.servers import Servers
from workers import registry, rows, runtime
from workers.schedule import SCHEDULE
from workers.tasks import ledger

pytestmark = pytest.mark.anyio

_ACCOUNT = "(SELECT id FROM ledger_accounts WHERE kind = 'budget' LIMIT 1)"
# What an owner with a bad day could do, each past every trigger and check, and what then breaks.
DAMAGE = {
    "UPDATE ledger_accounts SET balance_pence = balance_pence + 1 WHERE kind = 'budget'": {
        "derived-is-stored",
        "conserved-by-source",
    },
    "UPDATE ledger_accounts SET version = version + 1 WHERE kind = 'budget'": {"derived-is-stored"},
    "UPDATE ledger_accounts SET held_pence = held_pence - 1 WHERE kind = 'budget'": {
        "held-within-posted"
    },
    "UPDATE ledger_accounts SET closed_at = now() WHERE kind = 'budget'": {"closed-is-empty"},
    "UPDATE ledger_transfers SET debit_version = debit_version + 5 WHERE hold_id IS NOT NULL": {
        "derived-is-stored",
        "versions-without-gaps",
    },
    "UPDATE ledger_transfers SET credit_balance_pence = 7 WHERE hold_id IS NOT NULL": {
        "versions-without-gaps"
    },
    "DELETE FROM ledger_transfers WHERE hold_id IS NOT NULL": {
        "derived-is-stored",
        "versions-without-gaps",
        "holds-end-once",
    },
    "DELETE FROM ledger_operations": {"no-orphan-transfer", "holds-end-once"},
    "UPDATE ledger_transfers SET amount_pence = amount_pence - 1 WHERE reverses_id IS NOT NULL": {
        "derived-is-stored",
        "versions-without-gaps",
        "no-orphan-transfer",
    },
    "DELETE FROM ledger_accounts WHERE kind = 'provider'": {
        "no-orphan-transfer",
        "conserved-by-source",
    },
    "DELETE FROM ledger_hold_ends WHERE kind = 'released'": {"holds-end-once"},
    "DELETE FROM ledger_hold_ends WHERE kind = 'posted'": {"holds-end-once", "no-orphan-transfer"},
    "UPDATE ledger_holds SET ended_at = NULL WHERE ended_at IS NOT NULL": {
        "held-within-posted",
        "holds-end-once",
    },
    "DELETE FROM ledger_holds WHERE ended_at IS NOT NULL": {"no-orphan-end"},
    "UPDATE ledger_hold_ends SET amount_pence = amount_pence + 1": {"holds-end-once"},
    "UPDATE ledger_hold_ends SET operation_id = uuidv7() WHERE kind = 'released'": {
        "holds-end-once"
    },
    "UPDATE ledger_transfers SET hold_id = (SELECT hold_id FROM ledger_hold_ends"
    " WHERE kind = 'released') WHERE hold_id IS NULL": {"no-orphan-transfer"},
    f"INSERT INTO ledger_holds VALUES (uuidv7(), uuidv7(), {_ACCOUNT}, 5, NULL, now(), NULL)": {
        "held-within-posted",
        "holds-end-once",
    },
}


@pytest.fixture(scope="module")
def damaged(servers: Servers) -> Settings:
    """Return settings for a database of its own, whose guards are about to be taken off."""
    return servers.settings(servers.clone())


@pytest.fixture
async def shown(damaged: Settings) -> AsyncIterator[tuple[Books, psycopg.Connection]]:
    """Lend small whole books and the owner's way to them; the books go afterwards."""
    database = Database(damaged.worker_url, application_name="kith-test")
    books = Books(database)
    purse = await books.purse(100)
    await books.pay(await books.hold(purse.budget, 30), purse.provider, 20)
    await books.release(await books.hold(purse.budget, 10))
    await books.reverse(await books.move(purse.budget, purse.provider, 5))
    await books.hold(purse.budget, 7)
    with psycopg.connect(damaged.migrate_url or "", autocommit=True) as owner:
        for table in ("accounts", "transfers", "holds", "hold_ends", "operations"):
            owner.execute(f"ALTER TABLE ledger_{table} DISABLE TRIGGER USER")
        owner.execute(
            "ALTER TABLE ledger_accounts DROP CONSTRAINT IF EXISTS ck_ledger_accounts_available"
        )
        yield books, owner
        owner.execute(
            "TRUNCATE ledger_accounts, ledger_transfers, ledger_holds, ledger_hold_ends,"
            " ledger_operations"
        )
        for table in ("accounts", "transfers", "holds", "hold_ends", "operations"):
            owner.execute(f"ALTER TABLE ledger_{table} ENABLE TRIGGER USER")
    await database.close()


async def _look(database: Database) -> set[str]:
    async with database.read(actor=TESTS, now=NOW) as session:
        return {one.rule for one in await invariants.look(session)}


async def test_whole_books_break_no_rule(shown: tuple[Books, psycopg.Connection]) -> None:
    assert await _look(shown[0].database) == set()


@pytest.mark.parametrize("damage", DAMAGE)
async def test_damage_is_found_by_the_rule_that_names_it(
    shown: tuple[Books, psycopg.Connection], damage: str
) -> None:
    books, owner = shown
    assert owner.execute(damage).rowcount >= 1
    assert await _look(books.database) == DAMAGE[damage]


def test_every_rule_is_broken_by_some_damage() -> None:
    assert set().union(*DAMAGE.values()) == set(RULES)


async def test_pages_leave_out_nothing(shown: tuple[Books, psycopg.Connection]) -> None:
    books, owner = shown
    for _ in range(5):
        await books.purse(10)
    owner.execute("UPDATE ledger_accounts SET version = version + 1 WHERE kind = 'budget'")
    found, after, pages = 0, UUID(int=0), 0
    async with books.database.read(actor=TESTS, now=NOW) as session:
        while after is not None:
            broken, following = await invariants.look_at_accounts(session, after=after, at_once=5)
            found, pages, after = found + sum(one.count for one in broken), pages + 1, following
        assert (found, pages) == (6, 5)
        broken, _ = await invariants.look_at_sources(session, after="", at_once=2)
        assert broken == []


async def test_the_task_sounds_the_alarm_and_is_left_for_a_person(
    shown: tuple[Books, psycopg.Connection],
) -> None:
    """The API tells it, which reads the outbox: what a worker counts in itself nobody sees."""
    books, owner = shown
    assert await _run(books, owner, "ledger.invariants") == "done"
    assert await _failing(books.database) == []
    owner.execute("UPDATE ledger_accounts SET version = version + 1 WHERE kind = 'budget'")
    with capture_logs() as logged:
        assert await _run(books, owner, "ledger.invariants") == "failed"
    assert [(one["event"], one.get("rule")) for one in logged if one["log_level"] == "error"] == [
        ("ledger-broken", "derived-is-stored"),
        ("task-failed", None),
    ]
    assert await _failing(books.database) == ['kith_outbox_failing{task="ledger.invariants"} 1.0']
    told = owner.execute(
        "SELECT last_error FROM outbox WHERE task = 'ledger.invariants' AND done_at IS NULL"
    ).fetchall()
    assert told == [("BooksBroken",)]


async def test_the_task_frees_holds_whose_time_is_over(
    shown: tuple[Books, psycopg.Connection],
) -> None:
    books, owner = shown
    purse = await books.purse(100)
    await books.hold(purse.budget, 60, lasts=timedelta(hours=1))
    assert await _run(books, owner, "ledger.expire") == "done"
    assert await books.pence(purse.budget) == (100, 100)
    assert await _look(books.database) == set()


def test_both_tasks_run_at_regular_times() -> None:
    assert ledger.expire.__doc__
    assert {"ledger.invariants", "ledger.expire"} <= {entry.task for entry in SCHEDULE}
    assert {"ledger.invariants", "ledger.expire"} <= set(registry.REGISTRY)


async def _failing(database: Database) -> list[str]:
    """Return what the API's figures say of tasks that fail."""
    async with database.public() as connection:
        figures = (await metrics.render(connection, now=NOW)).decode()
    return [line for line in figures.splitlines() if line.startswith("kith_outbox_failing{")]


async def _run(books: Books, owner: psycopg.Connection, name: str) -> str:
    """Run a task as a worker does, on an outbox row of its own."""
    row_id = uuid4()
    owner.execute(
        "INSERT INTO outbox (id, task, payload, correlation_id, created_at, not_before,"
        " lease_until, sent_at, attempts) VALUES (%s, %s, '{}', %s, now(), now(),"
        " now() + interval '1 minute', now(), 1)",
        [row_id, name, uuid4()],
    )
    return await runtime.run(
        rows=rows.Rows(books.database), name=name, outbox_id=row_id, lease_seconds=30
    )
