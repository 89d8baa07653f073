"""Agreement beyond chance, against values that scikit-learn's cohen_kappa_score gives."""

from __future__ import annotations

import pytest

from outcrop.evaluation.metrics.agreement import agreement, kappa, weighted_kappa


@pytest.mark.parametrize(
    ("first", "second", "plain", "quadratic"),
    [
        # cohen_kappa_score([2, 0, 2, 2, 0, 1], [0, 0, 2, 2, 0, 2]) and the same with weights="quadratic".
        ([2, 0, 2, 2, 0, 1], [0, 0, 2, 2, 0, 2], 0.42857142857142855, 0.5454545454545454),
        # The published example of 20 and 15 of 50 agreed: Cohen's kappa is 0.4.
        ([1] * 25 + [0] * 25, [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15, 0.4, 0.4),
        ([0, 1, 0, 1], [1, 0, 1, 0], -1.0, -1.0),
        ([0, 1, 2, 3], [0, 1, 2, 3], 1.0, 1.0),
    ],
)
def test_kappa(first: list[float], second: list[float], plain: float, quadratic: float) -> None:
    assert kappa(first, second) == pytest.approx(plain)
    assert weighted_kappa(first, second) == pytest.approx(quadratic)


def test_nothing_is_beyond_chance_where_all_is_the_same() -> None:
    found = agreement([1, 1, 1], [1, 1, 1])
    assert found is not None
    assert (found.n, found.share, found.kappa, found.weighted) == (3, 1.0, None, None)
    assert agreement([], []) is None
    assert kappa([1, 1, 1], [1, 1, 0]) == 0.0
