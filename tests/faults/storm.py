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
from typing import Any, NamedTuple

import httpx2

from deploy.local import Stack
from tests.fixtures.crew import Crew

_SAFE = ("GET", "PUT", "DELETE")
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
    """Sends a request again until there is an answer; only what is safe to send again."""

    def __init__(self, *, seconds: float = 120) -> None:
        self._inner = httpx2.AsyncHTTPTransport(
            limits=httpx2.Limits(max_connections=40, max_keepalive_connections=20)
        )
        self._seconds = seconds
        self.answers: list[Answer] = []
        self.tally: Counter[str] = Counter()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it, again and again if need be; AssertionError when it takes too long."""
        asked = await request.aread()
        async with asyncio.timeout(self._seconds):
            while True:
                response = await self._try(request, asked)
                if response is not None:
                    return response
                await asyncio.sleep(random.uniform(0.02, 0.3))

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()

    async def _try(self, request: httpx2.Request, asked: bytes) -> httpx2.Response | None:
        key = request.headers.get("idempotency-key")
        again = (
            request.method in _SAFE
            or key is not None
            or request.url.path.endswith("s/confirmations")
        )
        try:
            response = await self._inner.handle_async_request(request)
            body = json.loads(await response.aread() or "{}")
        except httpx2.TransportError as error:
            self.tally[type(error).__name__] += 1
            if not again:
                raise
            return None
        self.tally[str(response.status_code)] += 1
        rule = body.get("rule") if isinstance(body, dict) else None
        if response.status_code == 500:
            self.tally[f"500 {request.method} {request.url.path}"] += 1
        if again and (response.status_code >= 500 or rule in _LATER):
            self.tally[f"{response.status_code} {rule}"] += 1
            return None
        if key is not None and response.status_code != 400:
            headers = {"authorization": request.headers.get("authorization", "")}
            self.answers.append(
                Answer(request.url.path, key, asked, headers, response.status_code, body)
            )
        return response


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
