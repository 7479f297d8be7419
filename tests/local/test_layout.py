"""The pure parts: where sockets fit, whose process it is, what the urls look like."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg.conninfo

from deploy.local import layout, logs, pids
from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from tests.local.conftest import eventually


def place(*, sockets: str | None) -> layout.Layout:
    return layout.Layout("/h", "/h", sockets, 5432 if sockets else 6001, 0 if sockets else 6002)


def test_a_folder_too_deep_for_a_socket_does_not_fit(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    assert layout.fits_a_socket(directory=tmp_path)
    assert not layout.fits_a_socket(directory=deep)
    assert list(tmp_path.iterdir()) == [deep]


def test_a_folder_that_cannot_hold_a_socket_does_not_fit(tmp_path: Path) -> None:
    assert not layout.fits_a_socket(directory=tmp_path / "absent")


def test_the_layout_of_a_copied_home_is_decided_anew(tmp_path: Path) -> None:
    first = layout.decide(home=tmp_path / "first")
    assert layout.read(home=tmp_path / "first") == first
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "layout.json").write_text(
        (tmp_path / "first" / "layout.json").read_text()
    )
    assert layout.read(home=tmp_path / "second") is None


def test_socket_urls_survive_spaces_and_are_read_back_by_the_drivers() -> None:
    servers = place(sockets="/srv/a b/.kith/run")
    url = Postgres(place=servers).url(role="kith_api", database="kith")
    assert psycopg.conninfo.conninfo_to_dict(url) == {
        "user": "kith_api",
        "dbname": "kith",
        "host": "/srv/a b/.kith/run",
        "port": "5432",
    }
    assert Valkey(place=servers).broker_url(virtual_host=1) == (
        "redis+socket:///srv/a%20b/.kith/run/valkey.sock?virtual_host=1"
    )


def test_without_unix_sockets_the_urls_name_ports_of_this_machine_alone() -> None:
    servers = place(sockets=None)
    assert Postgres(place=servers).url(role="r", database="d") == "postgresql://r@127.0.0.1:6001/d"
    assert Valkey(place=servers).broker_url() == "redis://127.0.0.1:6002/0"
    assert Valkey(place=servers).redis_url() == "redis://127.0.0.1:6002/0"


def test_a_process_is_known_by_its_birth_and_its_folder(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "30"], cwd=tmp_path) as sleeper:
        assert pids.birth(pid=sleeper.pid) not in (None, pids.birth(pid=os.getpid()))
        # The kernel shows a command line a moment after the program has taken over.
        assert eventually(
            lambda: pids.is_server_of(pid=sleeper.pid, program="sleep", directory=tmp_path)
        )
        assert not pids.is_server_of(pid=sleeper.pid, program="postgres", directory=tmp_path)
        assert not pids.is_server_of(pid=sleeper.pid, program="sleep", directory=tmp_path.parent)
        sleeper.kill()
    assert pids.birth(pid=sleeper.pid) is None


def test_a_zombie_counts_as_dead() -> None:
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    assert pids.wait_until_gone(pid=child.pid, seconds=10)
    assert child.wait() == 0


def test_a_log_that_has_grown_large_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(b"x" * 5_000_001)
    with logs.opened(path=path) as log:
        log.write(b"one\ntwo\n")
    assert logs.tail(path=path, lines=1) == "two"
    assert path.with_name("worker.log.1").stat().st_size == 5_000_001
