"""The time that is left is said when it is known, and not finer than it is known."""

from __future__ import annotations

import pytest

from outcrop.jobs.remaining import Remaining, in_words


def steady(seconds: int, pace: float = 1.0, start: float = 0.0) -> Remaining:
    remaining = Remaining()
    for second in range(seconds + 1):
        remaining.see(float(second), start + second * pace)
    return remaining


def test_a_steady_job_takes_what_is_left_at_its_pace() -> None:
    assert steady(10, pace=2.0).seconds(10.0, 100) == pytest.approx(40.0)
    assert steady(10, pace=2.0, start=50).seconds(10.0, 100) == pytest.approx(15.0)


def test_nothing_is_said_before_anything_is_known() -> None:
    assert Remaining().seconds(0.0, 10) is None
    assert steady(1).seconds(1.0, 10) is None
    assert steady(10, pace=0.0).seconds(10.0, 10) is None
    assert steady(10).seconds(10.0, None) is None


def test_what_stands_still_takes_longer_until_it_is_not_known() -> None:
    remaining = steady(10)
    left = []
    for second in range(10, 90):
        remaining.see(float(second), 10.0)
        left.append(remaining.seconds(float(second), 100))
    known = [seconds for seconds in left if seconds is not None]
    assert known == sorted(known)
    assert known[0] == pytest.approx(90.0)
    assert known[-1] > 400
    assert left[-1] is None


def test_the_pace_is_that_of_the_last_minute() -> None:
    remaining = Remaining()
    done = 0.0
    for second in range(300):
        done += 0.1 if second < 200 else 1.0
        remaining.see(float(second), done)
    assert remaining.seconds(299.0, done + 60) == pytest.approx(60.0, rel=0.05)


def test_what_was_thrown_back_is_measured_anew() -> None:
    remaining = steady(10, pace=5.0)
    remaining.see(11.0, 3.0)
    assert remaining.seconds(11.0, 100) is None
    remaining.see(15.0, 7.0)
    assert remaining.seconds(15.0, 107) == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "time left not known"), (0.0, "about 5 s left"), (12.4, "about 10 s left"), (55.0, "about 55 s left"),
        (58.0, "about 1 min left"), (150.0, "about 2 min left"), (3590.0, "about 1 h 00 min left"),
        (4000.0, "about 1 h 07 min left"), (260000.0, "about 3 days left"),
    ],
)  # fmt: skip
def test_words_are_coarse(seconds: float | None, words: str) -> None:
    assert in_words(seconds) == words
