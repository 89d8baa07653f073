"""BERTScore's greedy matching, over the vectors of sentences: what a local embedding model makes possible.

BERTScore itself matches the contextual vectors of tokens, which an embedding model does not give away. The figure is
like it (precision, recall and their harmonic mean over best matches) and not comparable to published ones.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+")
# Of a text; what stands behind them is one more.
MOST_SENTENCES = 64

Vector = Sequence[float]


def sentences(text: str) -> list[str]:
    """In the order of the text; one that is empty has none."""
    found = [part.strip() for part in _ENDS.split(text) if part.strip()]
    if len(found) > MOST_SENTENCES:
        found = [*found[: MOST_SENTENCES - 1], " ".join(found[MOST_SENTENCES - 1 :])]
    return found


def matched(answer: Sequence[Vector], reference: Sequence[Vector]) -> float:
    """0 to 1: the F1 of how well each vector of one is matched by its best of the other."""
    if not answer or not reference:
        return float(len(answer) == len(reference))
    table = [[max(0.0, cosine(one, other)) for other in reference] for one in answer]
    precision = sum(max(row) for row in table) / len(answer)
    recall = sum(max(row[at] for row in table) for at in range(len(reference))) / len(reference)
    total = precision + recall
    return min(1.0, 2 * precision * recall / total) if total else 0.0


def cosine(one: Vector, other: Vector) -> float:
    """0 where one of them has no length."""
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0
