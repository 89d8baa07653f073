"""Automated evaluation with a judge: verdicts, reasons, what cannot be decided, agreement, metrics of one's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.evaluation.jobs.evaluations import (
    ARN,
    JUDGE,
    MODEL,
    TEXT_JUDGE,
    Evaluations,
    automated,
    dataset,
    scores,
)

CORRECTNESS, COMPLETENESS, HARM = "Builtin.Correctness", "Builtin.Completeness", "Builtin.Harmfulness"
PLANET = {"prompt": "Which is the largest planet?", "referenceResponse": "Jupiter"}
SATURN = {"prompt": "Saturn", "referenceResponse": "Not it"}
SCALE = [
    {"definition": "poor", "value": {"floatValue": 1.5}},
    {"definition": "good", "value": {"floatValue": 7.5}},
]


def judged(evaluations: Evaluations, lines: list[Any], *metrics: str, judge: str = JUDGE, **more: Any) -> str:
    return evaluations.create(automated(dataset("General", evaluations.put(lines), *metrics), judge=judge, **more))


def own(*definitions: dict[str, Any]) -> dict[str, Any]:
    return {
        "customMetrics": [{"customMetricDefinition": one} for one in definitions],
        "evaluatorModelConfig": {"bedrockEvaluatorModels": [{"modelIdentifier": JUDGE}]},
    }


@pytest.mark.parametrize("judge", [JUDGE, TEXT_JUDGE])
def test_verdicts_are_numbers_with_reasons(evaluations: Evaluations, judge: str) -> None:
    """A judge that can be held to a schema, and one that is only asked for JSON."""
    arn = judged(evaluations, [PLANET, SATURN], CORRECTNESS, COMPLETENESS, HARM, judge=judge)
    evaluations.done(arn)
    first, second = evaluations.lines(arn)
    judge_arn = f"arn:aws:bedrock:us-east-1::foundation-model/{judge}"
    assert first["automatedEvaluationResult"]["scores"][0] == {
        "metricName": CORRECTNESS,
        "result": 1.0,
        "evaluatorDetails": [{"modelIdentifier": judge_arn, "explanation": "It is Jupiter."}],
    }
    assert first["modelResponses"] == [{"modelIdentifier": ARN + MODEL, "response": "Jupiter"}]
    assert scores(first) == {CORRECTNESS: 1.0, COMPLETENESS: 0.75, HARM: 0.0}
    assert scores(second)[CORRECTNESS] == 0.0
    (path,) = [path for path in evaluations.files(arn) if path.endswith("_output.jsonl")]
    assert f"models/{MODEL}/taskTypes/General/datasets/mine/" in path


def test_what_the_judge_was_asked_is_published(evaluations: Evaluations) -> None:
    arn = judged(evaluations, [PLANET], CORRECTNESS)
    evaluations.done(arn)
    asked = json.loads(evaluations.files(arn)["outcrop/judge-prompts.json"])
    assert "{material}" in asked["frame"]
    assert set(asked["metrics"]) == {CORRECTNESS}
    metric = asked["metrics"][CORRECTNESS]
    assert metric["scale"] == {"incorrect": 0.0, "partially correct": 0.5, "correct": 1.0}
    assert "Decide whether the answer is right" in metric["question"]
    assert evaluations.summary(arn)["judges"] == [f"arn:aws:bedrock:us-east-1::foundation-model/{JUDGE}"]


def test_what_cannot_be_decided_is_absent_and_counted(evaluations: Evaluations) -> None:
    lines = [PLANET, {"prompt": "nobody can tell"}, {"prompt": "the judge breaks"}]
    arn = judged(evaluations, lines, CORRECTNESS)
    evaluations.done(arn)
    assert [scores(line) for line in evaluations.lines(arn)] == [{CORRECTNESS: 1.0}, {}, {}]
    figures = evaluations.figures(arn)[CORRECTNESS]
    assert (figures["n"], figures["mean"], figures["absent"]) == (1, 1.0, 2)
    assert figures["whyAbsent"]["The judge could not decide."] == 1
    (broken,) = set(figures["whyAbsent"]) - {"The judge could not decide."}
    assert broken.startswith("The judge failed: ValidationException")


def test_a_judge_that_says_something_else_is_counted(evaluations: Evaluations) -> None:
    """One that cannot be held to a schema, and keeps saying what is no JSON; what it said is kept."""
    arn = judged(evaluations, [{"prompt": "Please babble"}, PLANET], CORRECTNESS, judge=TEXT_JUDGE)
    evaluations.done(arn)
    assert [scores(line) for line in evaluations.lines(arn)] == [{}, {CORRECTNESS: 1.0}]
    figures = evaluations.figures(arn)[CORRECTNESS]
    assert figures["whyAbsent"] == {"The judge's answer is not the JSON object that it was asked for.": 1}
    record = json.loads(evaluations.files(arn)["outcrop/records.jsonl"].splitlines()[0])
    assert record["scores"][0]["judge"] == "I like it."


def test_the_judge_is_held_against_itself_and_against_people(evaluations: Evaluations) -> None:
    """The first two records are judged twice; three are labelled, one of them otherwise."""
    lines = [
        {**PLANET, "humanLabels": {CORRECTNESS: 1}},
        {**SATURN, "humanLabels": {CORRECTNESS: 0.0}},
        {**PLANET, "humanLabels": {CORRECTNESS: 0.0}},
        PLANET,
    ]
    arn = judged(evaluations, lines, CORRECTNESS)
    evaluations.done(arn)
    agreement = evaluations.figures(arn)[CORRECTNESS]["agreement"]
    assert agreement["itself"] == {"n": 2, "share": 1.0, "kappa": 1.0, "weightedKappa": 1.0, "undecided": 0}
    people = agreement["people"]
    assert (people["n"], people["share"]) == (3, pytest.approx(2 / 3))
    # 1, 0, 1 against 1, 0, 0: of 6 agreed in 9 by chance... (2/3 - 4/9) / (1 - 4/9).
    assert people["kappa"] == pytest.approx(0.4)
    report = evaluations.files(arn)["outcrop/report.md"].decode()
    assert "the judge agrees with people's labels in 67% of 3, Cohen's kappa 0.40" in report


def test_metrics_of_ones_own(evaluations: Evaluations) -> None:
    definitions: list[dict[str, Any]] = [
        {"name": "tone", "instructions": "How is the tone of {{prediction}}?", "ratingScale": SCALE},
        {"name": "number", "instructions": "Say a number for {{prediction}}, asked {{prompt}}"},
        {"name": "truth", "instructions": "Is {{prediction}} as {{ground_truth}}?", "ratingScale": SCALE},
    ]
    lines = [PLANET, {"prompt": "Which is the largest planet?"}]
    config = own(*definitions)
    arn = judged(evaluations, lines, CORRECTNESS, "tone", "number", "truth", customMetricConfig=config)
    evaluations.done(arn)
    first, second = map(scores, evaluations.lines(arn))
    assert first == {CORRECTNESS: 1.0, "tone": 7.5, "number": 42.0, "truth": 7.5}
    assert "truth" not in second
    figures = evaluations.figures(arn)
    assert figures["truth"]["whyAbsent"] == {"The record has no ground_truth.": 1}
    assert figures["tone"]["mean"] == 7.5
    saved = json.loads(evaluations.files(arn)["custom_metrics/tone.json"])
    assert saved == {"customMetricDefinition": definitions[0]}
    (listed,) = evaluations.bedrock.list_evaluation_jobs(nameContains=evaluations.get(arn)["jobName"])["jobSummaries"]
    assert listed["evaluatorModelIdentifiers"] == [JUDGE]
    assert listed["customMetricsEvaluatorModelIdentifiers"] == [JUDGE]


def test_metrics_of_ones_own_alone(evaluations: Evaluations) -> None:
    config = own({"name": "tone", "instructions": "How is the tone of {{prediction}}?", "ratingScale": SCALE})
    uri = evaluations.put([PLANET])
    arn = evaluations.create(automated(dataset("General", uri, "tone"), customMetricConfig=config))
    evaluations.done(arn)
    assert scores(evaluations.lines(arn)[0]) == {"tone": 7.5}


def test_supplied_answers_are_judged(evaluations: Evaluations) -> None:
    said = {**PLANET, "modelResponses": [{"response": "Jupiter", "modelIdentifier": "mine"}]}
    source = {"models": [{"precomputedInferenceSource": {"inferenceSourceIdentifier": "mine"}}]}
    uri = evaluations.put([said])
    arn = evaluations.create(automated(dataset("General", uri, CORRECTNESS), judge=JUDGE), inferenceConfig=source)
    evaluations.done(arn)
    assert scores(evaluations.lines(arn)[0]) == {CORRECTNESS: 1.0}
