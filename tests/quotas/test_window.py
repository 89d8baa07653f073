"""The sliding window against one that remembers every use."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outcrop.quotas.window import SLICES, Window

SECONDS = 60.0
STEP = SECONDS / SLICES
times = st.floats(0, 40, allow_nan=False)
uses = st.lists(st.tuples(times, st.integers(1, 1000)), max_size=60)


@given(uses)
def test_it_never_forgets_early_and_at_most_a_slice_late(given_uses: list[tuple[float, int]]) -> None:
    window, now = Window(SECONDS), 0.0
    seen: list[tuple[float, int]] = []
    for pause, amount in given_uses:
        now += pause
        window.add(amount, now)
        seen.append((now, amount))
        exact = sum(amount for at, amount in seen if at > now - SECONDS)
        late = sum(amount for at, amount in seen if at > now - SECONDS - STEP - 1e-9)
        assert exact <= window.total(now) + 1e-6
        assert window.total(now) <= late + 1e-6


@given(uses, st.integers(1, 2000), st.integers(1000, 5000))
def test_after_the_wait_there_is_room(given_uses: list[tuple[float, int]], amount: int, limit: int) -> None:
    window, now = Window(SECONDS), 0.0
    for pause, used in given_uses:
        now += pause
        window.add(used, now)
    wait = window.wait(amount, limit, now)
    assert 0 <= wait <= SECONDS + STEP
    assert (wait == 0) == (window.total(now) + amount <= limit)
    if amount <= limit:
        assert window.total(now + wait + 1e-6) + amount <= limit + 1e-6


def test_corrections_are_of_what_is_still_remembered() -> None:
    window = Window(SECONDS)
    first = window.add(100, 0.0)
    second = window.add(50, 30.0)
    window.correct(first, -90)
    assert window.total(30.0) == 60
    assert window.total(61.0) == 50
    window.correct(first, -10)
    assert window.total(61.0) == 50
    window.correct(second, 5)
    assert window.total(61.0) == 55
    assert window.total(200.0) == 0
