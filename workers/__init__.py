"""What happens later: the relay from outbox to broker, and the tasks that the broker hands out."""
