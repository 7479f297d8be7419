"""What browsing and searching cost as the country grows, and what Kith adds to the bare SQL.

Three databases of 1,000, 10,000 and 100,000 listings at the same density (tests.bench.country),
each behind a real API process and behind the least that could answer the same (tests.bench.bare):
Litestar and asyncpg with the very same SQL, the same pool, the same settings. All take turns in
every round, because machines have moods. Servers are started for the measurement and deleted.
"""

import json as codec
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import psycopg

from api.core import clock
from api.core.config import Settings
from api.listings import queries, service
from api.listings.schemas import Filters, Search
from deploy.cli.world import free_port
from deploy.local import Stack
from tests.bench import country
from tests.bench.wire import Wire, request
from tests.fixtures.crew import environment
from tests.fixtures.servers import API, OWNER, ROOT, WORKER, migrate_as_owner

SIZES = (1_000, 10_000, 100_000)
ROUNDS = 5
A_ROUND = 20  # of each kind of query, in each round
AT_ONCE = 8
CROWD_SECONDS = 1.5
TOWNS_ASKED = 5  # those that every size has
MISSPELT, MEANT = "walkng", "walking"

KINDS: dict[str, dict[str, Any]] = {
    "near": {"near": True},
    "near, a day": {"near": True, "day": "tue"},
    "near, free": {"near": True, "free": True},
    "near, a kind": {"near": True, "kind": "peer_group"},
    "near, a word": {"near": True, "words": country.SOME},
    "near, a rare word": {"near": True, "words": country.RARE},
    "near, a very common word": {"near": True, "words": country.COMMON},
    "near, not confirmed lately": {"near": True, "section": "not_confirmed_lately"},
    "near, misspelt": {"near": True, "words": MISSPELT},
    "a rare word": {"words": country.RARE},
    "a very common word": {"words": country.COMMON},
    "misspelt": {"words": MISSPELT},
    "nothing asked": {},
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One query of the mix: over the API's wire, and as SQL for the bare server."""

    kind: str
    sent: bytes
    sql: list[tuple[str, list[Any]]]


@dataclass(slots=True)
class Server:
    """One process under measurement, and what was measured of it."""

    process: subprocess.Popen[bytes]
    port: int
    sent: dict[str, list[bytes]]
    ms: dict[str, list[float]] = field(default_factory=dict)
    cpu_ms: list[float] = field(default_factory=list)
    crowd: list[float] = field(default_factory=list)
    bytes_out: int = 0


def run(*, json: bool, sizes: Sequence[int] = SIZES, rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure, and return the figures; unless ``json``, print them in words too.

    Times are milliseconds on one open connection, one request after the other; ``cpu_ms`` is the
    server process' own CPU time per request (PostgreSQL's is not in it); ``per_second`` is with
    AT_ONCE connections, the client on the same machine.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kith-bench-") as folder, ExitStack() as stack:
        local = stack.enter_context(_servers(Path(folder)))
        pairs: dict[int, tuple[Server, Server]] = {}
        for size in sizes:
            pairs[size] = stack.enter_context(_pair(local, Path(folder), size))
        for number in range(-1, rounds):
            _say("warming" if number < 0 else f"round {number + 1} of {rounds}")
            for pair in pairs.values():
                for server in pair if number % 2 else reversed(pair):
                    _one_after_the_other(server, seed=number, keep=number >= 0)
        for number in range(3):
            for size, pair in pairs.items():
                _say(f"{AT_ONCE} at once: {size:,} listings, turn {number + 1} of 3")
                for server in pair if number % 2 else reversed(pair):
                    _at_once(server)
        result = _result(pairs, rounds=rounds, seconds=time.monotonic() - began)
    if not json:
        _tell(result)
    return result


def mix() -> list[Asked]:
    """Return the fixed mix: each kind round each of the first towns."""
    asked = []
    for kind, wanted in KINDS.items():
        for town, _, _ in country.towns(TOWNS_ASKED) if "near" in wanted else [("", 0, 0)]:
            values = wanted | ({"near": town} if "near" in wanted else {})
            asked.append(Asked(kind, _over_http(values), _as_sql(values)))
    return asked


def _over_http(values: dict[str, Any]) -> bytes:
    if "words" in values:
        return request("POST", "/v1/listings/search", codec.dumps(values).encode())
    plain = {key: "true" if value is True else value for key, value in values.items()}
    query = "&".join(f"{key}={value}" for key, value in plain.items())
    return request("GET", f"/v1/listings?{query}")


def _as_sql(values: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    statements = [_search(values)]
    if values.get("words") == MISSPELT:
        statements.append((queries.SPELT, [[MISSPELT]]))
        statements.append(_search(values | {"words": MEANT}))
    return statements


def _search(values: dict[str, Any]) -> tuple[str, list[Any]]:
    """Return the SQL of a search as the API sends it, and its arguments as JSON can hold them."""
    filters = Search(**values) if "words" in values else Filters(**values)
    shape, bound = service.search_parts(filters, now=clock.now())
    sql, names = queries.positional(queries.search_statement(shape))
    args = [bound[name] for name in names]
    return sql, [{"date": str(arg)} if isinstance(arg, date) else arg for arg in args]


@contextmanager
def _servers(folder: Path) -> Iterator[Stack]:
    stack = Stack(folder / "home")
    _say("starting PostgreSQL and Valkey")
    stack.start()
    try:
        yield stack
    finally:
        stack.reset()


@contextmanager
def _pair(stack: Stack, folder: Path, size: int) -> Iterator[tuple[Server, Server]]:
    """Fill a database and run both servers on it."""
    name = f"kith_bench_{size}"
    stack.ensure_database(name)
    migrate_as_owner(stack, name)
    owner = stack.database_url(role=OWNER, database=name)
    with psycopg.connect(owner, autocommit=True) as connection:
        country.fill(connection, listings=size, say=_say)
    settings = Settings(
        database_url=stack.database_url(role=API, database=name),
        worker_url=stack.database_url(role=WORKER, database=name),
        migrate_url=owner,
        broker_url=stack.broker_url(virtual_host=1),
    )
    asked = mix()
    queries_asked = [[{"sql": sql, "args": args} for sql, args in one.sql] for one in asked]
    plan = {"url": settings.database_url, "pool": settings.pool_size, "queries": queries_asked}
    (folder / f"{name}.json").write_text(codec.dumps(plan))
    first, second = free_port(18_100), free_port(18_150)
    kith: dict[str, list[bytes]] = {}
    bare: dict[str, list[bytes]] = {}
    for number, one in enumerate(asked):
        kith.setdefault(one.kind, []).append(one.sent)
        bare.setdefault(one.kind, []).append(request("GET", f"/{number}"))
    with (
        _process(["-m", "deploy.cli", "api", "--port", str(first)], settings, first) as api,
        _process(
            ["-m", "tests.bench.bare", str(folder / f"{name}.json"), str(second)], settings, second
        ) as least,
    ):
        yield Server(api, first, kith), Server(least, second, bare)


@contextmanager
def _process(
    arguments: list[str], settings: Settings, port: int
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=environment(settings),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _until_it_listens(process, port)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        assert process.poll() is None, "the server ended before it listened"
        try:
            with Wire(port):
                return
        except OSError:
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.05)


def _one_after_the_other(server: Server, *, seed: int, keep: bool) -> None:
    """Send each kind A_ROUND times in one shuffled row, on one connection."""
    row = [(kind, number) for kind in server.sent for number in range(A_ROUND)]
    random.Random(seed).shuffle(row)
    with Wire(server.port) as wire:
        before, total = _cpu_seconds(server.process.pid), 0
        for kind, number in row:
            choices = server.sent[kind]
            sent = choices[number % len(choices)]
            began = time.perf_counter()
            total += len(wire.send(sent))
            if keep:
                server.ms.setdefault(kind, []).append((time.perf_counter() - began) * 1000)
        if keep:
            used = _cpu_seconds(server.process.pid) - before
            server.cpu_ms.append(used * 1000 / len(row))
            server.bytes_out = total // len(row)


def _at_once(server: Server) -> None:
    """Send the mix from several connections at once for a while; note the rate."""
    counts = [0] * AT_ONCE
    everything = [sent for kind in server.sent.values() for sent in kind]
    began = time.perf_counter()

    def client(number: int) -> None:
        row = random.Random(number).sample(everything, len(everything))
        with Wire(server.port) as wire:
            while time.perf_counter() - began < CROWD_SECONDS:
                wire.send(row[counts[number] % len(row)])
                counts[number] += 1

    clients = [threading.Thread(target=client, args=(n,)) for n in range(AT_ONCE)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    server.crowd.append(sum(counts) / (time.perf_counter() - began))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _result(
    pairs: dict[int, tuple[Server, Server]], *, rounds: int, seconds: float
) -> dict[str, Any]:
    sizes = []
    for size, (kith, bare) in pairs.items():
        ours, theirs = _all(kith), _all(bare)
        sizes.append(
            {
                "listings": size,
                "kith": _figures(kith),
                "bare": _figures(bare),
                "added_ms_median": round(statistics.median(ours) - statistics.median(theirs), 3),
                "added_ms_p99": round(_p99(ours) - _p99(theirs), 3),
                "added_cpu_ms": round(
                    statistics.median(kith.cpu_ms) - statistics.median(bare.cpu_ms), 3
                ),
            }
        )
    smallest, largest = sizes[0]["kith"], sizes[-1]["kith"]
    return {
        "bench": "browse",
        "rounds": rounds,
        "requests_each": rounds * A_ROUND * len(KINDS),
        "cores": os.cpu_count(),
        "sizes": sizes,
        "largest_over_smallest": {
            "median": round(largest["median_ms"] / smallest["median_ms"], 3),
            "p99": round(largest["p99_ms"] / smallest["p99_ms"], 3),
            "kinds": {
                kind: round(
                    largest["kinds"][kind]["median_ms"] / smallest["kinds"][kind]["median_ms"], 3
                )
                for kind in KINDS
            },
        },
        "seconds": round(seconds, 1),
    }


def _figures(server: Server) -> dict[str, Any]:
    every = _all(server)
    return {
        "median_ms": round(statistics.median(every), 3),
        "p99_ms": round(_p99(every), 3),
        "cpu_ms": round(statistics.median(server.cpu_ms), 3),
        "per_second": round(statistics.median(server.crowd)),
        "bytes": server.bytes_out,
        "kinds": {
            kind: {"median_ms": round(statistics.median(ms), 3), "p99_ms": round(_p99(ms), 3)}
            for kind, ms in server.ms.items()
        },
    }


def _all(server: Server) -> list[float]:
    return [ms for kind in server.ms.values() for ms in kind]


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def _tell(result: dict[str, Any]) -> None:
    for size in result["sizes"]:
        kith, bare = size["kith"], size["bare"]
        print(
            f"{size['listings']:>7,} listings: median {kith['median_ms']:.2f} ms,"
            f" p99 {kith['p99_ms']:.2f} ms, {kith['per_second']:,} per second; added to bare SQL:"
            f" {size['added_ms_median']:.2f} ms, of which CPU {size['added_cpu_ms']:.2f} ms"
            f" (bare: {bare['median_ms']:.2f} ms, {bare['per_second']:,} per second)"
        )
    ratio = result["largest_over_smallest"]
    print(f"Largest over smallest country: median {ratio['median']:.2f}, p99 {ratio['p99']:.2f}")
    for kind, times in ratio["kinds"].items():
        print(f"  {kind}: {times:.2f}")


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
