"""Where the slice meets the pure matcher: one text model per process, one look per person."""

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import NamedTuple
from uuid import UUID

from api.matches.queries import PersonSnapshot
from api.matches.rules import SUGGESTIONS_A_PERSON
from api.matches.snapshot import offers_of, seeker_of, snapshot_hash
from matching import RULE_VERSION, MatchResult, match
from matching.text import MiniLM, embed_offer, embed_statements


class Look(NamedTuple):
    """What one look found, and the hash of all that it was made from."""

    result: MatchResult
    snapshot_hash: bytes


@cache
def text_model() -> MiniLM:
    """Return this process' text model; its weights load at first use, after the fork."""
    return MiniLM()


def fresh_vectors(said: list[tuple[UUID, str, str]]) -> dict[UUID, tuple[str, bytes]]:
    """Embed (id, kind, words); return (kind, vector) by statement."""
    vectors = embed_statements(text_model(), [words for _, _, words in said])
    return {key: (kind, vector) for (key, kind, _), vector in zip(said, vectors, strict=True)}


def offer_vectors(*, name: str, text: str) -> bytes:
    """Embed an offer; return its passages' vectors one after the other."""
    return b"".join(embed_offer(text_model(), name=name, text=text))


def look(found: PersonSnapshot, fresh: Mapping[UUID, tuple[str, bytes]], *, today: date) -> Look:
    """Look for one person among what is around them. Pure: the same snapshot, the same result."""
    seeker = seeker_of(found, fresh)
    offers = offers_of(found, today=today)
    result = match(seeker, offers, limit=SUGGESTIONS_A_PERSON)
    model_id = text_model().model_id
    hashed = snapshot_hash(seeker, offers, rule_version=RULE_VERSION, model_id=model_id)
    return Look(result, hashed)
