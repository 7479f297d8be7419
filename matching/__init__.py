"""Matching people with what is around them: pure functions over frozen values.

`match` looks at every offer for one person and returns ideas with reasons, and a typed record
of what was not found. It proposes; a named person decides (UK GDPR Articles 22A to 22D). No
database, no web, no queue, no clock: the same values in any order give the same bytes.
"""

from matching.rank import match
from matching.rules import RULE_VERSION
from matching.table import OfferTable, pack
from matching.values import (
    MatchResult,
    Offer,
    Reason,
    Requirement,
    Seeker,
    Statement,
    Suggestion,
    Unmet,
)

__all__ = [
    "RULE_VERSION",
    "MatchResult",
    "Offer",
    "OfferTable",
    "Reason",
    "Requirement",
    "Seeker",
    "Statement",
    "Suggestion",
    "Unmet",
    "match",
    "pack",
]
