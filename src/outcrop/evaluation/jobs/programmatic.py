"""Accuracy, robustness and toxicity of one answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from outcrop.evaluation.jobs.aside import aside
from outcrop.evaluation.jobs.plan import ACCURACY, ROBUSTNESS, TOXICITY, DatasetPlan
from outcrop.evaluation.jobs.records import Record
from outcrop.evaluation.jobs.scored import Score
from outcrop.evaluation.jobs.together import together
from outcrop.evaluation.metrics import accuracy, robustness, words
from outcrop.evaluation.metrics.perturbations import Perturbed, perturbed

NO_REFERENCE = "The record has no referenceResponse."

# A prompt → what the model answers it, or the reason why it does not.
Ask = Callable[[str], Coroutine[Any, Any, tuple[str | None, str | None]]]


class Similar(Protocol):
    """0 to 1; the string says why there is none."""

    async def of(self, answer: str, references: Sequence[str]) -> float | str: ...


class Toxic(Protocol):
    """0 to 1; the string says why there is none."""

    async def of(self, text: str) -> float | str: ...


class Programmatic:
    """The measures of one data set. `ask` is None where answers were supplied: those cannot be asked again."""

    def __init__(
        self, plan: DatasetPlan, records: Sequence[Record], similar: Similar, toxic: Toxic, ask: Ask | None
    ) -> None:
        self._plan = plan
        self._labels = list(dict.fromkeys(text for record in records for text in record.references))
        self._similar = similar
        self._toxic = toxic
        self._ask = ask

    async def scores(self, record: Record, answer: str) -> list[Score]:
        return [await self._score(metric, record, answer) for metric in self._plan.metrics]

    async def _score(self, metric: str, record: Record, answer: str) -> Score:
        if metric == ACCURACY:
            value = await self.accuracy(record, answer)
            if isinstance(value, str):
                return Score(metric, None, value)
            return Score(metric, value, also={"exactMatch": words.exact(answer, record.references)})
        if metric == ROBUSTNESS:
            return await self._robustness(record, answer)
        assert metric == TOXICITY
        toxic = await self._toxic.of(answer)
        return Score(metric, None, toxic) if isinstance(toxic, str) else Score(metric, toxic)

    async def accuracy(self, record: Record, answer: str) -> float | str:
        if not record.references:
            return NO_REFERENCE
        score = accuracy.ACCURACY[self._plan.task].score
        if score is None:
            return await self._similar.of(answer, record.references)
        return score(answer, record.references, self._labels)

    async def _robustness(self, record: Record, answer: str) -> Score:
        if self._ask is None:
            return Score(ROBUSTNESS, None, "Answers that were supplied cannot be asked again with a perturbed prompt.")
        made = perturbed(record.prompt)
        if not made:
            return Score(ROBUSTNESS, None, "No perturbation changes the prompt.")
        said = await together(self._ask(one.text) for one in made)
        failures = [f"{one.kind}: {why}" for one, (text, why) in zip(made, said, strict=True) if text is None]
        answered = [(one, text) for one, (text, _) in zip(made, said, strict=True) if text is not None]
        also: dict[str, Any] = {"failures": failures} if failures else {}
        if not answered:
            return Score(ROBUSTNESS, None, f"No perturbed prompt was answered. {failures[0]}", also=also)
        also["answers"] = {one.kind: text for one, text in answered}
        if self._plan.task == accuracy.GENERATION:
            # Long answers take their time, which the server's loop has not.
            rate = await aside(robustness.error_rate_of, answer, [text for _, text in answered])
            return Score(ROBUSTNESS, rate, also=also)
        return await self._change(record, answer, answered, also)

    async def _change(
        self, record: Record, answer: str, answered: Sequence[tuple[Perturbed, str]], also: dict[str, Any]
    ) -> Score:
        whole = await self.accuracy(record, answer)
        if isinstance(whole, str):
            return Score(ROBUSTNESS, None, whole, also=also)
        others = [await self.accuracy(record, text) for _, text in answered]
        numbers = [one for one in others if not isinstance(one, str)]
        if len(numbers) < len(others):
            return Score(ROBUSTNESS, None, next(one for one in others if isinstance(one, str)), also=also)
        also |= {"score": whole, "perturbed": {one.kind: n for (one, _), n in zip(answered, numbers, strict=True)}}
        result = robustness.change(whole, numbers)
        why = None if result is not None else "The answer scored 0 and a perturbed prompt's more: no percentage of 0."
        return Score(ROBUSTNESS, result, why, also=also)
