"""What a command makes sure of before it touches a database."""

from dataclasses import replace

import psycopg
import pytest

from api.core.config import Settings
from deploy.cli.world import World, check_ready, prepare, purpose_of
from deploy.migrate import NotReady, plain
from tests.fixtures.servers import Servers


def _quiet(_: str) -> None:
    pass


def _world(settings: Settings) -> World:
    return World(settings=settings, stack=None, database="")


def test_the_demo_leaves_a_database_that_is_not_its_own_alone(servers: Servers) -> None:
    live = _world(servers.settings(servers.clone()))
    prepare(live, purpose="live", say=_quiet) if purpose_of(live) != "test" else None
    before = purpose_of(live)
    with pytest.raises(NotReady, match="so it is left alone"):
        prepare(live, purpose="demo", say=_quiet, afresh=True)
    assert purpose_of(live) == before


def test_a_database_with_tables_of_others_is_left_alone(servers: Servers) -> None:
    name = "kith_test_foreign"
    servers.stack.ensure_database(name)
    try:
        world = _world(servers.settings(name))
        with psycopg.connect(plain(world.owner_url), autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS somebody_elses (id int)")
        with pytest.raises(NotReady, match="tables that Kith did not make"):
            prepare(world, purpose="demo", say=_quiet, afresh=True)
    finally:
        servers.stack.drop_database(name)


def test_the_demo_empties_its_own_database_and_no_other(servers: Servers) -> None:
    name = "kith_test_demo"
    servers.stack.ensure_database(name)
    try:
        world = _world(servers.settings(name))
        prepare(world, purpose="demo", say=_quiet, afresh=True)
        with psycopg.connect(plain(world.owner_url), autocommit=True) as connection:
            connection.execute("INSERT INTO areas VALUES (uuidv7(), 'old', 'Old', '{}', 1, now())")
        prepare(world, purpose="demo", say=_quiet, afresh=True)
        with psycopg.connect(plain(world.owner_url)) as connection:
            row = connection.execute("SELECT count(*) FROM areas").fetchone()
        assert row == (0,)
    finally:
        servers.stack.drop_database(name)


def test_pending_migrations_are_told_with_what_to_do(servers: Servers) -> None:
    name = "kith_test_empty"
    servers.stack.ensure_database(name)
    try:
        with pytest.raises(NotReady, match=r"Run './kith migrate' first"):
            check_ready(servers.settings(name))
    finally:
        servers.stack.drop_database(name)


def test_a_sign_in_that_could_see_past_the_policies_is_refused(servers: Servers) -> None:
    settings = servers.settings(servers.clone())
    powerful = replace(settings, database_url=settings.migrate_url or "")
    with pytest.raises(NotReady, match="see past row-level security"):
        prepare(_world(powerful), purpose=purpose_of(_world(settings)) or "live", say=_quiet)
