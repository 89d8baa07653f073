"""One question to a model, asked as Converse would be, unless the answer is known already."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from outcrop.batch.asking import Asking as BatchAsking
from outcrop.batch.asking import Operations
from outcrop.batch.pace import Pace
from outcrop.batch.refused import Refused
from outcrop.batch.submitted import Submitted
from outcrop.context import Parts
from outcrop.errors import AwsError
from outcrop.evaluation.engine_asking import fingerprint
from outcrop.evaluation.item import Turn
from outcrop.evaluation.jobs.answers import Answers, Said, key_of
from outcrop.evaluation.jobs.aside import aside
from outcrop.evaluation.jobs.inference import Inference
from outcrop.evaluation.jobs.models import model_of
from outcrop.models.model import Model


@dataclass(frozen=True, slots=True)
class Question:
    """`schema` is the JSON schema that the answer is held to, where the model can be. `sample` counts equal questions."""

    turns: tuple[Turn, ...]
    inference: Inference
    schema: Mapping[str, Any] | None = None
    sample: int = 0


class Gate:
    """No more at once than the pace allows, which changes with what the engine turns away."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._inside = 0
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._inside < self._pace.limit)
            self._inside += 1

    async def __aexit__(self, *_: object) -> None:
        async with self._changed:
            self._inside -= 1
            # One for the place that is free, one for a limit that may have grown.
            self._changed.notify(2)


@dataclass(slots=True)
class Usage:
    """Of one model in one attempt at a job: questions answered now, those of them that are kept, known before, failed;
    tokens of those answered now.
    """

    model: str
    answered: int = 0
    kept: int = 0
    known: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def count(self, said: Said) -> None:
        self.answered += 1
        self.input_tokens += said.input_tokens
        self.output_tokens += said.output_tokens


class Asking:
    """One model as one job asks it. Refused if there is no such model any more."""

    def __init__(self, parts: Parts, wire: Operations, job: Submitted, identifier: str, answers: Answers) -> None:
        self._parts = parts
        self._answers = answers
        self.model = self.resolved(parts, job, identifier)
        self.arn = self.model.arn(job.region)
        self._fingerprint = f"{identifier} {fingerprint(parts.engines.spec(self.model.id))}"
        pace = Pace(parts.engines.room(self.model.id), parts.settings.batch.in_flight)
        named = replace(job, request={**job.request, "modelId": identifier, "modelInvocationType": "Converse",
                                      "inputDataConfig": {"s3InputDataConfig": {"s3Uri": ""}}})  # fmt: skip
        self._asking = BatchAsking(parts, wire, named, pace)
        self._gate = Gate(pace)
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.usage = Usage(identifier)

    @staticmethod
    def resolved(parts: Parts, job: Submitted, identifier: str) -> Model:
        try:
            return model_of(parts, identifier, job.account, job.region)
        except AwsError as problem:
            raise Refused(f"{identifier}: {problem.message}") from None

    async def ask(self, question: Question) -> Said:
        """Never raises for what the model does: that is a failure, and counted."""
        body = self._body(question)
        key = key_of(self._fingerprint, body, question.sample)
        # Two records may ask the same.
        async with self._locks[key]:
            known = await aside(self._answers.find, key)
            if known is not None:
                self.usage.known += 1
                return known
            async with self._gate:
                try:
                    answer = await self._asking.answered(orjson.dumps(body))
                except AwsError as problem:
                    self.usage.failed += 1
                    return Said("", failure=f"{problem.code}: {problem.message}")
            said = Said(_text(answer.body), answer.input_tokens, answer.output_tokens)
            self.usage.count(said)
            self.usage.kept += await aside(self._answers.keep, key, said, self._parts.clock())
            return said

    def _body(self, question: Question) -> dict[str, Any]:
        """Of Converse."""
        inference = question.inference
        body: dict[str, Any] = {"messages": _messages(question.turns), "inferenceConfig": dict(inference.config)}
        system = [{"text": turn.text} for turn in question.turns if turn.role == "system"]
        if system:
            body["system"] = system
        if inference.extra:
            body["additionalModelRequestFields"] = dict(inference.extra)
        if inference.performance:
            body["performanceConfig"] = dict(inference.performance)
        if question.schema is not None and self.model.capabilities.json_schema:
            form = {"jsonSchema": {"name": "verdict", "schema": orjson.dumps(question.schema).decode()}}
            body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": form}}
        return body


def _messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    return [{"role": turn.role, "content": [{"text": turn.text}]} for turn in turns if turn.role != "system"]


def _text(body: bytes) -> str:
    """What the model said, without what it thought."""
    content = orjson.loads(body)["output"]["message"]["content"]
    return "".join(part["text"] for part in content if "text" in part)
