"""How good a ranking is against judgements: the measures reported for the judged set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def ndcg(ranking: Sequence[str], grades: Mapping[str, int], *, depth: int = 10) -> float:
    """Normalised discounted cumulative gain at `depth`, gain 2**grade - 1, between 0 and 1.

    Järvelin and Kekäläinen (2002). 0.0 when nothing was judged relevant.
    """
    ideal = _gain(sorted(grades.values(), reverse=True)[:depth])
    found = _gain([grades.get(item, 0) for item in ranking[:depth]])
    return found / ideal if ideal else 0.0


def precision(suggested: Sequence[tuple[str, str]], grades: Mapping[tuple[str, str], int]) -> float:
    """Share of suggested (statement, offer) pairs with a grade above 0; 1.0 when none is."""
    if not suggested:
        return 1.0
    return sum(grades.get(pair, 0) > 0 for pair in suggested) / len(suggested)


def _gain(grades: Sequence[int]) -> float:
    return sum(((1 << grade) - 1) / math.log2(place + 2) for place, grade in enumerate(grades))
