"""Reward functions: which a request may name, and how those are asked that are not the trainer's own.

AWS has reward functions as Lambda functions. Here the name in the ARN is one of Outcrop's own graders, or one that the
settings give an address for, which is sent a Lambda's event. Source:
https://docs.aws.amazon.com/bedrock/latest/userguide/reward-functions.html.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from outcrop.batch.refused import Refused
from outcrop.customization.teaching import Teach
from outcrop.errors import AwsError, ValidationException
from outcrop.settings import CustomizationSettings
from outcrop.training.customizing.spec import Grader

# Names of functions, and the trainer's graders behind them.
OWN: Mapping[str, Grader] = {
    "outcrop-exact-match": "exact-match",
    "outcrop-json-schema": "json-schema",
    "outcrop-unit-tests": "unit-tests",
}
JUDGE = "outcrop-judge"
SECONDS, TRIES, JUDGED_AT_ONCE = 120.0, 3, 8
_MOST = 10

_ASKED = """You are grading an answer. Compare it with the reference and say how good it is.

Conversation:
{conversation}

Reference: {reference}

Answer to be graded:
{answer}

Reply with one whole number from 0 (wrong or useless) to 10 (as good as the reference), and nothing else."""


def named(arn: str, settings: CustomizationSettings) -> str:
    """The name of the function. ValidationException if nothing here answers for it."""
    name = arn.split(":function:", 1)[1].partition(":")[0]
    known = [*OWN, *([JUDGE] if settings.judge else []), *settings.graders]
    if name not in known:
        raise ValidationException(
            f"The reward function {name} is not known here. Known are {', '.join(known)}. Give the address of another in the "
            "settings: [customization.graders]."
        )
    return name


def trainers(name: str) -> Grader:
    """What the trainer is told: its own grader, or that it shall ask."""
    return OWN.get(name, "parent")


class Graders:
    """`judge` asks the judge's model."""

    def __init__(self, name: str, settings: CustomizationSettings, judge: Teach | None) -> None:
        self._name = name
        self._url = settings.graders.get(name)
        self._judge = judge

    async def rewards(self, samples: Sequence[Mapping[str, Any]]) -> list[float]:
        """Of {"record", "answer"} each. Refused if the function does not do what it must."""
        if self._url is None:
            places = asyncio.Semaphore(JUDGED_AT_ONCE)
            return list(await asyncio.gather(*(self._judged(sample, places) for sample in samples)))
        event = [_event(number, sample) for number, sample in enumerate(samples)]
        for tried in range(1, TRIES + 1):
            try:
                return _scores(await _posted(self._url, event), len(samples))
            except (aiohttp.ClientError, TimeoutError, ValueError) as problem:
                if tried == TRIES:
                    told = str(problem) or type(problem).__name__
                    raise Refused(f"The reward function {self._name} at {self._url} failed: {told}") from None
                await asyncio.sleep(tried)
        raise AssertionError("unreachable")

    async def _judged(self, sample: Mapping[str, Any], places: asyncio.Semaphore) -> float:
        record = sample["record"]
        asked = _ASKED.format(
            conversation="\n".join(f"{message['role']}: {message['content']}" for message in record["messages"]),
            reference=record.get("reference_answer", "none is given"),
            answer=sample["answer"],
        )
        assert self._judge is not None, "a function without an address is the judge"
        async with places:
            try:
                said = await self._judge({"messages": [{"role": "user", "content": [{"text": asked}]}]})
            except AwsError as problem:
                raise Refused(f"The judge could not answer: {problem.message}") from None
        return mark(said)


def mark(said: str) -> float:
    """From 0 to 1; a judge that says no number finds an answer worth nothing."""
    digits = said.strip().split()[0].rstrip(".,/:") if said.strip() else ""
    number = digits.partition("/")[0]
    return min(int(number), _MOST) / _MOST if number.isdecimal() and len(number) < 4 else 0.0


def _event(number: int, sample: Mapping[str, Any]) -> dict[str, Any]:
    """A sample as a reward function's Lambda is sent it."""
    record = dict(sample["record"])
    messages = [*record.pop("messages"), {"role": "assistant", "content": sample["answer"]}]
    event = {"id": str(number), "messages": messages, "reference_answer": record.pop("reference_answer", None)}
    return {**event, "metadata": record} if record else event


async def _posted(url: str, event: Sequence[Mapping[str, Any]]) -> Any:
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
        session.post(url, json=list(event)) as answer,
    ):
        return await answer.json(content_type=None)


def _scores(given: Any, count: int) -> list[float]:
    """ValueError unless each sample has exactly one reward, in whatever order."""
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise ValueError("its answer is not a list of objects")
    try:
        found = {str(one["id"]): float(one["aggregate_reward_score"]) for one in given}
    except (KeyError, TypeError, ValueError):
        raise ValueError("an entry of its answer has no id or no aggregate_reward_score that is a number") from None
    if len(given) != count or found.keys() != {str(number) for number in range(count)}:
        raise ValueError(f"it answered for {len(found)} samples, and was asked of {count}")
    return [found[str(number)] for number in range(count)]
