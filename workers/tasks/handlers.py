"""What a slice above does when a lower one says that something of its own has happened."""

from collections.abc import Awaitable, Callable
from typing import Any

from api.core.db import WriteSession

Handler = Callable[..., Awaitable[None]]


async def nothing(tx: WriteSession, **_told: Any) -> None:
    """Do nothing: nobody here knows that type."""
