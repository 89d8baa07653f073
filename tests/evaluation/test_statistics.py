"""Intervals that hold what they promise, and p-values that are what they are called."""

from __future__ import annotations

import random
from itertools import combinations
from math import isclose

import pytest

from outcrop.evaluation.statistics import Value, compare, estimate, pass_at, sign_test, wilson


def flips(chance: random.Random, n: int, p: float, each: int = 1) -> list[Value]:
    """So many clusters of so many items that are right or wrong together."""
    rights = [float(chance.random() < p) for _ in range(n)]
    return [Value(f"{c}/{k}", str(c), right) for c, right in enumerate(rights) for k in range(each)]


@pytest.mark.parametrize("n", range(1, 9))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_one(n: int) -> None:
    for correct in range(n + 1):
        for k in range(1, n + 1):
            draws = list(combinations(range(n), k))
            expected = sum(any(one < correct for one in draw) for draw in draws) / len(draws)
            assert isclose(pass_at(k, n, correct), expected)


@pytest.mark.parametrize(("k", "n", "correct"), [(2, 1, 1), (0, 1, 1), (1, 2, 3), (1, 2, -1)])
def test_pass_at_k_of_what_was_not_tried(k: int, n: int, correct: int) -> None:
    with pytest.raises(ValueError, match="is not defined"):
        pass_at(k, n, correct)


def test_a_mean_and_its_error() -> None:
    found = estimate([Value(str(n), str(n), float(n < 70)) for n in range(100)])
    assert found is not None
    assert found.mean == 0.7
    assert isclose(found.error, (0.7 * 0.3 / 99) ** 0.5)
    # Wilson's, as tables have it.
    assert (round(found.low, 4), round(found.high, 4)) == (0.6042, 0.7811)
    assert (found.n, found.clusters) == (100, 100)


def test_saying_everything_eleven_times_adds_no_certainty() -> None:
    once, often = (estimate(flips(random.Random(3), 50, 0.6, each)) for each in (1, 11))
    assert once is not None
    assert often is not None
    assert isclose(once.error, often.error)
    assert often.n == 550
    assert often.clusters == 50
    assert once.high - once.low == pytest.approx(often.high - often.low, rel=0.03)
    # And if they were independent, it would.
    naive = estimate([Value(v.item, v.item, v.value) for v in flips(random.Random(3), 50, 0.6, 11)])
    assert naive is not None
    assert naive.error < often.error / 3


@pytest.mark.parametrize("each", [1, 5])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_intervals_hold_the_truth_as_often_as_they_say(share: float, each: int) -> None:
    chance = random.Random(11)
    held = 0
    for _ in range(600):
        found = estimate(flips(chance, 60, share, each))
        assert found is not None
        held += found.low <= share <= found.high
    assert 0.92 < held / 600 < 0.99


def test_without_a_mistake_the_interval_is_not_of_width_nothing() -> None:
    for each in (1, 11):
        found = estimate(flips(random.Random(0), 30, 1.0, each))
        assert found is not None
        assert (found.mean, found.high) == (1.0, 1.0)
        assert 0.8 < found.low < 0.95


def test_a_single_cluster_says_next_to_nothing() -> None:
    found = estimate(flips(random.Random(0), 1, 1.0, 11))
    assert found is not None
    assert found.error == 0.5
    assert found.low < 0.25
    difference = compare(flips(random.Random(0), 1, 1.0, 11), flips(random.Random(0), 1, 0.0, 11))
    assert difference is not None
    assert difference.p == 1.0
    assert difference.high > 0


def test_nothing_has_no_mean() -> None:
    assert estimate([]) is None
    assert compare([], []) is None
    assert compare([Value("a", "a", 1)], [Value("b", "b", 1)]) is None


def test_weights_count() -> None:
    found = estimate([Value("a", "a", 1.0, 3), Value("b", "b", 0.0, 1)])
    assert found is not None
    assert found.mean == 0.75


@pytest.mark.parametrize(
    ("better", "n", "p"), [(0, 0, 1.0), (5, 10, 1.0), (0, 5, 0.0625), (9, 10, 0.021484375), (10, 12, 0.03857421875)]
)
def test_the_sign_test(better: int, n: int, p: float) -> None:
    """As R's binom.test(better, n) has it."""
    assert sign_test(better, n) == p


def test_pairs_of_right_and_wrong_are_mcnemar_s() -> None:
    """9 items that only the second solves, 1 that only the first does, 90 on which they agree."""
    first = [Value(str(n), str(n), float(n < 50 or n == 99)) for n in range(100)]
    second = [Value(str(n), str(n), float(n < 59)) for n in range(100)]
    found = compare(first, second)
    assert found is not None
    assert found.mean == pytest.approx(0.08)
    assert found.p == 0.021484375
    assert found.n == 100
    assert 0 < found.low < 0.08 < found.high < 0.16
    back = compare(second, first)
    assert back is not None
    assert (back.mean, back.low, back.high, back.p) == pytest.approx((-0.08, -found.high, -found.low, found.p))


def test_two_that_answer_alike_are_not_known_to_be_equal() -> None:
    same = flips(random.Random(5), 20, 0.5)
    found = compare(same, same)
    assert found is not None
    assert (found.mean, found.p) == (0.0, 1.0)
    assert found.low < -0.05
    assert found.high > 0.05


def test_only_items_that_both_were_asked_count() -> None:
    found = compare([Value("a", "a", 0.0), Value("b", "b", 0.0)], [Value("b", "b", 1.0), Value("c", "c", 0.0)])
    assert found is not None
    assert (found.n, found.mean) == (1, 1.0)


def test_the_randomisation_test_agrees_with_all_sign_patterns() -> None:
    differences = [0.5, 0.25, 0.25, -0.25, 0.5, 0.75, 0.25, -0.5]
    first = [Value(str(n), str(n), 0.0) for n in range(8)]
    second = [Value(str(n), str(n), one) for n, one in enumerate(differences)]
    found = compare(first, second)
    assert found is not None
    sums = [0.0]
    for one in differences:
        sums = [base + sign * one for base in sums for sign in (1, -1)]
    exact = sum(abs(one) >= sum(differences) - 1e-9 for one in sums) / len(sums)
    assert found.p == pytest.approx(exact, abs=0.02)
    again = compare(first, second)
    assert again is not None
    assert again.p == found.p


@pytest.mark.parametrize("each", [1, 4])
def test_where_there_is_no_difference_p_is_small_as_seldom_as_it_says(each: int) -> None:
    chance = random.Random(13)
    small = 0
    for _ in range(300):
        found = compare(flips(chance, 60, 0.5, each), flips(chance, 60, 0.5, each))
        assert found is not None
        small += found.p < 0.05
    assert small / 300 < 0.07


def test_differences_lie_where_their_intervals_say() -> None:
    chance = random.Random(17)
    held = 0
    for _ in range(600):
        found = compare(flips(chance, 80, 0.5), flips(chance, 80, 0.65))
        assert found is not None
        held += found.low <= 0.15 <= found.high
    assert 0.92 < held / 600 < 0.98


def test_wilson_stays_between_nothing_and_all() -> None:
    low, high = wilson(0.0, 10)
    assert low == 0.0
    assert high == pytest.approx(0.2775, abs=1e-4)
    low, high = wilson(1.0, 10)
    assert low == pytest.approx(0.7225, abs=1e-4)
    assert high == 1.0
