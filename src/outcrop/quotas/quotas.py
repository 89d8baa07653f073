"""Quotas: what a request takes when it begins, and what it gives back when it ends.

As AWS describes it (user guide, "How tokens are counted in Amazon Bedrock"): at the start a request takes its input and its
`maxTokens`; at the end that is settled to what it used, with what came from a cache given back. Counts are of this server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from outcrop.engines.engine import Usage
from outcrop.errors import ThrottlingException
from outcrop.inference.usage import counts
from outcrop.quotas.window import Window
from outcrop.settings import Quota

MINUTE, DAY = 60.0, 86_400.0
# Accounts and models that are counted; beyond it those that used nothing lately are forgotten.
COUNTED = 50_000


@dataclass(slots=True)
class _Count:
    """One limit of one rule for one account and model."""

    window: Window
    limit: float
    words: str
    tokens: bool


@dataclass(frozen=True, slots=True)
class _Taken:
    count: _Count
    at: int
    amount: float
    output_weight: float


class Reservation:
    """What a request has taken. Settling it twice, or after an error, does no harm."""

    def __init__(self, taken: Sequence[_Taken]) -> None:
        self._taken = taken

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
            if one.count.tokens:
                one.count.window.correct(one.at, used(one.output_weight) - one.amount)


class Quotas:
    """`clock` gives seconds that only grow."""

    def __init__(self, rules: Sequence[Quota], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = tuple(rules)
        self._clock = clock
        self._counts: dict[tuple[str, str], list[tuple[Quota, list[_Count]]]] = {}

    def hold(self, account: str, model_id: str) -> bool:
        """Whether anything is counted for them."""
        return bool(self._of(account, model_id))

    def reserve(self, account: str, model_id: str, input_tokens: int, max_tokens: int) -> Reservation:
        """ThrottlingException, with the time to wait, for what is over a quota; nothing is taken then."""
        now = self._clock()
        wanted = [
            (count, input_tokens + rule.output_weight * max_tokens if count.tokens else 1.0, rule.output_weight)
            for rule, found in self._of(account, model_id)
            for count in found
        ]
        for count, amount, _ in wanted:
            if count.window.total(now) + amount > count.limit:
                raise _throttled(count.words, count.window.wait(amount, count.limit, now))
        return Reservation(
            [_Taken(count, count.window.add(amount, now), amount, weight) for count, amount, weight in wanted]
        )

    def _of(self, account: str, model_id: str) -> list[tuple[Quota, list[_Count]]]:
        key = account, model_id
        found = self._counts.get(key)
        if found is None:
            if len(self._counts) >= COUNTED:
                self._forget_idle()
            found = self._counts[key] = [
                (rule, _counts(rule))
                for rule in self._rules
                if fnmatchcase(account, rule.account) and fnmatchcase(model_id, rule.model)
            ]
        return found

    def _forget_idle(self) -> None:
        now = self._clock()
        self._counts = {
            key: rules
            for key, rules in self._counts.items()
            if any(count.window.total(now) for _, found in rules for count in found)
        }


def _counts(rule: Quota) -> list[_Count]:
    limits = (
        (rule.requests_per_minute, MINUTE, "Too many requests, please wait before trying again.", False),
        (rule.tokens_per_minute, MINUTE, "Too many tokens, please wait before trying again.", True),
        (rule.tokens_per_day, DAY, "Too many tokens per day, please wait before trying again.", True),
    )
    return [
        _Count(Window(seconds), limit, words, tokens) for limit, seconds, words, tokens in limits if limit is not None
    ]


def _throttled(words: str, seconds: float) -> ThrottlingException:
    headers = {"retry-after": str(max(1, round(seconds))), "x-amz-retry-after": str(round(seconds * 1000))}
    return ThrottlingException(words, headers=headers)
