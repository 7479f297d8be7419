"""Everything is killed in turn, and clients that ask again until they have an answer.

``Stubborn`` is a client's transport: it sends the same request with the same Idempotency-Key
again whenever the answer was lost or said "later", and keeps what it was told in the end.
``Storm`` is what the clients do not know of.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import httpx2

from api.core import clock
from deploy.local import Stack
from tests.fixtures.crew import Crew

_SAFE = ("GET", "PUT", "DELETE")
_HARMLESS = ("/v1/payments/confirmations",)
_LATER = frozenset({"idempotency-under-way", "at-the-same-moment"})


class Answer(NamedTuple):
    """What a client was told in the end, and what it had asked."""

    path: str
    key: str
    asked: bytes
    headers: dict[str, str]
    status: int
    body: dict[str, Any]


class Stubborn(httpx2.AsyncBaseTransport):
    """Sends a request again until there is an answer; only what is safe to send again.

    ``answers`` are those in the end; ``tally`` counts all. ``taps`` counts by key how often
    somebody asked, and ``nothing_done`` says when they were last told that nothing was changed.
    """

    def __init__(self, *, seconds: float = 120) -> None:
        self._inner = httpx2.AsyncHTTPTransport(
            limits=httpx2.Limits(max_connections=40, max_keepalive_connections=20)
        )
        self._seconds = seconds
        self.answers: list[Answer] = []
        self.tally: Counter[str] = Counter()
        self.taps: Counter[str] = Counter()
        self.nothing_done: dict[str, datetime] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it, again and again if need be; TimeoutError when it takes too long."""
        asked = await request.aread()
        key = request.headers.get("idempotency-key", "")
        self.taps[key] += 1
        safe = request.method in _SAFE or key != "" or request.url.path in _HARMLESS
        async with asyncio.timeout(self._seconds):
            while True:
                try:
                    response = await self._inner.handle_async_request(request)
                    body = json.loads(await response.aread() or "{}")
                except httpx2.TransportError as error:
                    self.tally[type(error).__name__] += 1
                    if not safe:
                        raise
                else:
                    if not (self._is_for_later(response, body, key) and safe):
                        break
                await asyncio.sleep(random.uniform(0.02, 0.3))
        if key:
            headers = {"Authorization": request.headers.get("authorization", "")}
            path, status = request.url.path, response.status_code
            self.answers.append(Answer(path, key, asked, headers, status, body))
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()

    def _is_for_later(self, response: httpx2.Response, body: Any, key: str) -> bool:
        rule = body.get("rule") if isinstance(body, dict) else None
        self.tally[f"{response.status_code} {rule or ''}".strip()] += 1
        if response.status_code == 503 and rule != "perhaps-done":
            self.nothing_done[key] = clock.now()
        return response.status_code >= 500 or rule in _LATER


class Storm:
    """Kills with SIGKILL at random moments, and starts again what it killed."""

    VICTIMS = ("database", "relay", "worker", "api")

    def __init__(self, stack: Stack, crew: Crew, chance: random.Random) -> None:
        self._stack, self._crew, self._chance = stack, crew, chance
        self.killed: Counter[str] = Counter()
        self.over = asyncio.Event()

    async def rage(self, victims: Iterable[str], *, most_seconds: float) -> None:
        """Kill one after another, at most so many seconds apart, until it is over."""
        for victim in victims:
            await self._pause(self._chance.uniform(0.05, most_seconds))
            if self.over.is_set():
                return
            await asyncio.to_thread(self.kill, victim)
            await asyncio.sleep(self._chance.uniform(0, 0.5))
            await asyncio.to_thread(self.start_again, victim)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self.over.wait(), seconds)
        except TimeoutError:
            return

    def kill(self, victim: str) -> None:
        """Kill one."""
        self.killed[victim] += 1
        match victim:
            case "worker":
                self._crew.kill("worker", whole=self._chance.random() < 0.5)
            case "relay" | "api":
                self._crew.kill(victim)
            case "broker":
                self._stack.stop_valkey(kill=True, lose_data=True)
            case "database":
                self._stack.kill_postgres()
            case _:
                raise ValueError(victim)

    def start_again(self, victim: str) -> None:
        """Start one, and wait for the API until it serves."""
        match victim:
            case "worker":
                self._crew.start_worker(concurrency=2)
            case "relay":
                self._crew.start_relay()
            case "api":
                self._crew.start_api()
                self._crew.wait_ready()
            case "broker":
                self._stack.start_valkey()
            case "database":
                self._stack.start_postgres()
