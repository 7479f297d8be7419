"""The broker's Redis, spoken to directly: rate limits and health, never the queue."""

from urllib.parse import parse_qs, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

TIMEOUT_SECONDS = 0.5


def redis_for(broker_url: str) -> Redis:
    """Return a client for a broker's address: redis://, rediss:// or redis+socket://.

    Nothing is connected yet. Short timeouts: a broker that is down delays nobody.
    """
    # Without this the client tries again, for seconds, before it says that nobody is there.
    once = Retry(NoBackoff(), 0)
    parts = urlsplit(broker_url)
    if parts.scheme == "redis+socket":
        number = int(parse_qs(parts.query).get("virtual_host", ["0"])[0])
        return Redis(
            unix_socket_path=parts.path,
            db=number,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=once,
        )
    client: Redis = Redis.from_url(
        broker_url,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=once,
    )
    return client
