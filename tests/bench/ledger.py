"""What moving money costs beside PostgreSQL's own banking benchmark, on one server in one run.

``tpcb`` is pgbench's built-in TPC-B-like transaction, scale 10. ``spread`` is the whole of a
promise in SQL: who acts and when, one posting call with key, hold and a transfer of two postings,
an audit row, an outbox row; over 1,000 budgets. ``hot`` is the same for payments and returns of
one pool of 200 members. ``service`` is a whole promise to a group through the service layer, from
two processes; ``bare`` the very same statements by asyncpg alone; ``http`` the same as a request.
Eight clients each, in turns, because machines have moods. The servers are started for the
measurement, with fsync on, and deleted afterwards.
"""

import itertools
import json as codec
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from api.core.config import Settings
from deploy.cli.world import free_port
from deploy.local import Stack
from deploy.local.binaries import postgres_programs
from tests.bench import promises
from tests.fixtures.crew import environment, until
from tests.fixtures.servers import API, OWNER, ROOT, migrate_as_owner

ROUNDS = 7
SECONDS = 5
CLIENTS = 8
SCALE = 10
BUDGETS = 1_000
MEMBERS = 200
SQL = ("tpcb", "spread", "hot")
PROMISES = ("bare", "service", "http")
KINDS = (*SQL, *PROMISES)
PROCESSES = 2
TICKS = os.sysconf("SC_CLK_TCK")

_TELL = (
    "SELECT set_config('app.actor_kind', 'service', true), set_config('app.actor_id', '', true),"
    " set_config('app.subject_id', '', true), set_config('app.now', now()::text, true)"
)
# Accounts have ids that a script can write: a prefix for the kind, then a number.
_ACCOUNTS = """
SELECT ledger_open(array_agg((kind.start || n)::uuid), array_agg(kind.name),
    array_agg(kind.name || ':' || n), array_agg('bench:' || n), array_agg(kind.name = 'source'))
FROM generate_series(100000000001, 100000000000 + %(last)s) AS n,
    (VALUES ('source', '1'), ('budget', '2'), ('pool_share', '3'), ('provider', '4'))
        AS k (name, digit), LATERAL (SELECT k.name, k.digit || '0000000-0000-7000-8000-') AS kind
        (name, start)
"""
_FUND = """
SELECT ledger_post('fund:' || part, 'x', 'bench.fund', NULL, NULL, NULL, NULL, NULL,
    array_agg('transfer'::text), array_agg(('10000000-0000-7000-8000-' || n)::uuid),
    array_agg((digit || '0000000-0000-7000-8000-' || n)::uuid), array_agg(1000000000::bigint),
    array_agg(NULL::timestamptz))
FROM (SELECT n, digit, n %% 10 AS part
    FROM generate_series(100000000001, 100000000000 + %(last)s) AS n,
    unnest('{2,3}'::text[]) AS digit) AS x GROUP BY part
"""
_POST = """
SELECT ids FROM ledger_post('bench:%(kind)s:' || :key, '\\x00', 'bench.post', NULL, 'budget',
    '20000000-0000-7000-8000-:n', 'bench.post', '{"budget_id": ":n"}', '{hold,transfer}',
    '{%(debit)s0000000-0000-7000-8000-:n,%(debit)s0000000-0000-7000-8000-:n}',
    '{NULL,%(credit)s-0000-7000-8000-:n}', '{1,1}', '{NULL,NULL}');
"""


def run(*, json: bool, rounds: int = ROUNDS, seconds: int = SECONDS) -> dict[str, Any]:
    """Measure, and return rates per second and CPU milliseconds; unless ``json``, print them.

    CPU is that of the server's processes that serve the clients. Ratios are taken within a round.
    """
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
    with (
        tempfile.TemporaryDirectory(prefix="kith-bench-") as folder,
        _stack(Path(folder)) as stack,
        _api(stack, Path(folder)) as port,
    ):
        scripts = _scripts(Path(folder))
        numbers = itertools.count(0, promises.A_RUN)
        for kind in KINDS:  # caches and plans
            _turn(stack, kind, scripts, numbers, port, seconds=2)
        for number in range(rounds):
            for kind in KINDS if number % 2 == 0 else KINDS[::-1]:
                _say(f"round {number + 1} of {rounds}: {kind}")
                found[kind].append(_turn(stack, kind, scripts, numbers, port, seconds=seconds))
        missing = _books(stack)
    result = _result(found, rounds=rounds, seconds=seconds, missing=missing)
    if not json:
        _tell(result)
    return result


@contextmanager
def _stack(folder: Path) -> Iterator[Stack]:
    stack = Stack(folder / "home")
    _say("starting PostgreSQL, opening accounts")
    stack.start()
    try:
        stack.ensure_database("kith_bench")
        stack.ensure_database("kith_tpcb")
        migrate_as_owner(stack, "kith_bench")
        with psycopg.connect(stack.database_url(role=API, database="kith_bench")) as connection:
            connection.execute(_TELL)
            connection.execute(_ACCOUNTS, {"last": max(BUDGETS, MEMBERS)})
            connection.execute(_FUND, {"last": max(BUDGETS, MEMBERS)})
        promises.found(_owner(stack))
        with psycopg.connect(_owner(stack), autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        init = ["-i", "-q", "-s", str(SCALE), _url(stack, "tpcb")]
        subprocess.run([postgres_programs() / "pgbench", *init], check=True, capture_output=True)
        yield stack
    finally:
        stack.reset()


@contextmanager
def _api(stack: Stack, folder: Path) -> Iterator[int]:
    """Run one API process on the bench's database; lend its port."""
    port = free_port(18_080)
    settings = Settings(
        database_url=_url(stack, "http"),
        worker_url=_url(stack, "http"),
        migrate_url=None,
        broker_url=stack.broker_url(),
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", "api", "--port", str(port)],
        env=environment(settings),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "api.log").open("wb"),
    )
    try:
        until(lambda: _answers(port), seconds=60, what="the API")
        yield port
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/health/live", timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


def _turn(
    stack: Stack,
    kind: str,
    scripts: dict[str, Path],
    numbers: Iterator[int],
    port: int,
    *,
    seconds: int,
) -> tuple[float, float]:
    """Measure one kind for a while; return the rate and the backends' CPU milliseconds for each."""
    if kind in SQL:
        return _drive(stack, kind, scripts, seconds=seconds)
    where = str(port) if kind == "http" else _url(stack, kind)
    each = str(CLIENTS // PROCESSES)
    driver = [sys.executable, "-m", "tests.bench.promise_driver", kind, where]
    told, cpu = _watched(
        stack, [[*driver, str(next(numbers)), str(seconds), each] for _ in range(PROCESSES)]
    )
    figures = [codec.loads(one) for one in told]
    rate = sum(one["made"] / one["seconds"] for one in figures)
    return rate, cpu * 1000 / sum(one["made"] + one["to_warm_up"] for one in figures)


def _scripts(folder: Path) -> dict[str, Path]:
    """Write what pgbench runs: of the pool, half is paid out and half goes back to budgets."""
    shapes = {
        "spread": (BUDGETS, {"kind": "s", "debit": 2, "credit": 40000000}),
        "hot": (MEMBERS, {"kind": "h", "debit": 3, "credit": ":back"}),
    }
    scripts = {}
    for kind, (last, shape) in shapes.items():
        lines = [
            f"\\set n random(100000000001, {100000000000 + last})",
            "\\set back 20000000 * random(1, 2)",
            "\\set key random(1, 9000000000000000000)",
            "BEGIN;",
            f"{_TELL};",
            (_POST % shape).strip(),
            "COMMIT;",
        ]
        scripts[kind] = folder / f"{kind}.sql"
        scripts[kind].write_text("\n".join(lines) + "\n")
    return scripts


def _drive(
    stack: Stack, kind: str, scripts: dict[str, Path], *, seconds: int
) -> tuple[float, float]:
    """Run pgbench; return transactions per second and backend CPU milliseconds for each."""
    what = ["-f", str(scripts[kind])] if kind in scripts else ["-b", "tpcb-like"]
    options = ["-n", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds), *what, _url(stack, kind)]
    (told,), cpu = _watched(stack, [[str(postgres_programs() / "pgbench"), *options]])
    count = re.search(r"actually processed: (\d+)", told)
    rate = re.search(r"tps = ([\d.]+)", told)
    assert count is not None
    assert rate is not None
    assert "failed transactions: 0 " in told, told
    return float(rate[1]), cpu * 1000 / int(count[1])


def _watched(stack: Stack, commands: list[list[str]]) -> tuple[list[str], float]:
    """Run commands side by side; return what each said, and the CPU seconds of the backends."""
    with psycopg.connect(_owner(stack)) as connection:
        server = _parent(connection.info.backend_pid)
    before = _backends(server)
    running = [
        subprocess.Popen(one, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        for one in commands
    ]
    cpu: dict[int, float] = {}
    while any(process.poll() is None for process in running):
        cpu |= _backends(server)
        time.sleep(0.03)
    told = []
    for process in running:
        out, trouble = process.communicate()
        assert process.returncode == 0, trouble
        told.append(out)
    return told, sum(spent - before.get(pid, 0.0) for pid, spent in cpu.items())


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _backends(server: int) -> dict[int, float]:
    """Return the CPU seconds so far of each process of this server that serves a client."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) != server or b" kith_" not in (entry / "cmdline").read_bytes():
                continue
        except (OSError, IndexError):
            continue
        found[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    return found


def _books(stack: Stack) -> int:
    """Return the pence that are missing after all that: sums and stored balances must agree."""
    with psycopg.connect(_owner(stack)) as connection:
        row = connection.execute(
            "SELECT (SELECT sum(abs(s)) FROM (SELECT sum(balance_pence) s FROM ledger_accounts"
            " GROUP BY source_key) x) + (SELECT sum(abs(balance_pence - (SELECT"
            " coalesce(sum(p.amount_pence), 0) FROM ledger_postings p WHERE p.account_id = a.id)))"
            " FROM ledger_accounts a)"
        ).fetchone()
        assert row is not None
        return int(row[0])


def _url(stack: Stack, kind: str) -> str:
    if kind == "tpcb":
        return stack.database_url(role=OWNER, database="kith_tpcb")
    return stack.database_url(role=API, database="kith_bench")


def _owner(stack: Stack) -> str:
    return stack.database_url(role=OWNER, database="kith_bench")


def _result(
    found: dict[str, list[tuple[float, float]]], *, rounds: int, seconds: int, missing: int
) -> dict[str, Any]:
    def ratio(ours: str, theirs: str, at: int) -> dict[str, float]:
        pairs = zip(found[ours], found[theirs], strict=True)
        return _summary([mine[at] / other[at] for mine, other in pairs])

    return {
        "bench": "ledger",
        "rounds": rounds,
        "seconds": seconds,
        "clients": CLIENTS,
        "cores": os.cpu_count(),
        "rate": {kind: _summary([one[0] for one in found[kind]]) for kind in KINDS},
        "cpu_ms": {kind: _summary([one[1] for one in found[kind]]) for kind in KINDS},
        "spread_to_tpcb": {"rate": ratio("spread", "tpcb", 0), "cpu": ratio("spread", "tpcb", 1)},
        "hot_to_spread": {"rate": ratio("hot", "spread", 0), "cpu": ratio("hot", "spread", 1)},
        "service_to_bare": {
            "rate": ratio("service", "bare", 0),
            "cpu": ratio("service", "bare", 1),
        },
        "http_to_bare": {"rate": ratio("http", "bare", 0), "cpu": ratio("http", "bare", 1)},
        "missing_pence": missing,
    }


def _summary(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "lowest": round(min(values), 3),
        "highest": round(max(values), 3),
    }


def _tell(result: dict[str, Any]) -> None:
    names = {
        "tpcb": "pgbench's TPC-B-like",
        "spread": f"A promise, over {BUDGETS:,} budgets",
        "hot": f"Payments and returns of one pool of {MEMBERS}",
        "bare": "A promise to a group, by asyncpg alone",
        "service": "The same through the service layer",
        "http": "The same over HTTP, one API process",
    }
    for kind in KINDS:
        rate, cpu = result["rate"][kind], result["cpu_ms"][kind]
        print(
            f"{names[kind]}: {rate['median']:.0f} per second ({rate['lowest']:.0f} to"
            f" {rate['highest']:.0f}), {cpu['median']:.3f} ms of CPU each"
            f" ({cpu['lowest']:.3f} to {cpu['highest']:.3f})"
        )
    spread, hot = result["spread_to_tpcb"], result["hot_to_spread"]
    print(
        f"Spread: {spread['rate']['median']:.2f} of TPC-B's rate (aim 0.8),"
        f" {spread['cpu']['median']:.2f} of its CPU (aim 1.5 at most)"
    )
    print(f"Hot: {hot['rate']['median']:.2f} of spread's rate (aim 0.6)")
    service = result["service_to_bare"]["rate"]["median"]
    print(f"Service: {service:.2f} of bare's rate (aim 0.5)")
    print(f"Pence missing afterwards: {result['missing_pence']}")


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
