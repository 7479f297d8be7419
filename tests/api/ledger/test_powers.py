"""Who may do what: the application moves money by the one function and changes nothing else."""

import psycopg
import pytest
from psycopg import errors, sql

from api.core.config import Settings
from tests.books import TABLES, Books

pytestmark = pytest.mark.anyio

FUNCTIONS = ("ledger_post", "ledger_expire", "ledger_open", "ledger_close")
ONLY_GROW = ("ledger_operations", "ledger_transfers", "ledger_hold_ends")


def _change(table: str, how: str, connection: psycopg.Connection) -> None:
    """Try to change every row of a table, with values that would even be allowed in it."""
    name = sql.Identifier(table)
    statements = {
        "insert": "INSERT INTO {} SELECT * FROM {} LIMIT 1",
        "update": "UPDATE {} SET {} = {}",
        "delete": "DELETE FROM {}",
        "truncate": "TRUNCATE {} CASCADE",
    }
    row = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", [table]
    ).fetchone()
    assert row is not None
    names = {"update": [name, *[sql.Identifier(row[0])] * 2], "insert": [name, name]}
    connection.execute(sql.SQL(statements[how]).format(*names.get(how, [name])))


@pytest.mark.parametrize("how", ["insert", "update", "delete", "truncate"])
@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("who", ["api", "worker"])
async def test_the_application_writes_to_no_table_of_the_ledger(
    books: Books, settings: Settings, who: str, table: str, how: str
) -> None:
    purse = await books.purse(10)
    await books.release(await books.hold(purse.budget, 1))
    url = settings.database_url if who == "api" else settings.worker_url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("SELECT * FROM {} LIMIT 1").format(sql.Identifier(table)))
        with pytest.raises(errors.InsufficientPrivilege):
            _change(table, how, connection)


@pytest.mark.parametrize("how", ["update", "delete", "truncate"])
@pytest.mark.parametrize("table", ONLY_GROW)
async def test_not_even_the_owner_changes_what_only_grows(
    books: Books, owner_connection: psycopg.Connection, table: str, how: str
) -> None:
    purse = await books.purse(10)
    await books.release(await books.hold(purse.budget, 1))
    with pytest.raises(errors.RestrictViolation, match="only grows"):
        _change(table, how, owner_connection)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ledger_accounts",
        "TRUNCATE ledger_accounts",
        "UPDATE ledger_accounts SET kind = 'other'",
        "UPDATE ledger_accounts SET source_key = 'other'",
        "UPDATE ledger_accounts SET may_go_negative = true",
        "DELETE FROM ledger_holds",
        "TRUNCATE ledger_holds",
        "UPDATE ledger_holds SET amount_pence = amount_pence + 1",
        "UPDATE ledger_holds SET ended_at = NULL",
        "UPDATE ledger_holds SET expires_at = now()",
    ],
)
async def test_not_even_the_owner_makes_an_account_or_a_hold_another_one(
    books: Books, owner_connection: psycopg.Connection, statement: str
) -> None:
    purse = await books.purse(10)
    await books.release(await books.hold(purse.budget, 1))
    with pytest.raises(errors.RestrictViolation):
        owner_connection.execute(statement)


@pytest.mark.parametrize(
    "change",
    [
        "balance_pence = -1",
        "held_pence = balance_pence + 1",
        "held_pence = -1",
    ],
)
async def test_not_even_the_owner_takes_an_account_below_zero(
    books: Books, owner_connection: psycopg.Connection, change: str
) -> None:
    purse = await books.purse(10)
    with pytest.raises(errors.CheckViolation):
        owner_connection.execute(
            f"UPDATE ledger_accounts SET {change} WHERE id = %s", [purse.budget]
        )


@pytest.mark.parametrize(
    "values",
    [
        "'Budget', 'a', 'a', 'GBP', false, now(), NULL, 0, 0, 0",
        "'budget', 'a b', 'a', 'GBP', false, now(), NULL, 0, 0, 0",
        "'budget', 'a', '', 'GBP', false, now(), NULL, 0, 0, 0",
        "'budget', 'a', 'a', 'EUR', false, now(), NULL, 0, 0, 0",
        "'budget', 'a', 'a', 'GBP', true, now(), NULL, 0, 0, 0",
        "'budget', 'a', 'a', 'GBP', false, now(), now(), 0, 0, 0",
        "'budget', 'a', 'a', 'GBP', false, now(), NULL, 5, 0, 0",
        "'source', 'a', 'a', 'GBP', true, now(), NULL, -5, 0, 0",
    ],
)
def test_an_account_opens_empty_and_under_codes(
    owner_connection: psycopg.Connection, values: str
) -> None:
    with pytest.raises(errors.CheckViolation):
        owner_connection.execute(f"INSERT INTO ledger_accounts VALUES (uuidv7(), {values})")


def test_the_four_functions_are_the_application_s_alone_and_keep_to_their_own_names(
    owner_connection: psycopg.Connection,
) -> None:
    rows = owner_connection.execute(
        "SELECT p.proname, p.prosecdef, pg_get_userbyid(p.proowner), p.proconfig,"
        " has_function_privilege('kith_app', p.oid, 'EXECUTE'),"
        " EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0)"
        " FROM pg_proc p WHERE p.proname LIKE 'ledger\\_%'"
    ).fetchall()
    assert len(rows) > len(FUNCTIONS)
    for name, definer, owner, config, granted, public in rows:
        assert owner == "kith_owner"
        assert not public
        assert (definer, granted) == (name in FUNCTIONS,) * 2, name
        if definer:
            assert "search_path=public, pg_temp" in config


@pytest.mark.parametrize(
    "function",
    ["ledger_refuse('KL001', 'x', '{}')", "ledger_stem(now(), 'x')", "ledger_told()"],
)
def test_what_the_functions_are_made_of_is_nobody_s(
    app_connection: psycopg.Connection, function: str
) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        app_connection.execute(f"SELECT {function}")


async def test_a_table_of_the_caller_s_own_does_not_stand_in_for_the_ledger_s(
    books: Books, settings: Settings
) -> None:
    """A temporary table of the same name, and functions found first, must change nothing."""
    purse = await books.purse(10)
    with psycopg.connect(settings.database_url) as connection:
        connection.execute(
            "CREATE TEMP TABLE ledger_accounts AS SELECT * FROM public.ledger_accounts"
        )
        connection.execute("UPDATE pg_temp.ledger_accounts SET balance_pence = 1000000")
        connection.execute("SET search_path = pg_temp, public")
        connection.execute(
            "SELECT set_config('app.actor_kind', 'service', true),"
            " set_config('app.now', '2027-01-01T00:00Z', true)"
        )
        with pytest.raises(psycopg.Error) as caught:
            connection.execute(
                "SELECT public.ledger_post('k', 'x', 'test.post', NULL, NULL, NULL, NULL, NULL,"
                " '{hold}', ARRAY[%s]::uuid[], '{NULL}', '{11}', '{NULL}')",
                [purse.budget],
            )
        assert caught.value.sqlstate == "KL001"


@pytest.mark.parametrize("told", ["app.actor_kind", "app.now"])
async def test_nothing_moves_without_somebody_who_acts_and_a_time(
    books: Books, app_connection: psycopg.Connection, told: str
) -> None:
    purse = await books.purse(10)
    values = {"app.actor_kind": "service", "app.now": "2027-01-01T00:00Z"} | {told: ""}
    with app_connection.transaction(force_rollback=True):
        for name, value in values.items():
            app_connection.execute("SELECT set_config(%s, %s, true)", [name, value])
        for call in (
            "ledger_post('k', 'x', 'test.post', NULL, NULL, NULL, NULL, NULL,"
            " '{hold}', ARRAY[%s]::uuid[], '{NULL}', '{1}', '{NULL}')",
            "ledger_open(ARRAY[%s]::uuid[], '{budget}', '{a}', '{a}', '{f}')",
            "ledger_close(%s)",
        ):
            with pytest.raises(psycopg.Error) as caught, app_connection.transaction():
                app_connection.execute(f"SELECT {call}", [purse.budget])
            assert caught.value.sqlstate == "KL000"
