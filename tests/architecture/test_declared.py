"""Every table, column and route of the real application declares what it must."""

import importlib
import pkgutil

import psycopg
import pytest
from sqlalchemy import MetaData

import api

from .declared import personal_tables, route_violations, table_violations

NOWHERE = {
    "KITH_DATABASE_URL": "postgresql://kith_api@nowhere.invalid/kith",
    "KITH_BROKER_URL": "redis://nowhere.invalid/0",
}


@pytest.fixture(scope="module")
def metadata() -> MetaData:
    """Return every table of the application, whichever module it stands in."""
    for module in pkgutil.walk_packages(api.__path__, "api."):
        importlib.import_module(module.name)
    return importlib.import_module("api.core.metadata").Base.metadata


def test_every_table_and_every_personal_column_declares_itself(metadata: MetaData) -> None:
    sharing_rules = importlib.import_module("api.core.metadata").SHARING_RULES
    found = table_violations(tables=metadata.tables.values(), rules=sharing_rules)
    assert metadata.tables
    assert not found, "\n".join(found)


def test_every_personal_table_is_behind_row_level_security(
    metadata: MetaData, owner_connection: "psycopg.Connection[tuple[str]]"
) -> None:
    behind = {
        name
        for (name,) in owner_connection.execute(
            "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE relkind IN ('r', 'p') AND relrowsecurity AND nspname = 'public'"
        )
    }
    open_to_all = [name for name in personal_tables(metadata) if name not in behind]
    assert personal_tables(metadata)
    assert not open_to_all


def test_no_view_steps_around_the_policies(
    metadata: MetaData, owner_connection: "psycopg.Connection[tuple[str]]"
) -> None:
    """A plain view reads with its owner's rights, so over a personal table it says why it may.

    The reason is the view's comment in the database: ``rule: view because <reason>``.
    """
    around = owner_connection.execute(
        "SELECT DISTINCT view.relname FROM pg_depend"
        " JOIN pg_rewrite ON pg_rewrite.oid = pg_depend.objid"
        " JOIN pg_class AS view ON view.oid = pg_rewrite.ev_class"
        " JOIN pg_class AS seen ON seen.oid = pg_depend.refobjid"
        " WHERE view.relkind IN ('v', 'm') AND seen.relname = ANY (%s)"
        " AND NOT coalesce('security_invoker=true' = ANY (view.reloptions), false)"
        " AND coalesce(obj_description(view.oid, 'pg_class'), '') NOT LIKE 'rule: view because %%'",
        (personal_tables(metadata),),
    ).fetchall()
    assert not around


def test_every_route_declares_its_authorisation() -> None:
    application = importlib.import_module("api.app")
    settings = importlib.import_module("api.core.config").Settings.from_environment(NOWHERE)
    routes = application.create_app(settings).routes
    found = route_violations(routes)
    assert routes
    assert not found, "\n".join(found)
