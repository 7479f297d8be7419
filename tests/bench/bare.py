"""The least that could answer the same: Litestar, asyncpg, one statement, its rows as JSON.

Run by the browse bench as ``python -m tests.bench.bare PLAN PORT``; PLAN is a JSON file with
``url``, ``pool`` and ``queries``, each a list of statements (``sql``, ``args``), run one after the
other on one connection; the rows of the last are the answer. Address /3 runs the fourth query.
"""

import datetime
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import uvicorn
from litestar import Litestar, get
from litestar.params import FromPath


def make_app(plan: dict[str, Any]) -> Litestar:
    """Return the application for one plan."""
    queries = [
        [(one["sql"], [_value(arg) for arg in one["args"]]) for one in several]
        for several in plan["queries"]
    ]
    pools: list[Any] = []

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        settings = {"default_transaction_read_only": "on", "jit": "off", "timezone": "UTC"}
        settings["plan_cache_mode"] = "force_custom_plan"
        pool = asyncpg.create_pool(
            plan["url"], min_size=1, max_size=plan["pool"], server_settings=settings
        )
        async with pool:
            pools.append(pool)
            yield

    @get("/{number:int}")
    async def query(number: FromPath[int]) -> list[dict[str, Any]]:
        rows: list[Any] = []
        async with pools[0].acquire() as connection:
            for sql, args in queries[number]:
                rows = await connection.fetch(sql, *args)
        return [dict(row) for row in rows]

    return Litestar([query], lifespan=[running], logging_config=None, openapi_config=None)


def _value(arg: Any) -> Any:
    return datetime.date.fromisoformat(arg["date"]) if isinstance(arg, dict) else arg


if __name__ == "__main__":
    chosen = json.loads(Path(sys.argv[1]).read_text())
    uvicorn.run(
        make_app(chosen), port=int(sys.argv[2]), log_config=None, access_log=False, workers=1
    )
