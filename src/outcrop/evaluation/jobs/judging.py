"""What a judge model decides about one answer, asked a second time of some to see how far it agrees with itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from outcrop.evaluation.item import Turn
from outcrop.evaluation.jobs.asking import Asking, Question
from outcrop.evaluation.jobs.inference import Inference
from outcrop.evaluation.jobs.records import Record
from outcrop.evaluation.jobs.scored import Score
from outcrop.evaluation.metrics import judged, scale
from outcrop.evaluation.metrics.custom import Custom
from outcrop.evaluation.metrics.judged import Judged
from outcrop.evaluation.metrics.scale import Verdict

MAX_TOKENS = 1024
# A verdict that cannot be read is asked for again so often in all.
TRIES = 2


class Judging:
    """The judge's metrics of one job."""

    def __init__(self, judge: Asking | None, metrics: Mapping[str, Judged], custom_judge: Asking | None,
                 customs: Sequence[Custom]) -> None:  # fmt: skip
        self._judge = judge
        self._metrics = metrics
        self._custom_judge = custom_judge
        self._customs = {one.name: one for one in customs}

    async def score(self, name: str, record: Record, answer: str | None, *, again: bool) -> Score:
        """`again`: the judge is asked once more with its scale turned round."""
        material = dict(record.material) if answer is None else {**record.material, "answer": answer}
        metric = self._customs.get(name) or self._metrics[name]
        missing = metric.missing(material) if isinstance(metric, Custom) else judged.needed(metric, material)
        if missing:
            return Score(name, None, f"The record has no {' and no '.join(missing)}.")
        judge = self._custom_judge if isinstance(metric, Custom) else self._judge
        assert judge is not None
        verdict, said = await self._verdict(judge, metric, material, reverse=False)
        also: dict[str, Any] = {"label": verdict.label}
        if verdict.value is None:
            also["judge"] = said
        if again and metric.levels:
            second, _ = await self._verdict(judge, metric, material, reverse=True)
            also["second"] = {"label": second.label, "result": second.value, "reason": second.reason}
        absent = None if verdict.value is not None else verdict.problem or "The judge could not decide."
        return Score(name, verdict.value, absent, judge.arn, verdict.reason, also)

    async def _verdict(
        self, judge: Asking, metric: Judged | Custom, material: Mapping[str, str], *, reverse: bool
    ) -> tuple[Verdict, str]:
        """And what the judge said, word by word."""
        custom = isinstance(metric, Custom)
        schema = scale.schema(metric.levels, not custom) if metric.levels else None
        config = {"temperature": 0.0, "maxTokens": min(MAX_TOKENS, judge.model.max_output_tokens)}
        turns = (Turn("user", metric.prompt(material, reverse=reverse)),)
        verdict, said = Verdict(None, "", "", ""), ""
        for sample in range(TRIES):
            answer = await judge.ask(Question(turns, Inference(config), schema, sample))
            if answer.failure is not None:
                return Verdict(None, "", "", f"The judge failed: {answer.failure}"), ""
            said = answer.text
            verdict = metric.read(said) if isinstance(metric, Custom) else scale.read(said, metric.levels)
            if verdict.problem is None:
                break
        return verdict, said
