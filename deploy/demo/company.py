"""People who put money together in the demo: who they are, and waiting for what follows by itself.

Each acts as themselves over HTTP; the real relay and worker do the rest.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from api.core import clock
from deploy.cli.world import World
from deploy.demo.clock import move_clock
from deploy.demo.content import Content
from deploy.demo.seed import Seats
from deploy.local import Processes, StackError
from deploy.migrate import plain

WAIT_SECONDS = 120
Progress = Callable[[int], None]

# What belongs to the group is done before the clock is moved; looking for ideas may go on.
_DUE = (
    "SELECT count(*) FROM outbox WHERE done_at IS NULL AND dead_at IS NULL AND not_before <= %s"
    " AND task NOT LIKE 'matches.%%'"
)


@dataclass(slots=True)
class Company:
    """A group in the making. ``budgets`` are what POST /v1/budgets answered, by person."""

    seats: Seats
    content: Content
    stories: dict[str, UUID]
    world: World
    processes: Processes
    pool_id: str = ""
    budgets: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def script(self) -> dict[str, Any]:
        """What they write and choose."""
        return self.content.together

    @property
    def members(self) -> list[str]:
        """Who is in it, in the order in which they join."""
        return list(self.script["members"])

    def called(self, key: str) -> str:
        """Return the name that somebody uses."""
        everybody = [*self.content.people, *self.content.staff]
        return str(next(one["called"] for one in everybody if one["key"] == key))

    def get(self, who: str, path: str = "") -> Any:
        """Read an address below the group's as somebody."""
        return self.seats[who].get(f"/v1/pools/{self.pool_id}{path}")

    def post(self, who: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Post to an address below the group's as somebody."""
        return self.seats[who].post(f"/v1/pools/{self.pool_id}{path}", body)

    def view(self) -> dict[str, Any]:
        """Return the group as its first member sees it."""
        seen: dict[str, Any] = self.get(self.members[0])
        return seen

    def mine(self, who: str) -> dict[str, Any]:
        """Return somebody's own screen of the group."""
        seen: dict[str, Any] = self.get(who, "/mine")
        return seen

    def budget(self, who: str) -> dict[str, Any]:
        """Return somebody's budget as they see it."""
        seen: dict[str, Any] = self.seats[who].get(f"/v1/budgets/{self.budgets[who]['id']}")
        return seen

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        """Wait until something has followed by itself; StackError with the worker's last words."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not done():
            stopped = {"relay", "worker", "api"} & set(self.processes.failed())
            if stopped or time.monotonic() > deadline:
                raise StackError(
                    f"The demo waited for this: {what}. It did not come. The worker's last "
                    f"words:\n{self.processes.tail('worker')}"
                )
            time.sleep(0.1)

    def wait_state(self, state: str) -> dict[str, Any]:
        """Wait until the group stands at a state; return it."""
        self.wait(f"the group at '{state}'", lambda: self.view()["state"] == state)
        return self.view()

    def wait_vote(self) -> dict[str, Any]:
        """Wait until the last vote was counted; return it."""
        self.wait("a vote counted", lambda: self.view()["votes"][-1]["outcome"] is not None)
        vote: dict[str, Any] = self.view()["votes"][-1]
        return vote

    def move_to(self, when: datetime) -> None:
        """Move the clock on to a time, once nothing is under way."""
        with psycopg.connect(plain(self.world.settings.worker_url), autocommit=True) as connection:

            def at_rest() -> bool:
                row = connection.execute(_DUE, [clock.now()]).fetchone()
                return row is not None and row[0] == 0

            self.wait("everything done before the clock is moved", at_rest)
        move_clock(self.world, when - clock.now())
