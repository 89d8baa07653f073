"""All records of a job, each answered and scored; they run at once, as far as the models' gates let them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from outcrop.context import Parts
from outcrop.evaluation.item import Item, Turn
from outcrop.evaluation.jobs.aside import aside
from outcrop.evaluation.jobs.asking import Asking, Question
from outcrop.evaluation.jobs.built_in import suite_of
from outcrop.evaluation.jobs.inference import Inference, inference
from outcrop.evaluation.jobs.judging import Judging
from outcrop.evaluation.jobs.plan import ACCURACY, OUTCROP, DatasetPlan, ModelPlan, Plan
from outcrop.evaluation.jobs.programmatic import Ask, Programmatic
from outcrop.evaluation.jobs.records import Record
from outcrop.evaluation.jobs.scored import Score, Scored
from outcrop.evaluation.jobs.similar import SimilarSentences
from outcrop.evaluation.jobs.together import together
from outcrop.evaluation.jobs.toxicity import Toxicity

# Records that are worked on at once.
WINDOW = 128


class Evaluating:
    """`done` of `total` records. Everything runs on the loop."""

    def __init__(self, parts: Parts, plan: Plan, asking: Callable[[str], Asking]) -> None:
        self._plan = plan
        self._again = parts.settings.evaluation.judged_twice
        asked = {name: asking(name) for name in plan.asked}
        self._asked = asked
        self._inference = {name: self._inference_of(name) for name in asked}
        judge = asked[plan.judge] if plan.judge is not None else None
        custom_judge = asked[plan.custom_judge] if plan.custom_judge is not None else None
        self.judges = list(dict.fromkeys(one.arn for one in (judge, custom_judge) if one is not None))
        self._judging = Judging(judge, plan.judged or {}, custom_judge, plan.customs)
        self._similar = SimilarSentences(parts)
        self._toxic = Toxicity(parts.settings.evaluation)
        # Enough to keep all models busy; more would only wait in their gates.
        self._window = asyncio.Semaphore(WINDOW)
        self.done, self.total = 0, 0

    def _inference_of(self, name: str) -> Inference:
        most = self._asked[name].model.max_output_tokens
        plan = next((model for model in self._plan.models if model.identifier == name), None)
        return Inference() if plan is None else inference(plan.params, plan.performance, most)

    async def close(self) -> None:
        await self._toxic.close()

    @property
    def kept(self) -> int:
        """Answers that another attempt need not ask for."""
        return sum(one.usage.kept for one in self._asked.values())

    def usage(self) -> list[dict[str, Any]]:
        """What each model was asked in this attempt, the judges too."""
        return [
            {
                "model": one.usage.model,
                "answered": one.usage.answered,
                "knownBefore": one.usage.known,
                "failed": one.usage.failed,
                "inputTokens": one.usage.input_tokens,
                "outputTokens": one.usage.output_tokens,
            }
            for one in self._asked.values()
        ]

    async def all(self, data: Sequence[Sequence[Record]]) -> list[list[Scored]]:
        """For each data set its rows: those of the first model, then those of the second."""
        self.total = sum(map(len, data)) * len(self._plan.models)
        return [
            [row for model in self._plan.models for row in await self._dataset(dataset, some, model)]
            for dataset, some in zip(self._plan.datasets, data, strict=True)
        ]

    async def _dataset(self, dataset: DatasetPlan, records: Sequence[Record], model: ModelPlan) -> list[Scored]:
        measures = Programmatic(dataset, records, self._similar, self._toxic, self._ask_of(model))
        return await together(
            self._record(dataset, record, model, measures, again=at < self._again) for at, record in enumerate(records)
        )

    def _ask_of(self, model: ModelPlan) -> Ask | None:
        if model.identifier is None:
            return None
        asking, how = self._asked[model.identifier], self._inference[model.identifier]

        async def ask(prompt: str) -> tuple[str | None, str | None]:
            said = await asking.ask(Question((Turn("user", prompt),), how))
            return (said.text, None) if said.failure is None else (None, said.failure)

        return ask

    async def _record(
        self, dataset: DatasetPlan, record: Record, model: ModelPlan, measures: Programmatic, *, again: bool
    ) -> Scored:
        async with self._window:
            row = await self._answered(record, model)
            if row.failure is None:
                row.scores = await self._scores(dataset, row, measures, again=again)
        self.done += 1
        return row

    async def _answered(self, record: Record, model: ModelPlan) -> Scored:
        if model.identifier is None:
            return Scored(record, record.responses.get(model.name))
        asking, how = self._asked[model.identifier], self._inference[model.identifier]
        said = await asking.ask(Question(record.turns, _of_item(how, record.item)))
        if said.failure is not None:
            return Scored(record, None, said.failure)
        return Scored(record, said.text, input_tokens=said.input_tokens, output_tokens=said.output_tokens)

    async def _scores(self, dataset: DatasetPlan, row: Scored, measures: Programmatic, *, again: bool) -> list[Score]:
        if self._plan.human:
            return []
        if self.judges:
            judged = (self._judging.score(name, row.record, row.answer, again=again) for name in dataset.metrics)
            return await together(judged)
        if dataset.name.startswith(OUTCROP):
            return [await self._benchmark(dataset, row)]
        return await measures.scores(row.record, row.answer or "")

    async def _benchmark(self, dataset: DatasetPlan, row: Scored) -> Score:
        """By the benchmark's own rules."""
        suite, item = suite_of(dataset.name), row.record.item
        assert item is not None
        scored = await aside(suite.score, item, row.answer or "")
        also: dict[str, Any] = {"scores": dict(scored.scores), "extracted": scored.extracted}
        return Score(ACCURACY, scored.scores[suite.metrics[0]], also=also)


def _of_item(how: Inference, item: Item | None) -> Inference:
    """A benchmark's own room and stop sequences."""
    if item is None:
        return how
    config = {**how.config, "maxTokens": item.prompt.max_tokens}
    if item.prompt.stop:
        config["stopSequences"] = list(item.prompt.stop)
    return replace(how, config=config)
