"""Opaque keyset cursors: the sort key of the last row seen, in a form that is not an API."""

import base64
import binascii
from typing import Any, TypeVar

import msgspec

from api.core.errors import invalid

T = TypeVar("T")


def encode(key: Any) -> str:
    """Return the cursor for a sort key: a msgspec-encodable tuple."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(key)).decode().rstrip("=")


def decode(cursor: str, shape: type[T]) -> T:
    """Return the sort key inside a cursor; raise Invalid for one that Kith did not make."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(raw, type=shape)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise invalid(
            "cursor-unknown",
            "cursor",
            "This cursor cannot be read. Use the one from 'next' as it is, or leave it out.",
            what_else=["Leave the cursor out: you get the first page."],
        ) from None
