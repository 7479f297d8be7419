"""Migrations: they agree with the models, go down and up again, never block, and give no power.

Each test has a database of its own on the shared cluster.
"""

import importlib
import pkgutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

import api
from api.core.metadata import Base
from deploy.local import Stack
from deploy.migrate import NotReady, configuration, migrate, prepare_roles, state
from tests.fixtures.servers import API, OWNER, ROOT, WORKER, Servers

for package in pkgutil.iter_modules(api.__path__):
    if package.ispkg and importlib.util.find_spec(f"api.{package.name}.models"):
        importlib.import_module(f"api.{package.name}.models")

# Everything in a schema that a statement can change, in an order of its own.
_SCHEMA = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attgenerated, a.attidentity, pg_get_expr(d.adbin, d.adrelid), a.attacl::text
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')
            AND a.attnum > 0 AND NOT a.attisdropped""",
    "indexes": "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraints": """
        SELECT contype, conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace""",
    "tables": """
        SELECT relname, relkind, relrowsecurity, relforcerowsecurity, relacl::text,
            reloptions::text, pg_get_userbyid(relowner) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')""",
    "policies": """
        SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check
        FROM pg_policies""",
    "triggers": """
        SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger
        WHERE NOT tgisinternal""",
    "functions": """
        SELECT p.proname, pg_get_functiondef(p.oid), p.proacl::text FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM pg_depend d
            WHERE d.objid = p.oid AND d.deptype = 'e')""",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "comments": """
        SELECT c.relname, d.objsubid, d.description FROM pg_description d
        JOIN pg_class c ON c.oid = d.objoid AND c.relnamespace = 'public'::regnamespace""",
    "schema": "SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname = 'public'",
}


def look(url: str) -> dict[str, list[str]]:
    """Return all there is in a schema, as comparable text."""
    with psycopg.connect(url) as connection:
        return {
            kind: sorted(map(str, connection.execute(query).fetchall()))
            for kind, query in _SCHEMA.items()
        }


@pytest.fixture
def owner_url(servers: Servers) -> str:
    """Return the owner's address of a migrated database."""
    return servers.stack.database_url(role=OWNER, database=servers.clone())


@pytest.fixture
def empty(servers: Servers) -> Iterator[str]:
    """Lend the name of an empty database, which goes afterwards."""
    name = f"{servers.clone()}_e"
    servers.stack.ensure_database(name)
    yield name
    servers.stack.drop_database(name)


def addresses(stack: Stack, database: str) -> dict[str, str]:
    """Return the three sign-ins' addresses as migrate() takes them."""
    roles = {"owner_url": OWNER, "api_url": API, "worker_url": WORKER}
    return {name: stack.database_url(role=role, database=database) for name, role in roles.items()}


def test_models_and_migrations_agree(owner_url: str) -> None:
    engine = create_engine(make_url(owner_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        differences = compare_metadata(context, Base.metadata)
    engine.dispose()
    assert differences == []


def test_tables_made_from_the_models_have_the_same_columns_keys_and_indexes(
    servers: Servers, owner_url: str, empty: str
) -> None:
    """What compare_metadata does not look at: predicates, expressions, operator classes, names."""
    url = servers.stack.database_url(role=OWNER, database=empty)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gin")
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    Base.metadata.create_all(engine)
    engine.dispose()

    def comparable(found: dict[str, list[str]]) -> dict[str, list[str]]:
        ours = {
            kind: [one for one in found[kind] if "alembic_version" not in one]
            for kind in ("indexes", "constraints")
        }
        # Checks stand in the migrations alone: primary, foreign and unique keys in both.
        ours["constraints"] = [one for one in ours["constraints"] if one[2] in "pfu"]
        return ours

    migrated, modelled = comparable(look(owner_url)), comparable(look(url))
    assert modelled["indexes"] == migrated["indexes"]
    assert modelled["constraints"] == migrated["constraints"]


def test_down_to_nothing_and_up_again_leaves_the_same_schema(servers: Servers) -> None:
    database = servers.clone()
    urls = addresses(servers.stack, database)
    before = look(urls["owner_url"])
    command.downgrade(configuration(urls["owner_url"]), "base")
    left = look(urls["owner_url"])
    assert [one for one in left["tables"] if "alembic_version" not in one] == []
    assert left["functions"] == []
    assert left["policies"] == []
    assert state(urls["owner_url"]).at is None
    after = migrate(**urls)
    assert not after.pending
    assert look(urls["owner_url"]) == before


def test_each_step_down_can_be_taken_alone_and_back(servers: Servers) -> None:
    """A release that has to be taken back is one step, not seven."""
    urls = addresses(servers.stack, servers.clone())
    config = configuration(urls["owner_url"])
    before = look(urls["owner_url"])
    versions = Path(config.get_main_option("script_location") or "") / "versions"
    for _ in range(len(list(versions.glob("m0*.py")))):
        command.downgrade(config, "-1")
        below = look(urls["owner_url"])
        command.upgrade(config, "+1")
        command.downgrade(config, "-1")
        assert look(urls["owner_url"]) == below
    migrate(**urls)
    assert look(urls["owner_url"]) == before


def test_a_migration_gives_up_on_a_table_in_use_changes_nothing_and_can_be_run_again(
    servers: Servers,
) -> None:
    urls = addresses(servers.stack, servers.clone())
    config = configuration(urls["owner_url"])
    command.downgrade(config, "0006")
    before = look(urls["owner_url"])
    with psycopg.connect(urls["owner_url"]) as reader:
        # 0007 adds a column to practicalities, which somebody is reading.
        reader.execute("SELECT count(*) FROM practicalities")
        with pytest.raises(OperationalError, match="lock timeout"):
            command.upgrade(config, "head")
        assert look(urls["owner_url"]) == before
        assert state(urls["owner_url"]).at == "0006"
        # Whoever came in between was not held up either.
        with psycopg.connect(urls["owner_url"], options="-c lock_timeout=100ms") as another:
            another.execute("SELECT count(*) FROM practicalities")
    command.upgrade(config, "head")
    assert not state(urls["owner_url"]).pending


def test_the_sign_ins_of_the_application_have_no_power_over_tables_or_policies(
    servers: Servers,
) -> None:
    rows = servers.superuser(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication"
        " FROM pg_roles WHERE rolname IN"
        " ('kith_api', 'kith_worker', 'kith_app', 'kith_match') ORDER BY 1"
    )
    assert [row[0] for row in rows] == ["kith_api", "kith_app", "kith_match", "kith_worker"]
    assert all(row[1:] == (False,) * 5 for row in rows)
    owned = "SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) <> %s"
    url = servers.stack.database_url(role=OWNER, database=servers.clone())
    with psycopg.connect(url) as connection:
        found = connection.execute(
            owned + " AND relnamespace = 'public'::regnamespace", [OWNER]
        ).fetchone()
        assert found == (0,)


def test_only_the_workers_may_take_the_matchers_role_and_nobody_the_owners(
    servers: Servers,
) -> None:
    database = servers.clone()
    matcher, owner = sql.Identifier("kith_match"), sql.Identifier(OWNER)
    for role, allowed in ((API, False), (WORKER, True)):
        url = servers.stack.database_url(role=role, database=database)
        with psycopg.connect(url, autocommit=True) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(sql.SQL("SET ROLE {}").format(owner))
            # The matcher's rights are not inherited: nobody has them without asking.
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT * FROM match_people")
            if not allowed:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(sql.SQL("SET ROLE {}").format(matcher))
                continue
            connection.execute(sql.SQL("SET ROLE {}").format(matcher))
            connection.execute("SELECT * FROM match_people")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT words FROM statements")


def test_a_sign_in_that_could_see_past_policies_is_refused(servers: Servers, empty: str) -> None:
    urls = addresses(servers.stack, empty)
    with pytest.raises(NotReady, match="row-level security"):
        migrate(**urls | {"api_url": urls["owner_url"]})


def test_two_databases_of_a_new_cluster_can_be_migrated_at_once(tmp_path: Path) -> None:
    """Roles belong to the cluster: all want to make them, and grant them, at the same moment."""
    stack = Stack(tmp_path / "home")
    stack.start_postgres()
    names = [f"kith_{number}" for number in range(3)]
    code = "import sys; from deploy.migrate import migrate; migrate(**eval(sys.argv[1]))"
    try:
        for name in names:
            stack.ensure_database(name)
        together, problems = threading.Barrier(len(names)), []

        def make_roles(name: str) -> None:
            together.wait()
            try:
                prepare_roles(**addresses(stack, name))
            except Exception as error:
                problems.append(error)

        threads = [threading.Thread(target=make_roles, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        # Processes, as in life: Alembic keeps its context in globals.
        several = [
            subprocess.Popen(
                [sys.executable, "-c", code, repr(addresses(stack, name))],
                cwd=ROOT,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in names
        ]
        for one in several:
            _, told = one.communicate(timeout=60)
            assert one.returncode == 0, told
        first, *others = (look(addresses(stack, name)["owner_url"]) for name in names)
        assert all(other == first for other in others)
    finally:
        stack.reset()
