"""Quotas: what a request takes when it begins, and what it gives back when it ends.

As AWS describes it (user guide, "How tokens are counted in Amazon Bedrock"): at the start a request takes its input and its
`maxTokens`; at the end that is settled to what it used, with what came from a cache given back.

Uses are counted in the database, so that servers which share it share the quotas, and a restart forgets nothing. A server
takes a four-hundredth of a quota ahead, and most requests spend of that without asking anybody; what it does not spend
goes back within a second. Requests that must ask wait together for one transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from outcrop.engines.engine import Usage
from outcrop.errors import ThrottlingException
from outcrop.inference.usage import counts
from outcrop.quotas import ledger
from outcrop.quotas.count import Count
from outcrop.quotas.ledger import Asked, Key
from outcrop.settings import Quota
from outcrop.store.database import Database, DatabaseError

MINUTE, DAY = 60.0, 86_400.0
# Accounts and models that are remembered; beyond it those that are doing nothing are forgotten here.
REMEMBERED = 50_000
TELL_SECONDS = 0.5
# Between two removals of what is not counted any more.
SWEEP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Taken:
    count: Count
    until: int
    amount: float


@dataclass(slots=True)
class _Want:
    count: Count
    amount: float
    # The `until` that it was taken under.
    granted: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Reservation:
    """What a request has taken. Settling it twice, or after an error, does no harm."""

    def __init__(self, taken: Sequence[_Taken]) -> None:
        self._taken = taken
        for one in taken:
            one.count.open += 1

    def settle(self, usage: Usage) -> None:
        """To what was used."""
        count = counts(usage)
        self._correct(lambda weight: count.fresh + weight * count.output)

    def forget(self) -> None:
        """Gives all its tokens back: nothing was generated. It still was a request."""
        self._correct(lambda _: 0.0)

    def _correct(self, used: Callable[[float], float]) -> None:
        taken, self._taken = self._taken, ()
        for one in taken:
            one.count.open -= 1
            change = used(one.count.weight) - one.amount if one.count.tokens else 0.0
            if change:
                one.count.correct(one.until, change)


class Quotas:
    """`clock` gives seconds since 1970. Used on one loop; `start` and `close` go around it."""

    def __init__(self, rules: Sequence[Quota], database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._rules = tuple(rules)
        self._database = database
        self._clock = clock
        self._counts: dict[tuple[str, str], tuple[Count, ...]] = {}
        self._waiting: list[_Want] = []
        self._asking: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None

    def hold(self, account: str, model_id: str) -> bool:
        """Whether anything is counted for them."""
        return bool(self._of(account, model_id))

    async def reserve(self, account: str, model_id: str, input_tokens: int, max_tokens: int) -> Reservation:
        """ThrottlingException, with the time to wait, for what is over a quota; nothing is taken then. DatabaseError."""
        now = self._now()
        amounts = [
            (count, input_tokens + count.weight * max_tokens if count.tokens else 1.0)
            for count in self._of(account, model_id)
        ]
        for count, amount in amounts:
            if (wait := count.refused(amount, now)) is not None:
                raise _throttled(count.words, wait)
        taken, wants = list[_Taken](), list[_Want]()
        for count, amount in amounts:
            until = count.take(amount)
            if until is None:
                wants.append(_Want(count, amount))
            else:
                taken.append(_Taken(count, until, amount))
        try:
            for want in await self._granted(wants):
                taken.append(want)
        except BaseException:
            _give_back(taken)
            raise
        return Reservation(taken)

    def start(self) -> None:
        self._telling = asyncio.create_task(self._keep_telling())

    async def close(self) -> None:
        """Tell what is left to tell: the next start goes on from there."""
        if self._telling is not None:
            self._telling.cancel()
            with suppress(asyncio.CancelledError):
                await self._telling
        with suppress(DatabaseError):
            await self.tell(closing=True)

    async def tell(self, *, closing: bool = False) -> None:
        """Corrections, and what was taken ahead and not spent for a while. DatabaseError, and then nothing was told."""
        now = self._now()
        due = [count for found in self._counts.values() for count in found if count.is_due(now, closing=closing)]
        if due:
            await self._exchange([(count, count.asked([], now)) for count in due], now)

    async def _keep_telling(self) -> None:
        swept = time.monotonic()
        while True:
            await asyncio.sleep(TELL_SECONDS)
            # A database that is away is told of where it is asked; what is to be told waits.
            with suppress(DatabaseError):
                await self.tell()
                if time.monotonic() - swept > SWEEP_SECONDS:
                    swept = time.monotonic()
                    await asyncio.to_thread(ledger.sweep, self._database, self._now())

    async def _granted(self, wants: Sequence[_Want]) -> list[_Taken]:
        """All of them, or the first refusal."""
        if not wants:
            return []
        self._waiting += wants
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        try:
            untils = await asyncio.gather(*(want.granted for want in wants), return_exceptions=True)
        except asyncio.CancelledError:
            for want in wants:
                want.granted.add_done_callback(_unwanted(want))
            raise
        found = [
            _Taken(want.count, until, want.amount)
            for want, until in zip(wants, untils, strict=True)
            if isinstance(until, int)
        ]
        problem = next((until for until in untils if isinstance(until, BaseException)), None)
        if problem is not None:
            _give_back(found)
            raise problem
        return found

    async def _ask(self) -> None:
        """Those who wait, together; who comes meanwhile waits for the next time."""
        while self._waiting:
            wants, self._waiting = self._waiting, []
            by_count: dict[Count, list[_Want]] = {}
            for want in wants:
                by_count.setdefault(want.count, []).append(want)
            now = self._now()
            asked = [(count, count.asked([want.amount for want in of], now)) for count, of in by_count.items()]
            try:
                answers = await self._exchange(asked, now)
            except Exception as problem:
                # Whatever it is, those who wait must hear of it.
                for want in wants:
                    _fail(want, problem)
                continue
            for (count, one), answer in zip(asked, answers, strict=True):
                count.answered(one, answer.extra, now)
                for want, wait in zip(by_count[count], answer.waits, strict=True):
                    if wait is None:
                        _grant(want, one.until)
                    else:
                        count.refuse(answer.room, wait, now)
                        _fail(want, _throttled(count.words, wait))

    async def _exchange(self, asked: Sequence[tuple[Count, Asked]], now: int) -> list[ledger.Answer]:
        windows = {count.key: count.window for count, _ in asked}
        try:
            return await asyncio.to_thread(ledger.exchange, self._database, [one for _, one in asked], now, windows)
        except BaseException:
            for count, one in asked:
                count.failed(one)
            raise

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _of(self, account: str, model_id: str) -> tuple[Count, ...]:
        key = account, model_id
        found = self._counts.get(key)
        if found is None:
            if len(self._counts) >= REMEMBERED:
                self._forget_idle()
            fitting = (
                rule for rule in self._rules if fnmatchcase(account, rule.account) and fnmatchcase(model_id, rule.model)
            )
            found = self._counts[key] = _counts(account, model_id, list(fitting))
        return found

    def _forget_idle(self) -> None:
        self._counts = {
            key: found for key, found in self._counts.items() if not all(count.is_idle() for count in found)
        }


def _counts(account: str, model_id: str, rules: Sequence[Quota]) -> tuple[Count, ...]:
    """Rules that count the same count it once, and the lowest limit holds."""
    found: dict[str, Count] = {}
    for rule in rules:
        limits = (
            ("requests a minute", rule.requests_per_minute, MINUTE, "Too many requests", False),
            ("tokens a minute", rule.tokens_per_minute, MINUTE, "Too many tokens", True),
            ("tokens a day", rule.tokens_per_day, DAY, "Too many tokens per day", True),
        )
        for what, limit, seconds, words, tokens in limits:
            weight = rule.output_weight if tokens else 1.0
            kind = what if weight == 1.0 else f"{what}, output weighs {weight:g}"
            if limit is not None and (kind not in found or limit < found[kind].limit):
                said = f"{words}, please wait before trying again."
                found[kind] = Count(Key(account, model_id, kind), limit, seconds, said, tokens=tokens, weight=weight)
    return tuple(found.values())


def _give_back(taken: Sequence[_Taken]) -> None:
    for one in taken:
        one.count.correct(one.until, -one.amount)


def _grant(want: _Want, until: int) -> None:
    if want.granted.cancelled():
        want.count.correct(until, -want.amount)
    else:
        want.granted.set_result(until)


def _fail(want: _Want, problem: BaseException) -> None:
    if not want.granted.cancelled():
        want.granted.set_exception(problem)


def _unwanted(want: _Want) -> Callable[[asyncio.Future[int]], None]:
    """What is granted to somebody who has gone goes back."""

    def back(granted: asyncio.Future[int]) -> None:
        if not granted.cancelled() and granted.exception() is None:
            want.count.correct(granted.result(), -want.amount)

    return back


def _throttled(words: str, wait: int) -> ThrottlingException:
    headers = {"retry-after": str(max(1, round(wait / 1000))), "x-amz-retry-after": str(wait)}
    return ThrottlingException(words, headers=headers)
