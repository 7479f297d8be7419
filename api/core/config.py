"""Settings, read once from the environment at the edge of each process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

Mode = Literal["live", "demo"]


class BadSetting(Exception):
    """A setting is missing or cannot be read; the message names it and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a process of Kith needs to know about the world around it.

    Database addresses are libpq URLs. ``worker_url`` is the sign-in of workers and relay: it
    alone may take the matcher's role, so keep it apart from the API's on a real server.
    ``clock_file`` says how far ahead a demo is (api.core.clock).
    """

    database_url: str
    worker_url: str
    migrate_url: str | None
    broker_url: str
    mode: Mode = "live"
    pool_size: int = 10
    pool_wait_seconds: float = 2.0
    statement_timeout_ms: int = 5_000
    lock_timeout_ms: int = 2_000
    idle_in_transaction_ms: int = 10_000
    body_limit_bytes: int = 262_144
    outbox_lease_seconds: float = 30.0
    metrics_token: str | None = None
    clock_file: Path | None = None

    @property
    def shares_one_login(self) -> bool:
        """True when workers use the API's sign-in, so that the two are not kept apart."""
        return self.database_url == self.worker_url

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Read ``KITH_*``; raise BadSetting naming the first one that is missing or wrong."""
        database_url = _needed(environ, "KITH_DATABASE_URL")
        mode = environ.get("KITH_MODE", "live")
        if mode not in ("live", "demo"):
            raise BadSetting(f"KITH_MODE is {mode!r}: it must be 'live' or 'demo'.")
        clock_file = environ.get("KITH_CLOCK_FILE") or None
        if clock_file is not None and mode != "demo":
            raise BadSetting(
                f"KITH_CLOCK_FILE is set, and KITH_MODE is {mode!r}: only a demo may move its"
                " clock. Leave it unset."
            )
        return cls(
            database_url=database_url,
            worker_url=environ.get("KITH_WORKER_URL", database_url),
            migrate_url=environ.get("KITH_MIGRATE_URL"),
            broker_url=_needed(environ, "KITH_BROKER_URL"),
            mode=cast(Mode, mode),
            pool_size=int(_number(environ, "KITH_POOL_SIZE", 10)),
            outbox_lease_seconds=_number(environ, "KITH_OUTBOX_LEASE_SECONDS", 30.0),
            metrics_token=environ.get("KITH_METRICS_TOKEN"),
            clock_file=Path(clock_file) if clock_file is not None else None,
        )


def _needed(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise BadSetting(
            f"{name} is not set. './kith up' sets it for servers of its own; "
            "for real servers, point it to them."
        )
    return value


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        raise BadSetting(f"{name} is {text!r}: it must be a number.") from None
    if not 0 < value < 100_000:
        raise BadSetting(f"{name} is {text!r}: it must be above 0 and below 100,000.")
    return value
