"""What the scores of a data set come to, for people and programs: `outcrop/summary.json`, `report.md`, `report.html`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from outcrop.evaluation.jobs.plan import ACCURACY, ROBUSTNESS, DatasetPlan, ModelPlan
from outcrop.evaluation.jobs.scored import Score, Scored
from outcrop.evaluation.metrics import accuracy, robustness
from outcrop.evaluation.metrics.agreement import agreement
from outcrop.evaluation.statistics import Value, estimate

NO_ANSWER = "The model gave no answer."


def summary(dataset: DatasetPlan, model: ModelPlan, rows: Sequence[Scored], metrics: Sequence[str]) -> dict[str, Any]:
    failed = [row for row in rows if row.failure is not None]
    return {
        "taskType": dataset.task,
        "dataset": dataset.name,
        "model": model.name,
        "records": len(rows),
        "answered": len(rows) - len(failed),
        "failures": [{"line": row.record.line, "reason": row.failure} for row in failed],
        "inputTokens": sum(row.input_tokens for row in rows),
        "outputTokens": sum(row.output_tokens for row in rows),
        "metrics": {name: metric(name, dataset, rows) for name in metrics},
    }


def metric(name: str, dataset: DatasetPlan, rows: Sequence[Scored]) -> dict[str, Any]:
    """Records without a score are counted by the reason that they have none; they are no zeros."""
    scores = [(row, score) for row in rows for score in row.scores if score.metric == name]
    numbers = [(row, float(score.result)) for row, score in scores if isinstance(score.result, int | float)]
    texts = Counter(score.result for _, score in scores if isinstance(score.result, str))
    found: dict[str, Any] = {"computed": title(name, dataset), "n": len(numbers) + texts.total()}
    absent = Counter(score.absent or "" for _, score in scores if score.result is None)
    absent.update(NO_ANSWER for row in rows if row.failure is not None)
    found |= _mean(name, dataset, numbers, [score for _, score in scores])
    if texts:
        found["counts"] = dict(texts)
    if exact := [float(score.also["exactMatch"]) for _, score in scores if "exactMatch" in score.also]:
        found["exactMatch"] = fmean(exact)
    if failures := sum(len(score.also.get("failures", ())) for _, score in scores):
        found["perturbedFailures"] = failures
    found["absent"] = absent.total()
    found["whyAbsent"] = dict(absent)
    if len(categories := _categories(numbers)) > 1:
        found["categories"] = categories
    if agreed := _agreements(scores):
        found["agreement"] = agreed
    return found


def _categories(numbers: Sequence[tuple[Scored, float]]) -> dict[str, dict[str, float]]:
    values: dict[str, list[float]] = defaultdict(list)
    for row, value in numbers:
        if (category := row.record.given.get("category")) is not None:
            values[str(category)].append(value)
    return {category: {"mean": fmean(some), "n": len(some)} for category, some in values.items()}


def title(name: str, dataset: DatasetPlan) -> str:
    if name == ACCURACY and dataset.task in accuracy.ACCURACY:
        return accuracy.ACCURACY[dataset.task].title
    if name == ROBUSTNESS and dataset.task in accuracy.ACCURACY:
        base = accuracy.ACCURACY[dataset.task].title
        return (
            "word error rate, per cent" if dataset.task == accuracy.GENERATION else f"change of {base}, per cent of it"
        )
    return name.removeprefix("Builtin.")


def _mean(
    name: str, dataset: DatasetPlan, numbers: Sequence[tuple[Scored, float]], scores: Sequence[Score]
) -> dict[str, Any]:
    if name == ROBUSTNESS and dataset.task != accuracy.GENERATION:
        return _robustness(scores)
    if not numbers:
        return {}
    values = [value for _, value in numbers]
    if all(0 <= value <= 1 for value in values) and name != ROBUSTNESS:
        found = estimate([Value(str(row.record.line), str(row.record.line), value) for row, value in numbers])
        assert found is not None
        return {"mean": found.mean, "standardError": found.error, "low": found.low, "high": found.high}
    error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return {"mean": fmean(values), "standardError": error}


def _robustness(scores: Sequence[Score]) -> dict[str, Any]:
    """Bedrock's figure is that of the whole set, which counts records whose score of 0 has no percentage by itself."""
    found = [score.also for score in scores if "perturbed" in score.also]
    whole = [float(also["score"]) for also in found]
    mean = robustness.change_of_all(whole, [list(also["perturbed"].values()) for also in found])
    return {} if mean is None else {"mean": mean, "recordsInMean": len(found)}


def _agreements(scores: Sequence[tuple[Scored, Score]]) -> dict[str, Any]:
    """With itself, asked again with the scale turned round, and with the people who labelled the records."""
    itself = [(score.result, score.also["second"]["result"]) for _, score in scores if "second" in score.also]
    people = [(s.result, row.record.labels[s.metric]) for row, s in scores if s.metric in row.record.labels]
    found = {"itself": _agreement(itself), "people": _agreement(people)}
    return {who: one for who, one in found.items() if one is not None}


def _agreement(pairs: Sequence[tuple[object, object]]) -> dict[str, Any] | None:
    """Of pairs in which both are numbers. `undecided` are those in which only one is: no agreement either."""
    both = [(one, other) for one, other in pairs if isinstance(one, int | float) and isinstance(other, int | float)]
    agreed = agreement([one for one, _ in both], [other for _, other in both])
    if agreed is None:
        return None
    undecided = sum((one is None) != (other is None) for one, other in pairs)
    return {
        "n": agreed.n,
        "share": agreed.share,
        "kappa": agreed.kappa,
        "weightedKappa": agreed.weighted,
        "undecided": undecided,
    }
