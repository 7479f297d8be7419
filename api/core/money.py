"""Whole pence, GBP."""

MAX_PENCE = 100_000_000_00


def in_words(pence: int) -> str:
    """Return pence as people write it: 0 is "free", 450 "£4.50", 400 "£4"."""
    if pence == 0:
        return "free"
    pounds, rest = divmod(pence, 100)
    return f"£{pounds:,}" if rest == 0 else f"£{pounds:,}.{rest:02d}"
