"""One process that promises, one after another on a few connections, until its time is over.

Run as ``python -m tests.bench.promise_driver KIND URL FIRST SECONDS CLIENTS``: KIND is ``service``
(the whole way through the service layer), ``bare`` (the very same statements by asyncpg alone) or
``http`` (URL is that of an API). Prints how many were made, in how many seconds, and how many more
to warm up.
"""

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import uvloop
from sqlalchemy.dialects.postgresql import asyncpg as dialect

from api.budgets import rules as budgets
from api.core import db, trace
from api.core.db import Database
from api.core.ids import new_id
from api.identity.rules import CodeHolder
from api.ledger import rules as ledger_rules
from api.ledger import service as ledger
from api.pools import promises, rules
from api.pools.schemas import NewPledge
from tests.bench.promises import A_RUN, nth, pair, token

PENCE = 100
_DIALECT = dialect.dialect()

Promise = Callable[[int], Awaitable[None]]


async def through_the_service(url: str, clients: int) -> tuple[Promise, Callable[[], Any]]:
    """Return a promise as a request makes it, without the HTTP."""
    database = Database(url, application_name="kith-bench", pool_size=clients)

    async def promise(number: int) -> None:
        group, person = pair(number)
        actor = CodeHolder("person", nth("a", person), session_id=nth("a", person))
        now = datetime.now(UTC)
        trace.begin()
        await database.run(
            lambda tx: promises.promise(
                tx,
                actor=actor,
                now=now,
                pool_id=nth("c", group),
                new=NewPledge(budget_id=nth("b", person), amount_pence=PENCE),
                key=uuid4().hex,
            ),
            actor=actor,
            now=now,
        )

    return promise, database.close


async def by_asyncpg_alone(url: str, clients: int) -> tuple[Promise, Callable[[], Any]]:
    """Return the same five round trips with nothing around them."""
    settings = {"timezone": "UTC", "jit": "off", "application_name": "kith-bench"}
    pool = await asyncpg.create_pool(
        url, min_size=clients, max_size=clients, server_settings=settings
    )
    tell, look = _compiled(db._CONTEXT), _compiled(promises._LOOK)
    keep = _compiled(ledger._posting(promises._KEEP))

    async def promise(number: int) -> None:
        group, person = pair(number)
        now, key = datetime.now(UTC), uuid4().hex
        told = {"kind": "code_holder", "id": str(nth("a", person)), "subject": ""}
        asked = {"pool": nth("c", group), "budget": nth("b", person), "key": key}
        async with pool.acquire() as connection, connection.transaction():
            await connection.fetchrow(*_with(tell, told | {"now": now.isoformat()}))
            found = await connection.fetchrow(*_with(look, asked))
            values = _values(found, group, person, key, now)
            await connection.fetchrow(*_with(keep, values))

    return promise, pool.close


async def over_http(url: str, clients: int) -> tuple[Promise, Callable[[], Any]]:
    """Return a promise as somebody's own request over a connection that is kept open."""
    port = int(url)
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(clients)]

    async def promise(number: int) -> None:
        group, person = pair(number)
        body = json.dumps({"budget_id": str(nth("b", person)), "amount_pence": PENCE})
        lines = [
            f"POST /v1/pools/{nth('c', group)}/pledges HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {token(person)}",
            f"Idempotency-Key: {uuid4().hex}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        reader, writer = idle.pop()
        writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
        assert head.startswith(b"http/1.1 201"), head + answer
        idle.append((reader, writer))

    async def close() -> None:
        for _, writer in idle:
            writer.close()

    return promise, close


def _compiled(statement: Any) -> tuple[str, list[str]]:
    made = statement.compile(dialect=_DIALECT)
    return str(made), list(made.positiontup or [])


def _with(compiled: tuple[str, list[str]], values: dict[str, Any]) -> list[Any]:
    sql, names = compiled
    return [sql, *(values[name] for name in names)]


def _values(found: Any, group: int, person: int, key: str, now: datetime) -> dict[str, Any]:
    """Work out what the second statement needs, as little as that can be."""
    facts = json.loads(found["facts"])
    account_id = UUID(facts["account_id"])
    pool_id, budget_id = nth("c", group), nth("b", person)
    batch = ledger_rules.lines([ledger_rules.Hold(account_id=account_id, amount_pence=PENCE)])
    return {
        "p_key": f"pool:{pool_id}:promise:{found['member_id']}:{key}",
        "p_hash": ledger_rules.request_hash("pool.promised", batch),
        "p_code": "pool.promised",
        "p_correlation": new_id(),
        "p_subject_type": "pool",
        "p_subject_id": pool_id,
        "p_task": None,
        "p_payload": None,
        "p_kinds": batch.kinds,
        "p_starts": batch.starts,
        "p_ends": batch.ends,
        "p_pence": batch.pence,
        "p_until": batch.until,
        "id": new_id(),
        "pool_id": pool_id,
        "member_id": found["member_id"],
        "person_id": UUID(facts["person_id"]),
        "budget_id": budget_id,
        "offer_id": found["offer_id"],
        "use_id": rules.use_id(pool_id, budget_id),
        "kind": facts["kind"],
        "body": budgets.BODY_OF[facts["kind"]],
        "amount": PENCE,
        "account_id": account_id,
        "source_key": facts["source_key"],
        "key": key,
        "hash": hashlib.sha256(f"{budget_id} {PENCE}".encode()).digest(),
        "now": now,
    }


async def drive(kind: str, url: str, first: int, seconds: float, clients: int) -> None:
    """Promise until the time is over; every client takes every so-many-th number."""
    make = {"service": through_the_service, "bare": by_asyncpg_alone, "http": over_http}[kind]
    promise, close = await make(url, clients)
    warm = 5 * clients
    for number in range(warm):
        await promise(first + number)
    made = [0] * clients
    until = time.monotonic() + seconds
    began = time.monotonic()

    async def client(which: int) -> None:
        number = first + warm + which
        while time.monotonic() < until and number < first + A_RUN:
            await promise(number)
            made[which] += 1
            number += clients

    await asyncio.gather(*(client(which) for which in range(clients)))
    took = time.monotonic() - began
    await close()
    print(json.dumps({"made": sum(made), "to_warm_up": warm, "seconds": took}))


if __name__ == "__main__":
    uvloop.run(
        drive(
            sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), clients=int(sys.argv[5])
        )
    )
