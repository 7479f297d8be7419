"""Sessions and the one place that commits.

A transaction starts by being told who acts and what time it is (``app.actor_*``, ``app.now``),
so that row-level policies and code agree on both. Read sessions are READ ONLY in PostgreSQL too.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from api.core.errors import Conflict, Refusal, busy, invalid, perhaps_done
from api.core.reads import PublicReads

T = TypeVar("T")

_CONTEXT = text(
    "SELECT set_config('app.actor_kind', :kind, true), set_config('app.actor_id', :id, true),"
    " set_config('app.subject_id', :subject, true), set_config('app.now', :now, true)"
)
_CLASHES = {"40001", "40P01"}
_BUSY = {"55P03", "57014", "53300", "57P01", "57P03", "25P03"}
_UNREADABLE = {"22021", "22P05"}
_TAKEN = "23505"
_TRIES = 3


class ActorContext(Protocol):
    """Who acts. ``kind`` and ids are what row-level policies see."""

    @property
    def kind(self) -> str: ...
    @property
    def id(self) -> UUID | None: ...
    @property
    def subject_id(self) -> UUID | None: ...


class WriteSession(AsyncSession):
    """A session inside one read-write transaction with an actor."""


class ReadSession(AsyncSession):
    """A session inside one READ ONLY transaction with an actor."""


def async_url(url: str) -> URL:
    """Turn a libpq URL into SQLAlchemy's for asyncpg."""
    parsed = make_url(url)
    return parsed.set(drivername="postgresql+asyncpg")


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of a database error, however deeply it is wrapped."""
    seen: BaseException | None = error
    for _ in range(6):
        if seen is None:
            return None
        state = getattr(seen, "sqlstate", None)
        if isinstance(state, str):
            return state
        seen = getattr(seen, "orig", None) or seen.__cause__
    return None


def constraint(error: DBAPIError) -> str | None:
    """Return the name of the constraint that an error is about."""
    name = getattr(getattr(error.orig, "__cause__", None), "constraint_name", None)
    return name if isinstance(name, str) else None


class Database:
    """One process's way to PostgreSQL: a pool for transactions, a second for hot public reads."""

    def __init__(
        self,
        url: str,
        *,
        application_name: str,
        pool_size: int = 10,
        pool_wait_seconds: float = 2.0,
        statement_timeout_ms: int = 5_000,
        lock_timeout_ms: int = 2_000,
        idle_in_transaction_ms: int = 10_000,
    ) -> None:
        limits = {
            "application_name": application_name,
            "statement_timeout": str(statement_timeout_ms),
            "lock_timeout": str(lock_timeout_ms),
            "idle_in_transaction_session_timeout": str(idle_in_transaction_ms),
            "timezone": "UTC",
            "jit": "off",
        }
        pool: dict[str, Any] = {
            "pool_size": pool_size,
            "max_overflow": 0,
            "pool_timeout": pool_wait_seconds,
            "hide_parameters": True,
        }
        self._url = async_url(url)
        self._engine = create_async_engine(
            self._url, connect_args={"server_settings": limits, "timeout": 5}, **pool
        )
        # A generic plan for "near here and this word" is a bad plan; planning costs 0.2 ms.
        readonly = limits | {
            "default_transaction_read_only": "on",
            "plan_cache_mode": "force_custom_plan",
        }
        self.reads = PublicReads(
            url, settings=readonly, pool_size=pool_size, pool_wait_seconds=pool_wait_seconds
        )
        self._public = create_async_engine(
            self._url,
            isolation_level="AUTOCOMMIT",
            connect_args={"server_settings": readonly, "timeout": 5},
            **pool,
        )

    @property
    def engine(self) -> AsyncEngine:
        """The pool of transactions, for readiness checks."""
        return self._engine

    @asynccontextmanager
    async def write(self, *, actor: ActorContext, now: datetime) -> AsyncIterator[WriteSession]:
        """Open one transaction; commit on leaving, roll back on any exception."""
        async with (
            WriteSession(self._engine, expire_on_commit=False, autoflush=False) as session,
            session.begin(),
        ):
            await _reach(session)
            await tell(session, actor=actor, now=now)
            yield session

    @asynccontextmanager
    async def read(
        self, *, actor: ActorContext, now: datetime, role: str | None = None
    ) -> AsyncIterator[ReadSession]:
        """Open one READ ONLY, REPEATABLE READ transaction: a snapshot. Nothing is kept.

        ``role`` is a role that this sign-in may take for the snapshot (the matcher's).
        """
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        async with (
            ReadSession(
                self._engine.execution_options(**options), expire_on_commit=False, autoflush=False
            ) as session,
            session.begin(),
        ):
            await _reach(session)
            await tell(session, actor=actor, now=now)
            if role is not None:
                await session.execute(text(f'SET LOCAL ROLE "{role}"'))
            yield session

    @asynccontextmanager
    async def public(self) -> AsyncIterator[AsyncConnection]:
        """Lend an AUTOCOMMIT, read-only connection without an actor: public projections only."""
        async with _lend(self._public) as connection:
            yield connection

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection on which each statement stands alone: who is this token?"""
        async with _lend(
            self._engine.execution_options(isolation_level="AUTOCOMMIT")
        ) as connection:
            yield connection

    async def run(
        self,
        work: Callable[[WriteSession], Awaitable[T]],
        *,
        actor: ActorContext,
        now: datetime,
    ) -> T:
        """Do ``work`` in one transaction; repeat it when PostgreSQL says that two clashed.

        Raises Unavailable after three clashes, or when locks or the pool stay busy; and with the
        rule "perhaps-done" when the connection was lost while committing.
        """
        for attempt in range(1, _TRIES + 1):
            committing = False
            try:
                async with self.write(actor=actor, now=now) as session:
                    result = await work(session)
                    committing = True
                return result
            except DBAPIError as error:
                if committing and error.connection_invalidated:
                    raise perhaps_done() from error
                if sqlstate(error) not in _CLASHES:
                    known = as_refusal(error)
                    if known is None:
                        raise
                    raise known from error
                if attempt == _TRIES:
                    raise busy("two-at-once") from error
                await asyncio.sleep(random.uniform(0.005, 0.03) * attempt)  # noqa: S311
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def close(self) -> None:
        """Close the pools."""
        await self.reads.close()
        await self._engine.dispose()
        await self._public.dispose()


async def tell(session: AsyncSession, *, actor: ActorContext, now: datetime) -> None:
    """Tell the open transaction who acts and what time it is. There is no default for either."""
    if actor is None or now is None or now.tzinfo is None:
        raise ValueError("a transaction needs an actor and an aware time")
    await session.execute(
        _CONTEXT,
        {
            "kind": actor.kind,
            "id": str(actor.id or ""),
            "subject": str(actor.subject_id or ""),
            "now": now.isoformat(),
        },
    )


@asynccontextmanager
async def _lend(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Lend a connection; Unavailable when there is none to be had."""
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(engine.connect())
        except (PoolTimeout, OSError) as error:
            raise busy("no-connection") from error
        yield connection


async def _reach(session: AsyncSession) -> None:
    """Take a connection for the session; Unavailable when there is none to be had."""
    try:
        await session.connection()
    except (PoolTimeout, OSError) as error:
        raise busy("no-connection") from error


def as_refusal(error: DBAPIError) -> Refusal | None:
    """Return the refusal that a database error means; None for one that nobody foresaw.

    Busy: a lock, statement or connection limit. Conflict: somebody else did the same at the same
    moment, between the check and the insert. Invalid: text with a sign that cannot be kept.
    """
    state = sqlstate(error)
    if state in _BUSY or error.connection_invalidated:
        return busy()
    if state == _TAKEN:
        return Conflict(
            rule="at-the-same-moment",
            detail="The same was done at the same moment. Nothing was changed by this request.",
            who_can_change_it="Nobody needs to: it is there already.",
            what_else=["Read it again; send your change once more if it is still needed."],
        )
    if state in _UNREADABLE:
        return unreadable_text()
    return None


def unreadable_text() -> Refusal:
    """Return the refusal of text with a sign that is no text."""
    return invalid(
        "text-readable",
        "body",
        "There is a sign in this that is not text (NUL, or half of a pair).",
    )
