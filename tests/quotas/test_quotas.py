"""Quotas: enforced to the percent by all servers together, taken and given back as AWS describes, over restarts too."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outcrop.engines.engine import Usage
from outcrop.errors import AwsError
from outcrop.quotas.count import AHEAD
from outcrop.quotas.ledger import Asked, Key, exchange, sweep
from outcrop.quotas.quotas import Quotas, Reservation
from outcrop.settings import Quota
from outcrop.store.database import Database, DatabaseError
from tests.stores import store_at

A, B, M, N = "111122223333", "444455556666", "acme.m-v1", "acme.n-v1"
USES = Key(A, M, "tokens a minute")


@dataclass
class Clock:
    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database.open(store_at(tmp_path))
    yield found
    found.close()


def reserve(quotas: Quotas, account: str, model: str, tokens: int, most: int) -> Reservation:
    return asyncio.run(quotas.reserve(account, model, tokens, most))


def refused(quotas: Quotas, account: str, model: str, tokens: int, most: int) -> AwsError:
    with pytest.raises(AwsError) as caught:
        reserve(quotas, account, model, tokens, most)
    assert caught.value.code == "ThrottlingException"
    return caught.value


def most_in_a_minute(times: list[float]) -> int:
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - 60:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize(("servers", "skew"), [(1, 1.0), (2, 0.5), (2, 0.98), (3, 0.34)])
def test_requests_per_minute_to_the_percent(database: Database, servers: int, skew: float) -> None:
    """Four times the quota is asked for, at random moments, for three minutes; `skew` is the first server's share.

    What servers tell each other by themselves, they tell twice a second.
    """
    clock, choose, limit = Clock(), random.Random(servers), 1200
    rule = Quota(requests_per_minute=limit)
    quotas = [Quotas([rule], database, clock=clock) for _ in range(servers)]
    arrivals = sorted(clock.now + choose.random() * 180 for _ in range(limit * 12))
    times = asyncio.run(_admitted(quotas, clock, arrivals, choose, skew))
    assert most_in_a_minute(times) <= limit * (1 + servers / AHEAD)
    assert len(times) >= limit * 3 * (1 - servers / AHEAD)


async def _admitted(
    quotas: list[Quotas], clock: Clock, arrivals: list[float], choose: random.Random, skew: float
) -> list[float]:
    times, told = [], clock.now
    for clock.now in arrivals:
        if clock.now - told > 0.5:
            told = clock.now
            for server in quotas:
                await server.tell()
        server = quotas[0] if choose.random() < skew else choose.choice(quotas[1:])
        try:
            await server.reserve(A, M, 1, 0)
        except AwsError:
            continue
        times.append(clock.now)
    return times


def test_many_at_once_are_given_no_more_than_there_is(database: Database) -> None:
    rules = [Quota(requests_per_minute=50, tokens_per_minute=1000)]
    quotas = [Quotas(rules, database, clock=Clock()) for _ in range(3)]

    async def everybody() -> list[Reservation | BaseException]:
        asked = [server.reserve(A, M, 10, 5) for server in quotas for _ in range(60)]
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(everybody())
    assert sum(isinstance(one, Reservation) for one in found) == 50
    assert all(isinstance(one, Reservation | AwsError) for one in found)
    for one in found:
        if isinstance(one, Reservation):
            one.forget()
    for server in quotas:
        asyncio.run(server.tell(closing=True))
    # The requests were made; their tokens are there again, all of them.
    refused(quotas[0], A, M, 0, 0)
    fresh = Quotas([Quota(tokens_per_minute=1000)], database, clock=Clock())
    reserve(fresh, A, M, 1000, 0)
    refused(fresh, A, M, 1, 0)


def test_a_restart_forgets_nothing(database: Database) -> None:
    clock, rules = Clock(), [Quota(requests_per_minute=100, tokens_per_minute=1000, tokens_per_day=5000)]
    killed = Quotas(rules, database, clock=clock)
    for _ in range(40):
        reserve(killed, A, M, 10, 0)
    ended = Quotas(rules, database, clock=clock)
    settled = reserve(ended, A, M, 100, 400)
    settled.settle(Usage(100, 100))
    asyncio.run(ended.close())
    again = Quotas([Quota(tokens_per_minute=1000)], database, clock=clock)
    # 400 and 200 were used; what a killed server had taken ahead, a four-hundredth, is lost with it.
    reserve(again, A, M, 397, 0)
    refused(again, A, M, 4, 0)
    clock.now += 61
    reserve(again, A, M, 1000, 0)
    # Of the day 600 are used, and a four-hundredth of 5000 went with the killed server.
    day = Quotas([Quota(tokens_per_day=2000)], database, clock=clock)
    refused(day, A, M, 1401, 0)
    reserve(day, A, M, 1387, 0)


def test_what_is_taken_ahead_and_not_spent_goes_back(database: Database) -> None:
    clock, rules = Clock(), [Quota(requests_per_minute=4000)]
    one, other = (Quotas(rules, database, clock=clock) for _ in range(2))
    reserve(one, A, M, 0, 0)
    assert _used(database) == 1 + 10
    clock.now += 0.4
    asyncio.run(one.tell())
    assert _used(database) == 11
    clock.now += 0.2
    asyncio.run(one.tell())
    assert _used(database) == 1
    reserve(other, A, M, 0, 0)
    asyncio.run(other.close())
    assert _used(database) == 2


def test_most_requests_ask_nobody(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    quotas = Quotas([Quota(requests_per_minute=40_000)], database, clock=Clock())

    async def ask() -> None:
        for _ in range(1000):
            await quotas.reserve(A, M, 0, 0)

    asked = 0

    def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return exchange(*arguments)

    monkeypatch.setattr("outcrop.quotas.ledger.exchange", counted)
    asyncio.run(ask())
    # Each time for the one that asks, and for a hundred after it.
    assert asked == 10
    assert _used(database) == 1010


def test_who_goes_away_while_he_waits_takes_nothing(database: Database) -> None:
    quotas = Quotas([Quota(requests_per_minute=100)], database, clock=Clock())

    async def gone() -> None:
        asked = asyncio.create_task(quotas.reserve(A, M, 0, 0))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
        await quotas.tell(closing=True)

    asyncio.run(gone())
    assert _used(database) == 0


def test_while_the_database_is_away_nothing_is_lost(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    quotas = Quotas([Quota(tokens_per_minute=1000)], database, clock=Clock())
    taken = reserve(quotas, A, M, 500, 0)

    def away(*_: object) -> None:
        raise DatabaseError("away")

    with monkeypatch.context() as patch:
        patch.setattr("outcrop.quotas.ledger.exchange", away)
        taken.settle(Usage(100, 0))
        with pytest.raises(DatabaseError):
            asyncio.run(quotas.tell())
        with pytest.raises(DatabaseError):
            reserve(quotas, A, M, 500, 0)
        asyncio.run(quotas.close())
    asyncio.run(quotas.tell(closing=True))
    assert _used(database) == 100


def _used(database: Database) -> float:
    row = database.one("SELECT coalesce(sum(amount), 0) AS used FROM quota_uses")
    assert row is not None
    return float(row["used"])


def test_tokens_are_taken_ahead_and_settled(database: Database) -> None:
    clock = Clock()
    quotas = Quotas([Quota(tokens_per_minute=1000)], database, clock=clock)
    first = reserve(quotas, A, M, 100, 800)
    with pytest.raises(AwsError, match="Too many tokens, please wait"):
        reserve(quotas, A, M, 101, 0)
    # 40 of the input came from a cache; 60 + 20 stay taken.
    first.settle(Usage(100, 20, 40))
    first.settle(Usage(100, 20, 40))
    reserve(quotas, A, M, 920, 0)
    with pytest.raises(AwsError):
        reserve(quotas, A, M, 1, 0)


def test_nothing_generated_costs_no_tokens_but_was_a_request(database: Database) -> None:
    clock = Clock()
    quotas = Quotas([Quota(tokens_per_minute=1000, requests_per_minute=2)], database, clock=clock)
    reserve(quotas, A, M, 100, 800).forget()
    reserve(quotas, A, M, 1000, 0)
    with pytest.raises(AwsError, match="Too many requests, please wait"):
        reserve(quotas, A, M, 0, 0)


def test_output_may_weigh_more(database: Database) -> None:
    quotas = Quotas([Quota(tokens_per_minute=1000, output_weight=5)], database, clock=Clock())
    with pytest.raises(AwsError):
        reserve(quotas, A, M, 1, 200)
    reservation = reserve(quotas, A, M, 0, 200)
    reservation.settle(Usage(100, 100))
    reserve(quotas, A, M, 400, 0)
    with pytest.raises(AwsError):
        reserve(quotas, A, M, 1, 0)


def test_the_hint_says_when_there_is_room(database: Database) -> None:
    clock = Clock()
    quotas = Quotas([Quota(requests_per_minute=2)], database, clock=clock)
    reserve(quotas, A, M, 0, 0)
    clock.now += 20
    reserve(quotas, A, M, 0, 0)
    clock.now += 10
    with pytest.raises(AwsError) as caught:
        reserve(quotas, A, M, 0, 0)
    assert caught.value.code == "ThrottlingException"
    assert caught.value.headers["retry-after"] == "30"
    clock.now += int(caught.value.headers["x-amz-retry-after"]) / 1000 + 0.001
    reserve(quotas, A, M, 0, 0)


def test_accounts_and_models_are_counted_apart(database: Database) -> None:
    quotas = Quotas(
        [Quota(requests_per_minute=1), Quota(account=B, model="acme.n*", requests_per_minute=0)],
        database,
        clock=Clock(),
    )
    reserve(quotas, A, M, 0, 0)
    reserve(quotas, A, N, 0, 0)
    reserve(quotas, B, M, 0, 0)
    for account, model in ((A, M), (A, N), (B, M), (B, N)):
        with pytest.raises(AwsError):
            reserve(quotas, account, model, 0, 0)
    assert not Quotas([Quota(account=B, requests_per_minute=1)], database).hold(A, M)


def test_a_day_is_a_day(database: Database) -> None:
    clock = Clock()
    quotas = Quotas([Quota(tokens_per_day=100)], database, clock=clock)
    reserve(quotas, A, M, 100, 0)
    clock.now += 86_000
    with pytest.raises(AwsError, match="Too many tokens per day"):
        reserve(quotas, A, M, 1, 0)
    clock.now += 600
    reserve(quotas, A, M, 100, 0)


def test_rules_that_count_the_same_count_it_once(database: Database) -> None:
    rules = [Quota(tokens_per_minute=1000), Quota(account="1*", tokens_per_minute=100), Quota(tokens_per_minute=500)]
    quotas = Quotas(rules, database, clock=Clock())
    reserve(quotas, A, M, 100, 0)
    refused(quotas, A, M, 1, 0)
    reserve(quotas, B, M, 500, 0)
    refused(quotas, B, M, 1, 0)


uses = st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 1000)), max_size=25)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(uses, st.integers(1, 2000), st.integers(1000, 5000))
def test_a_window_against_one_that_remembers_every_use(
    database: Database, given_uses: list[tuple[int, int]], amount: int, limit: int
) -> None:
    """It never forgets early, at most a slice late; after the wait there is room."""
    with database.transaction() as transaction:
        transaction.execute("DELETE FROM quota_uses")
    now, seen, window = 1_700_000_000_000, [], {USES: 60_000}

    def ask(wanted: int, most: float, moment: int) -> int | None:
        asked = Asked(USES, most, (moment // 100 + 1) * 100 + 60_000, [wanted])
        return exchange(database, [asked], moment, window)[0].waits[0]

    for pause, used in given_uses:
        now += pause
        assert ask(used, float("inf"), now) is None
        seen.append((now, used))
    exact = sum(used for at, used in seen if at > now - 60_000)
    late = sum(used for at, used in seen if at > now - 60_100)
    wait = ask(amount, limit, now)
    if exact + amount > limit:
        assert wait is not None
    if late + amount <= limit:
        assert wait is None
    if wait is not None:
        assert 0 < wait <= 60_100
        if amount <= limit:
            assert ask(amount, limit, now + wait) is None
    sweep(database, now + 200_000)
    assert database.query("SELECT * FROM quota_uses") == []
