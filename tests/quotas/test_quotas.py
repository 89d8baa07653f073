"""Quotas: enforced to the percent, taken and given back as AWS describes, each account and model apart."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from outcrop.engines.engine import Usage
from outcrop.errors import AwsError
from outcrop.quotas.quotas import Quotas
from outcrop.settings import Quota

A, B, M, N = "111122223333", "444455556666", "acme.m-v1", "acme.n-v1"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def admitted(quotas: Quotas, clock: Clock, arrivals: Iterator[float]) -> list[float]:
    """When requests of one token were let in."""
    times = []
    for at in arrivals:
        clock.now = at
        try:
            quotas.reserve(A, M, 1, 0)
        except AwsError:
            continue
        times.append(at)
    return times


def most_in_a_minute(times: list[float]) -> int:
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - 60:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("seed", range(5))
def test_requests_per_minute_to_the_percent(seed: int) -> None:
    """Ten times the quota is asked for, at random moments, for ten minutes."""
    clock, choose, limit = Clock(), random.Random(seed), 1200
    quotas = Quotas([Quota(requests_per_minute=limit)], clock=clock)
    times = admitted(quotas, clock, iter(sorted(1000 + choose.random() * 600 for _ in range(limit * 100))))
    assert most_in_a_minute(times) <= limit
    assert len(times) >= 0.99 * limit * 10


def test_tokens_are_taken_ahead_and_settled() -> None:
    clock = Clock()
    quotas = Quotas([Quota(tokens_per_minute=1000)], clock=clock)
    first = quotas.reserve(A, M, 100, 800)
    with pytest.raises(AwsError, match="Too many tokens, please wait"):
        quotas.reserve(A, M, 101, 0)
    # 40 of the input came from a cache; 60 + 20 stay taken.
    first.settle(Usage(100, 20, 40))
    first.settle(Usage(100, 20, 40))
    quotas.reserve(A, M, 920, 0)
    with pytest.raises(AwsError):
        quotas.reserve(A, M, 1, 0)


def test_nothing_generated_costs_no_tokens_but_was_a_request() -> None:
    clock = Clock()
    quotas = Quotas([Quota(tokens_per_minute=1000, requests_per_minute=2)], clock=clock)
    quotas.reserve(A, M, 100, 800).forget()
    quotas.reserve(A, M, 1000, 0)
    with pytest.raises(AwsError, match="Too many requests, please wait"):
        quotas.reserve(A, M, 0, 0)


def test_output_may_weigh_more() -> None:
    quotas = Quotas([Quota(tokens_per_minute=1000, output_weight=5)], clock=Clock())
    with pytest.raises(AwsError):
        quotas.reserve(A, M, 1, 200)
    reservation = quotas.reserve(A, M, 0, 200)
    reservation.settle(Usage(100, 100))
    quotas.reserve(A, M, 400, 0)
    with pytest.raises(AwsError):
        quotas.reserve(A, M, 1, 0)


def test_the_hint_says_when_there_is_room() -> None:
    clock = Clock()
    quotas = Quotas([Quota(requests_per_minute=2)], clock=clock)
    quotas.reserve(A, M, 0, 0)
    clock.now += 20
    quotas.reserve(A, M, 0, 0)
    clock.now += 10
    with pytest.raises(AwsError) as caught:
        quotas.reserve(A, M, 0, 0)
    assert caught.value.code == "ThrottlingException"
    assert caught.value.headers["retry-after"] == "30"
    clock.now += int(caught.value.headers["x-amz-retry-after"]) / 1000 + 0.001
    quotas.reserve(A, M, 0, 0)


def test_accounts_and_models_are_counted_apart() -> None:
    quotas = Quotas(
        [Quota(requests_per_minute=1), Quota(account=B, model="acme.n*", requests_per_minute=0)], clock=Clock()
    )
    quotas.reserve(A, M, 0, 0)
    quotas.reserve(A, N, 0, 0)
    quotas.reserve(B, M, 0, 0)
    for account, model in ((A, M), (A, N), (B, M), (B, N)):
        with pytest.raises(AwsError):
            quotas.reserve(account, model, 0, 0)
    assert not Quotas([Quota(account=B, requests_per_minute=1)]).hold(A, M)


def test_a_day_is_a_day() -> None:
    clock = Clock()
    quotas = Quotas([Quota(tokens_per_day=100)], clock=clock)
    quotas.reserve(A, M, 100, 0)
    clock.now += 86_000
    with pytest.raises(AwsError, match="Too many tokens per day"):
        quotas.reserve(A, M, 1, 0)
    clock.now += 600
    quotas.reserve(A, M, 100, 0)
