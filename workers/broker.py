"""What Kith needs of the libraries beneath its workers and they do not do by themselves."""

from typing import Any

import billiard.pool
from kombu.transport import redis, virtual
from redis.exceptions import RedisError


class ForgetfulQoS(redis.QoS):
    """Counts the messages that a worker has taken and not acknowledged.

    An acknowledgement that does not reach the broker stays in kombu's count. A worker that was
    full when the broker went away would so stay full for ever: it never asks for a message again,
    and never notices that it should connect anew. The outbox sends again what was lost, so the
    message may be forgotten.
    """

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge, and forget the message even if that fails."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except (RedisError, OSError):
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]
            raise


def mend() -> None:
    """Put it right for this process and those that it forks."""
    redis.Channel.QoS = ForgetfulQoS
    # At SIGTERM a busy process would wait 30 seconds for its parent to have read all it said.
    billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 10
