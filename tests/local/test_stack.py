"""The servers themselves: started, found, mended, stopped."""

import os
import pwd
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
import redis
from kombu import Connection

from deploy.local import Stack, StackError, identity, layout
from tests.local.conftest import eventually


def rows(stack: Stack) -> list[int]:
    with psycopg.connect(stack.database_url(role="kith_owner", database="kept")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM kept ORDER BY id")]


def test_both_servers_run_and_say_which_they_are(running: Stack) -> None:
    status = running.status()
    assert status.running
    assert status.postgres.version is not None
    assert status.postgres.version.startswith("18.")
    assert status.valkey.version is not None
    assert status.sockets == running.home / "run"


def test_starting_again_finds_the_same_servers(running: Stack) -> None:
    another = Stack(running.home)
    another.start()
    assert another.status() == running.status()
    assert not another.release()


def test_the_owner_makes_extensions_and_roles_and_is_no_superuser(running: Stack) -> None:
    running.ensure_database("owned")
    url = running.database_url(role="kith_owner", database="owned")
    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("pg_trgm", "btree_gist", "btree_gin"):
            connection.execute(f"CREATE EXTENSION {name}")
        connection.execute("CREATE ROLE made_by_owner LOGIN")
        connection.execute("DROP ROLE made_by_owner")
        found = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert found.fetchone() == (False,)
    running.drop_database("owned")


def test_a_database_is_made_once_and_copied_from_a_template(running: Stack) -> None:
    assert running.ensure_database("kith_first")
    assert not running.ensure_database("kith_first")
    with psycopg.connect(
        running.database_url(role="kith_owner", database="kith_first")
    ) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS id")
    assert running.ensure_database("kept", template="kith_first")
    assert rows(running) == [7]
    running.drop_database("kith_first")
    running.drop_database("kept")
    running.drop_database("kept")


def test_nothing_is_lost_when_power_is_cut_and_no_words_reach_the_log(running: Stack) -> None:
    with psycopg.connect(
        running.database_url(role="postgres", database="postgres"), autocommit=True
    ) as connection:
        settings = dict(connection.execute("SELECT name, setting FROM pg_settings").fetchall())
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute("SELECT 'likes brass bands'::int")
    assert settings["fsync"] == settings["synchronous_commit"] == "on"
    assert settings["listen_addresses"] == ""
    assert settings["log_parameter_max_length_on_error"] == "0"
    log = (running.home / "logs" / "postgres.log").read_text()
    assert "ready to accept connections" in log
    assert "brass bands" not in log


def test_rows_and_messages_survive_kill_nine(running: Stack) -> None:
    running.ensure_database("kept")
    with psycopg.connect(running.database_url(role="kith_owner", database="kept")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
    client = redis.Redis.from_url(running.redis_url())
    client.set("message", "still here")
    client.execute_command("WAITAOF", 1, 0, 5000)
    before = running.status()
    running.kill_postgres()
    running.stop_valkey(kill=True)
    assert not running.status().running
    running.start()
    assert rows(running) == [1]
    assert client.get("message") == b"still here"
    assert running.status().postgres.pid != before.postgres.pid
    running.drop_database("kept")


def test_a_queue_can_be_lost_or_damaged_and_valkey_starts_all_the_same(running: Stack) -> None:
    client = redis.Redis.from_url(running.redis_url())
    client.set("message", "x" * 100)
    running.stop_valkey()
    for log in (running.home / "valkey" / "appendonlydir").glob("*.incr.aof"):
        log.write_bytes(b"*1\r\nno such thing\r\n" * 20)
    said: list[str] = []
    running.start(said.append)
    assert any("damaged" in line for line in said)
    assert client.get("message") is None
    client.set("message", "y")
    running.stop_valkey(kill=True, lose_data=True)
    running.start_valkey()
    assert client.get("message") is None


def test_a_process_that_got_a_recycled_id_is_left_alone(running: Stack) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        running.stop()
        # What a crash leaves: pid files, whose number has gone to somebody else since.
        kept = (
            f"{stranger.pid}\n{running.home}/postgres\n1\n5432\n{running.home}/run\n\n 1 1\nready"
        )
        (running.home / "postgres" / "postmaster.pid").write_text(kept)
        (running.home / "run" / f"{layout.POSTGRES_SOCKET}.lock").write_text(kept)
        (running.home / "run" / "valkey.pid").write_text(str(stranger.pid))
        assert not running.status().running
        running.stop()
        assert stranger.poll() is None
        running.start()
        assert running.status().running
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_servers_whose_sockets_were_swept_away_are_started_again(running: Stack) -> None:
    for name in (layout.POSTGRES_SOCKET, layout.VALKEY_SOCKET):
        (running.home / "run" / name).unlink()
    running.start()
    assert running.status().running


def test_servers_stay_while_another_process_uses_them(running: Stack) -> None:
    another = Stack(running.home)
    another.start()
    assert not another.release()
    assert running.status().running
    assert running.release()
    assert not running.status().running


def test_a_long_path_gets_short_sockets_and_reset_leaves_nothing(tmp_path: Path) -> None:
    stack = Stack(tmp_path / ("a long name " * 9) / "home")
    stack.start()
    sockets = stack.status().sockets
    assert sockets is not None
    assert len(str(sockets)) < 80
    assert sockets.stat().st_mode & 0o077 == 0
    assert Stack(stack.home).database_url(role="a", database="b") == stack.database_url(
        role="a", database="b"
    )
    with Connection(stack.broker_url()) as connection:
        connection.connect()
    stack.reset()
    assert not sockets.exists()
    assert {path.name for path in stack.home.iterdir()} == {"lock", "in_use"}
    assert not stack.status().running


def test_two_starts_at_once_make_one_stack(fresh: Stack, child_environment: dict[str, str]) -> None:
    script = (
        "import sys; from pathlib import Path; from deploy.local import Stack\n"
        "s = Stack(Path(sys.argv[1])); s.start(); s.ensure_database('kith')\n"
        "print(s.status().postgres.pid, s.status().valkey.pid)"
    )
    command = [sys.executable, "-c", script, str(fresh.home)]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=child_environment) for _ in range(2)
    ]
    answers = {process.communicate(timeout=60)[0] for process in started}
    assert len(answers) == 1
    # Nobody's child any more, so found by its files alone.
    status = fresh.status()
    assert f"{status.postgres.pid} {status.valkey.pid}\n".encode() in answers
    os.kill(status.postgres.pid or 0, signal.SIGKILL)
    assert eventually(lambda: not fresh.status().postgres.running)
    fresh.start()
    assert fresh.status().running
    assert not fresh.ensure_database("kith")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give way to another account")
def test_root_without_user_namespaces_runs_it_as_nobody(
    fresh: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder above is 0700 and root's, so that the data has to lie elsewhere."""
    monkeypatch.setattr(identity, "for_new_cluster", lambda **_: identity.nobody())
    fresh.start()
    monkeypatch.undo()
    again = Stack(fresh.home)
    place = layout.read(home=fresh.home)
    assert place is not None
    assert place.postgres_data.stat().st_uid == identity.nobody().uid
    assert again.status() == fresh.status()
    fresh.stop()
    again.start()
    assert again.status().running
    again.reset()
    assert not Path(place.root).exists() or place.root == place.home


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work in another account's folder")
def test_what_root_starts_in_another_accounts_home_belongs_to_that_account() -> None:
    owner = pwd.getpwnam("daemon")
    with tempfile.TemporaryDirectory() as folder:
        # Not below the tests' own folder, which is root's alone.
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        stack = Stack(Path(folder))
        stack.start()
        try:
            owners = {path.stat().st_uid for path in Path(folder).rglob("*") if path.exists()}
            assert owners == {owner.pw_uid}
            stack.stop_valkey(kill=True)
            stack.kill_postgres()
            stack.start()
            assert stack.status().running
        finally:
            stack.reset()


def test_data_of_another_release_is_refused_with_a_way_out(fresh: Stack) -> None:
    (fresh.home / "postgres").mkdir(parents=True)
    (fresh.home / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(StackError, match="written by PostgreSQL 17, and this is 18"):
        fresh.start()
