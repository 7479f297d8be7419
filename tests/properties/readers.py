"""Whoever looks at somebody's rows, and what they see, add and change there."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from sqlalchemy import Table, Uuid

from api.core.metadata import Base
from tests.make import Account, now

WORDS = "Quietwords-kaleidoscope"

PERSONAL: list[Table] = [
    table for table in Base.metadata.sorted_tables if table.info.get("personal") is True
]
# Kept for the person's sake and read by no policy of theirs: see the slice that writes them.
TEXT_IDS = {"idempotency_keys": ("resource",)}
# What is the whole group's is about the person in the group's tables, and there only where no row
# says whose it is.
OF_THE_GROUP = ("pool_id", "vote_id")
_BEFORE = 3  # a transaction is begun, the settings, the role


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who looks: what a transaction of theirs is told, and their token if they have one.

    ``due`` is what they may see: "nothing", or a reason why not nothing. ``let_in``: the
    group whose code they have just shown.
    """

    kind: str
    id: UUID | None = None
    subject_id: UUID | None = None
    headers: Mapping[str, str] | None = field(default=None, hash=False)
    due: str = "nothing"
    at: datetime | None = None
    key: str = ""
    let_in: UUID | None = None


def signed_in(account: Account, *, due: str = "nothing") -> Reader:
    return Reader("person", account.id, headers=account.headers, due=due)


def id_columns(table: Table) -> list[str]:
    """Return the columns of a table that may name a person or what is theirs."""
    found = [column.name for column in table.columns if isinstance(column.type, Uuid)]
    return [*found, *TEXT_IDS.get(table.name, ())]


def about(table: Table, ids: Mapping[str, UUID]) -> sql.Composed:
    """Return the condition for rows that are about the person."""
    shared = table.name.startswith("pool") and "person_id" not in table.columns
    wanted = sql.Literal(
        [str(one) for name, one in ids.items() if shared or name not in OF_THE_GROUP]
    )
    either = [
        sql.SQL("{}::text = ANY ({})").format(sql.Identifier(name), wanted)
        for name in id_columns(table)
        if name not in ("area_id", "worker_account_id", "run_id", "outbox_id")
    ]
    return sql.SQL(" OR ").join(either)


@contextmanager
def looking(
    connection: psycopg.Connection, reader: Reader, *, role: str = "kith_api"
) -> Iterator[psycopg.Connection]:
    """Be somebody for one transaction, in the application's role, and keep nothing of it."""
    with connection.transaction(force_rollback=True):
        connection.execute(becoming(reader, role=role).encode())
        yield connection


def becoming(reader: Reader, *, role: str = "kith_api") -> str:
    """Return the statements by which the rest of a transaction is a reader's."""
    told = {
        "actor_kind": reader.kind,
        "actor_id": str(reader.id or ""),
        "subject_id": str(reader.subject_id or ""),
        "now": (reader.at or now()).isoformat(),
        "idempotency_key": f"person:{reader.id} {reader.key}" if reader.key else "",
        "pool_let_in": str(reader.let_in or ""),
    }
    settings = ", ".join(
        f"set_config('app.{name}', '{value}', true)" for name, value in told.items()
    )
    return f"SELECT {settings}; SET LOCAL ROLE {role}"


@cache
def _become(reader: Reader) -> str:
    return becoming(reader)


def rows_seen(
    connection: psycopg.Connection, reader: Reader, table: Table, ids: Mapping[str, UUID]
) -> int | str:
    """Count the person's rows that a reader sees in a table; an SQLSTATE when it may not look."""
    statement = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(
        sql.Identifier(table.name), about(table, ids)
    )
    return _outcome(connection, reader, statement)


def tables_seen(
    connection: psycopg.Connection, reader: Reader, ids: Mapping[str, UUID]
) -> set[str]:
    """Return the personal tables in which a reader sees any row of the person's, in one look."""
    any_of = [
        sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {} WHERE {})").format(
            sql.Literal(table.name), sql.Identifier(table.name), about(table, ids)
        )
        for table in PERSONAL
    ]
    with looking(connection, reader):
        rows = connection.execute(sql.SQL(" UNION ALL ").join(any_of)).fetchall()
    return {str(row[0]) for row in rows}


def all_seen(connection: psycopg.Connection, reader: Reader, table: Table) -> int | str:
    """Count all the rows that a reader sees in a table, whoever they are about."""
    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table.name))
    return _outcome(connection, reader, statement)


def rows_changed(
    connection: psycopg.Connection, reader: Reader, table: Table, column: str
) -> int | str:
    """Count the rows that a reader could change without reading any; an SQLSTATE on an error."""
    statement = sql.SQL("UPDATE {} SET {} = DEFAULT")
    return _outcome(
        connection, reader, statement.format(sql.Identifier(table.name), sql.Identifier(column))
    )


def row_added(
    connection: psycopg.Connection, reader: Reader, table: Table, row: dict[str, object]
) -> int | str:
    """Try to put a copy of one of the person's rows in, as a reader."""
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in row)
    values = sql.SQL(", ").join(sql.Literal(value) for value in row.values())
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table.name), columns, values
    )
    return _outcome(connection, reader, statement)


def _outcome(connection: psycopg.Connection, reader: Reader, statement: sql.Composed) -> int | str:
    """Return what a statement of a reader's comes to, in one round trip; nothing is kept."""
    inside = connection.info.transaction_status != TransactionStatus.IDLE
    begin, undo = ("SAVEPOINT look", "ROLLBACK TO look") if inside else ("BEGIN", "ROLLBACK")
    asked = statement.as_string(connection)
    whole = f"{begin}; {_become(reader)}; {asked}; {undo}"
    try:
        cursor = connection.execute(whole.encode(), prepare=False)
    except psycopg.Error as error:
        connection.execute(undo)
        return error.sqlstate or type(error).__name__
    for _ in range(_BEFORE):
        cursor.nextset()
    row = cursor.fetchone() if cursor.description else (cursor.rowcount,)
    return int(row[0]) if row is not None else 0
