"""One atomic limiter for all processes, in the broker's Redis.

When Redis does not answer, a smaller limit per process stands in: sign-in goes on, slower.
"""

import time
from collections import deque

from redis.asyncio import Redis
from redis.exceptions import RedisError

from api.core.errors import TooMany

_LUA = """
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if n > tonumber(ARGV[1]) then return redis.call('PTTL', KEYS[1]) end
return -1
"""
_GIVE_BACK = """
if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then redis.call('DECR', KEYS[1]) end
return 0
"""
_FALLBACK_SHARE = 4
_FALLBACK_KEYS = 10_000


class RateLimiter:
    """Counts tries per key in fixed windows; exact over any number of processes."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._script = redis.register_script(_LUA)
        self._undo = redis.register_script(_GIVE_BACK)
        self._local: dict[str, deque[float]] = {}

    async def hit(self, key: str, *, limit: int, window_seconds: int) -> None:
        """Count one try; raise TooMany when this window already had ``limit`` of them."""
        try:
            left_ms = int(
                await self._script(keys=[f"kith:rate:{key}"], args=[limit, window_seconds * 1000])
            )
        except (RedisError, OSError):
            left_ms = self._hit_locally(key, max(1, limit // _FALLBACK_SHARE), window_seconds)
        if left_ms >= 0:
            seconds = max(1, -(-left_ms // 1000))
            raise TooMany(
                rule="too-many-tries",
                detail=f"That was tried too often. Please wait {seconds} seconds.",
                who_can_change_it="Nobody: this keeps other people's stories safe.",
                what_else=["Wait, then try once more.", "Ask your worker, or start again."],
                retry_after_seconds=seconds,
            )

    async def give_back(self, key: str) -> None:
        """Take back one try that turned out right: only what failed is to count."""
        try:
            await self._undo(keys=[f"kith:rate:{key}"])
        except (RedisError, OSError):
            if self._local.get(key):
                self._local[key].pop()

    def _hit_locally(self, key: str, limit: int, window_seconds: int) -> int:
        now = time.monotonic()
        if len(self._local) > _FALLBACK_KEYS:
            self._local.clear()
        tries = self._local.setdefault(key, deque())
        while tries and tries[0] <= now - window_seconds:
            tries.popleft()
        if len(tries) >= limit:
            return int((tries[0] + window_seconds - now) * 1000) + 1
        tries.append(now)
        return -1

    async def close(self) -> None:
        """Close the connection to Redis."""
        await self._redis.aclose()
