"""Every number the matcher weighs with, in one place, to publish and to change with care.

A change of any of them, or of an order below, is a new RULE_VERSION: stored suggestions keep
the version they were made by. The figures of the judged set are in tests/matching.
"""

from __future__ import annotations

from typing import Final

from matching.values import UnmetKind

RULE_VERSION: Final = "1"

WEIGHTS: Final = {"meaning": 550, "distance": 150, "time": 150, "cost": 100, "mutual": 50}
"""Most points each component can give; together 1,000."""

STATEMENT_WEIGHTS: Final = {"goal": 900, "interest": 750, "strength": 600}
"""How much of the meaning one perfectly met statement gives, in thousandths.

Below 1,000, so that a second statement in common still counts. Kinds not named here (avoidance,
access need) are never compared by meaning.
"""

WISHES: Final = ("goal", "interest")
"""Kinds of statement that ask for something: unmet ones are recorded, and mutual counts them."""

GIFTS: Final = ("strength", "interest")
"""Kinds of statement that bring something to the other side."""

CALIBRATION: Final = ((430, 400), (500, 750), (620, 1000))
"""From cosine to strength of a connection, both in thousandths, straight lines between.

The first cosine is the threshold: below it nothing connects. Chosen on one half of the judged
set so that about nine suggestions in ten are right: an honest "nothing here yet" beats a silly
idea.
"""

GATES: Final[tuple[UnmetKind, ...]] = (
    "not_confirmed",
    "full",
    "access",
    "avoided",
    "too_far",
    "not_then",
    "costs_too_much",
)
"""Gates a person may be told of, in the order in which a tie between them is decided."""

UNKNOWN_POINTS: Final = {"distance": 50, "time": 50, "cost": 30}
"""Not known is a question, not a pass: fewer points than a known good answer."""

ONLINE_POINTS: Final = 75
"""Distance points of what can be done online, where there is no journey and no company."""

SHARED_TIME_POINTS: Final = (0, 100, 130, 150)
"""Time points by number of parts of the week in common; the last also for more."""

COST_AT_LIMIT_POINTS: Final = 50
"""Cost points of something that takes the person's whole limit; free gives all of them."""

NEAR_SHARE: Final = (1, 2)
FAR_SHARE: Final = (3, 4)
"""Up to half of the person's own travel limit is near, beyond three quarters the far side."""

MOST_OF_BUDGET_SHARE: Final = (3, 4)
FEW_PLACES: Final = 2
LOOSE_STRENGTH: Final = 600
"""When the best connection is weaker than this (in thousandths), the fit is called loose."""

PRIVATE_ROUNDING_METRES: Final = 1_000
"""Distances to another person are told rounded up to this, so that nobody can be found by it."""
