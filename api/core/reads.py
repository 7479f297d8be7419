"""Hot public reads: asyncpg alone, without the half millisecond that SQLAlchemy takes for each.

For projections that hold nothing personal. There is no actor and no transaction, and the
connections are read-only in PostgreSQL too.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg

from api.core.errors import busy

_BUSY = (
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,
    asyncpg.TooManyConnectionsError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
)


class PublicReads:
    """A pool of read-only connections; the first read makes it."""

    def __init__(
        self, url: str, *, settings: Mapping[str, str], pool_size: int, pool_wait_seconds: float
    ) -> None:
        self._url = url
        self._settings = dict(settings)
        self._size = pool_size
        self._wait = pool_wait_seconds
        self._pool: Any = None
        self._making = asyncio.Lock()

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        """Return the rows of one statement with $1, $2, …: each a tuple that knows its names.

        Raises Unavailable when PostgreSQL is busy or away; the next read finds it again.
        """
        try:
            pool = self._pool or await self._made()
            async with pool.acquire(timeout=self._wait) as connection:
                rows: list[Any] = await connection.fetch(sql, *args)
                return rows
        except asyncpg.DataError:
            raise  # an argument of the wrong type is a mistake of ours, not a busy server
        except _BUSY as error:
            raise busy() from error
        except (OSError, TimeoutError) as error:
            raise busy("no-connection") from error

    async def close(self) -> None:
        """Close the pool."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def _made(self) -> Any:
        async with self._making:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=self._size,
                    timeout=5,
                    server_settings=self._settings,
                    # Nothing is ever set on a read-only connection, so nothing is to be undone.
                    reset=_nothing,
                )
        return self._pool


async def _nothing(_: Any) -> None:
    """Leave the connection as it is."""
