"""Kill, restart, count: rounds of the same misfortune at random moments of a run.

A test brings two functions: ``enqueue`` puts work into the outbox, ``check`` looks at the effects
when everything has come to rest. The rounds do the rest.
"""

import random
import time
from collections.abc import Callable, Sequence

import psycopg

from deploy.local import Stack
from tests.fixtures.crew import Crew, until

_UNDONE = "SELECT count(*) FROM outbox WHERE done_at IS NULL AND dead_at IS NULL"
_DURABLE = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')"

VICTIMS = ("worker", "relay", "broker")


def rounds(
    stack: Stack,
    crew: Crew,
    *,
    enqueue: Callable[[], None],
    check: Callable[[], None],
    n: int,
    victims: Sequence[str] = VICTIMS,
    seconds: float = 90,
) -> None:
    """Run ``n`` rounds on servers of the test's own.

    In each round every victim in turn is killed with SIGKILL while fresh work is under way, and
    started again: ``worker`` (all its processes, or the first alone, so that a child may go on),
    ``relay``, ``broker`` (its data is deleted too), ``database``. Then no hand is on anything
    until all is done, and ``check`` is called. ``seconds`` is how long coming to rest may take.
    """
    seed = random.randrange(10**9)
    print(f"seed {seed}")  # pytest shows it when a round fails
    chance = random.Random(seed)
    url = crew.settings.migrate_url or ""
    with psycopg.connect(url) as connection:
        assert dict(connection.execute(_DURABLE).fetchall()) == {
            "fsync": "on",
            "synchronous_commit": "on",
        }
    crew.start_relay()
    crew.start_worker(concurrency=2)
    for _ in range(n):
        for victim in victims:
            enqueue()
            _wait_for_the_middle(url, chance)
            _kill(stack, crew, victim, chance)
            time.sleep(chance.uniform(0, 0.5))
            _start_again(stack, crew, victim)
        crew.drain(seconds=seconds, failures=True)
        check()


def _wait_for_the_middle(url: str, chance: random.Random) -> None:
    """Wait until some of the work is done and some is not."""
    with psycopg.connect(url, autocommit=True) as connection:

        def undone() -> int:
            row = connection.execute(_UNDONE).fetchone()
            assert row is not None
            return int(row[0])

        began_with = undone()
        assert began_with > 1, "there is nothing to interrupt"
        left = chance.randrange(began_with // 3, began_with)
        until(lambda: undone() <= left, seconds=60, what="the middle of a run")
        assert undone() > 0, "the run was over before anything could be killed"


def _kill(stack: Stack, crew: Crew, victim: str, chance: random.Random) -> None:
    match victim:
        case "worker":
            crew.kill("worker", whole=chance.random() < 0.5)
        case "relay":
            crew.kill("relay")
        case "broker":
            stack.stop_valkey(kill=True, lose_data=True)
        case "database":
            stack.kill_postgres()
        case _:
            raise ValueError(victim)


def _start_again(stack: Stack, crew: Crew, victim: str) -> None:
    match victim:
        case "worker":
            crew.start_worker(concurrency=2)
        case "relay":
            crew.start_relay()
        case "broker":
            stack.start_valkey()
        case "database":
            stack.start_postgres()
