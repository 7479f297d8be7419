"""Idempotency-Key: a request sent twice has one effect and one answer.

The key belongs to the actor; the row is written in the transaction of the effect. It stores
successes only: a refused request is judged afresh. Two requests with one key at the same moment:
the second is told 409 at once, and does not wait.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import msgspec
from sqlalchemy import insert, select, text

from api.core.db import ActorContext, WriteSession
from api.core.errors import Conflict, Gone, Invalid, invalid
from api.core.models import IdempotencyKey

T = TypeVar("T")

_KEY = re.compile(r"[A-Za-z0-9_\-.:]{16,128}")


def check_key(key: str) -> str:
    """Return the key; raise Invalid unless it is 16 to 128 letters, digits or ``_ - . :``."""
    if not _KEY.fullmatch(key):
        raise invalid(
            "idempotency-key-form",
            "Idempotency-Key",
            "An Idempotency-Key has 16 to 128 letters, digits or the signs _ - . : "
            "Use a fresh random one, such as a UUID.",
        )
    return key


def request_hash(method: str, path: str, body: bytes) -> bytes:
    """Return the SHA-256 of what makes two requests the same: method, path and exact body."""
    return hashlib.sha256(b"\0".join([method.encode(), path.encode(), body])).digest()


async def once(
    tx: WriteSession,
    *,
    actor: ActorContext,
    now: datetime,
    key: str,
    hashed: bytes,
    status: int,
    returns: type[T],
    effect: Callable[[], Awaitable[T]],
    again: Callable[[T], Awaitable[T]] | None = None,
) -> T:
    """Do ``effect`` once for this actor and key; later calls get the first answer.

    ``again`` may refresh an answer that is given a second time: answers are stored without
    secrets, so a code that was lost on the way is made anew there. Raises Invalid when the key
    was used with another request, Conflict while the first is still under way, Gone when the
    answer is older than 90 days.

    The transaction is told owner and key: row-level policies open the row to nobody else.
    """
    owner = f"{actor.kind}:{actor.id or ''}"
    lock = hashlib.sha256(f"{owner}\0{key}".encode()).digest()[:8]
    told = await tx.execute(
        text(
            "SELECT pg_try_advisory_xact_lock(:lock) AS alone,"
            " set_config('app.idempotency_key', :row, true)"
        ),
        {"lock": int.from_bytes(lock, "big", signed=True), "row": f"{owner} {key}"},
    )
    if not told.one().alone:
        raise Conflict(
            rule="idempotency-under-way",
            detail="The same request is being dealt with at this moment.",
            who_can_change_it="Nobody needs to: it is nearly done.",
            what_else=["Send it again in a second, with the same Idempotency-Key."],
            retry_after_seconds=1,
        )
    found = (
        await tx.execute(
            select(IdempotencyKey).where(
                IdempotencyKey.actor_key == owner, IdempotencyKey.key == key
            )
        )
    ).scalar_one_or_none()
    if found is not None:
        answer = _replay(found, hashed, returns)
        return await again(answer) if again is not None else answer
    result = await effect()
    await tx.execute(
        insert(IdempotencyKey).values(
            actor_key=owner,
            key=key,
            request_hash=hashed,
            status=status,
            resource=str(getattr(result, "id", "")) or None,
            body=msgspec.json.encode(_without_secrets(result)),
            made_at=now,
        )
    )
    return result


def _replay(found: IdempotencyKey, hashed: bytes, returns: type[T]) -> T:
    if found.request_hash != hashed:
        raise Invalid(
            rule="idempotency-key-reused",
            detail="This Idempotency-Key was already used for a different request.",
            who_can_change_it="You can, by using a fresh key.",
            what_else=["Send this request with a new key."],
        )
    if found.body is None:
        raise Gone(
            rule="idempotency-body-expired",
            detail="This was done before; its answer is no longer kept (90 days).",
            who_can_change_it="Nobody: the thing itself still stands.",
            what_else=[f"Look it up by its id: {found.resource}."],
        )
    return msgspec.json.decode(found.body, type=returns)


def _without_secrets(result: T) -> T:
    secret: tuple[str, ...] = getattr(result, "SECRET_FIELDS", ())
    if not secret:
        return result
    return msgspec.structs.replace(result, **dict.fromkeys(secret))  # type: ignore[type-var]
