"""UUID version 7 (RFC 9562): sortable by the millisecond in which they were made."""

import os
import threading
from uuid import UUID

from api.core import clock

_lock = threading.Lock()
_last_ms = 0
_sequence = 0


def new_id() -> UUID:
    """Return a fresh UUIDv7, strictly greater than every earlier one of this process.

    The 12 bits after the timestamp count within a millisecond (RFC 9562, section 6.2,
    method 1); when they run out, the timestamp borrows from the next millisecond.
    """
    global _last_ms, _sequence
    ms = int(clock.now().timestamp() * 1000)  # a UUIDv7 carries its own timestamp
    with _lock:
        if ms > _last_ms:
            _last_ms = ms
            _sequence = int.from_bytes(os.urandom(2), "big") & 0x3FF
        else:
            _sequence += 1
            if _sequence > 0xFFF:
                _last_ms += 1
                _sequence = 0
        head = (_last_ms << 16) | (0x7 << 12) | _sequence
    tail = (0b10 << 62) | (int.from_bytes(os.urandom(8), "big") >> 2)
    return UUID(int=(head << 64) | tail)
