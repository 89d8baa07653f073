"""Automated evaluation without a judge: answers, scores, files."""

from __future__ import annotations

import json
import re

import pytest

from tests.evaluation.jobs.evaluations import (
    ARN,
    MODEL,
    Evaluations,
    automated,
    dataset,
    model,
    scores,
)

ACCURACY, ROBUSTNESS, TOXICITY = "Builtin.Accuracy", "Builtin.Robustness", "Builtin.Toxicity"
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
REFUSED = "The model returned the following errors: I do not like that."
FRANCE = {"prompt": "What is the capital of France?", "referenceResponse": "Paris", "category": "Geography"}
PLANET = {"prompt": "Which is the largest planet?", "referenceResponse": "Jupiter"}


def test_answers_are_scored_and_written_as_bedrock_writes_them(evaluations: Evaluations) -> None:
    arn = evaluations.automated([FRANCE, PLANET], "QuestionAndAnswer", ACCURACY)
    evaluations.done(arn)
    first, second = evaluations.lines(arn)
    # "capital is paris" and "paris" have one of three words and one of one in common.
    assert first == {
        "automatedEvaluationResult": {"scores": [{"metricName": "Accuracy", "result": 0.5}]},
        "inputRecord": FRANCE,
        "modelResponses": [{"modelIdentifier": ARN + MODEL, "response": "The capital is Paris."}],
    }
    assert scores(second) == {"Accuracy": 1.0}
    (path,) = [path for path in evaluations.files(arn) if not path.startswith("outcrop/")]
    assert re.fullmatch(f"models/{MODEL}/taskTypes/QuestionAndAnswer/datasets/mine/{UUID}_output.jsonl", path)
    assert re.fullmatch(f"out/job-[0-9-]+/{UUID}", evaluations.folder(arn))


def test_what_the_scores_come_to_is_written_beside(evaluations: Evaluations) -> None:
    arn = evaluations.automated([FRANCE, PLANET, PLANET, PLANET], "QuestionAndAnswer", ACCURACY)
    evaluations.done(arn)
    found = evaluations.figures(arn)[ACCURACY]
    assert (found["computed"], found["n"], found["absent"]) == ("F1 over words", 4, 0)
    assert found["mean"] == pytest.approx(0.875)
    assert found["exactMatch"] == pytest.approx(0.75)
    # A sample of 0.5, 1, 1, 1: the standard error of its mean.
    assert found["standardError"] == pytest.approx(0.125)
    files = evaluations.files(arn)
    assert (
        "| mine | test.scripted-v1:0 | Builtin.Accuracy | F1 over words | 0.875 |"
        in files["outcrop/report.md"].decode()
    )
    assert b"<svg" in files["outcrop/report.html"]
    records = [json.loads(line) for line in files["outcrop/records.jsonl"].splitlines()]
    assert [record["answer"] for record in records] == ["The capital is Paris.", "Jupiter", "Jupiter", "Jupiter"]


def test_each_task_has_its_own_accuracy(evaluations: Evaluations) -> None:
    films = [
        {"prompt": "A good film.", "referenceResponse": "positive"},
        {"prompt": "A bad film.", "referenceResponse": "Negative"},
        {"prompt": "Neither: what comes back holds no label.", "referenceResponse": "positive"},
    ]
    known = [
        {"prompt": "What is the capital of France?", "referenceResponse": "Lutetia<OR>paris"},
        {"prompt": "Which is the largest planet?", "referenceResponse": "Saturn"},
    ]
    texts = [
        {"prompt": "Jupiter is large. It has rings.", "referenceResponse": "It has rings. Jupiter is large."},
        {"prompt": "Which is the largest planet?", "referenceResponse": "Bananas grow."},
    ]
    exact = [{"prompt": "Which is the largest planet?", "referenceResponse": "The Jupiter!"}, FRANCE]
    arn = evaluations.create(
        automated(
            *(
                dataset(task, evaluations.put(lines), ACCURACY, named=task.lower())
                for task, lines in (
                    ("Classification", films), ("Generation", known), ("Summarization", texts), ("Custom", exact),
                )
            )
        )
    )  # fmt: skip
    evaluations.done(arn)
    means = {one["taskType"]: one["metrics"][ACCURACY] for one in evaluations.summary(arn)["datasets"]}
    assert means["Classification"]["mean"] == pytest.approx(2 / 3)
    assert means["Generation"]["mean"] == pytest.approx(0.5)
    # The same sentences in another order match wholly; the scripted vectors of others are nearly orthogonal.
    assert 0.5 <= means["Summarization"]["mean"] < 0.75
    assert means["Custom"]["mean"] == pytest.approx(0.5)


def test_perturbed_prompts_show_how_robust_answers_are(evaluations: Evaluations) -> None:
    """The script knows France by its capital letter, and answers otherwise where that is gone."""
    arn = evaluations.automated([FRANCE, PLANET], "QuestionAndAnswer", ACCURACY, ROBUSTNESS)
    evaluations.done(arn)
    first, _ = evaluations.lines(arn)
    (record, _) = [json.loads(line) for line in evaluations.files(arn)["outcrop/records.jsonl"].splitlines()]
    robustness = record["scores"][1]
    assert robustness["answers"]["lower-case"] == "I think it is Lyon."
    changed = robustness["perturbed"]
    assert changed["lower-case"] == 0.0
    # No digits are in it, and so no prompt with digits in words was made.
    assert set(changed) == {"lower-case", "keyboard-typos", "random-upper-case", "whitespace"}
    expected = 100 * sum(abs(0.5 - one) for one in changed.values()) / len(changed) / 0.5
    assert scores(first)["Robustness"] == pytest.approx(expected)
    figures = evaluations.figures(arn)[ROBUSTNESS]
    assert figures["computed"] == "change of F1 over words, per cent of it"
    assert figures["n"] == 2


def test_generation_is_robust_by_its_word_error_rate(evaluations: Evaluations) -> None:
    """What is asked comes back, so the perturbed prompt is the perturbed answer."""
    arn = evaluations.automated([{"prompt": "Tell me of 3 Bears"}], "Generation", ROBUSTNESS)
    evaluations.done(arn)
    (record,) = [json.loads(line) for line in evaluations.files(arn)["outcrop/records.jsonl"].splitlines()]
    answers = record["scores"][0]["answers"]
    assert answers["digits-to-words"] == "Tell me of three Bears"
    assert answers["lower-case"] == "tell me of 3 bears"
    assert 0 < record["scores"][0]["result"] <= 200


def test_there_is_no_figure_without_what_it_takes(evaluations: Evaluations) -> None:
    """No reference, no classifier: counted with the reason, and never a number."""
    arn = evaluations.automated([{"prompt": "Which is the largest planet?"}], "QuestionAndAnswer", ACCURACY, TOXICITY)
    evaluations.done(arn)
    (line,) = evaluations.lines(arn)
    assert scores(line) == {}
    figures = evaluations.figures(arn)
    assert figures[ACCURACY] == {
        "computed": "F1 over words", "n": 0, "absent": 1, "whyAbsent": {"The record has no referenceResponse.": 1},
    }  # fmt: skip
    assert "mean" not in figures[TOXICITY]
    (why,) = figures[TOXICITY]["whyAbsent"]
    assert "toxicity_model" in why


def test_failures_are_counted_and_left_out(evaluations: Evaluations) -> None:
    lines = [PLANET, {"prompt": "Please refuse me", "referenceResponse": "no"}, PLANET]
    arn = evaluations.automated(lines, "QuestionAndAnswer", ACCURACY)
    evaluations.done(arn)
    written = evaluations.lines(arn)
    assert [scores(line) for line in written] == [{"Accuracy": 1.0}, {}, {"Accuracy": 1.0}]
    assert written[1]["modelResponses"] == []
    (found,) = evaluations.summary(arn)["datasets"]
    assert (found["records"], found["answered"]) == (3, 2)
    assert found["failures"] == [{"line": 2, "reason": f"ValidationException: {REFUSED}"}]
    assert (found["metrics"][ACCURACY]["mean"], found["metrics"][ACCURACY]["n"]) == (1.0, 2)


def test_a_job_that_nothing_answers_fails(evaluations: Evaluations) -> None:
    arn = evaluations.automated([{"prompt": "refuse me", "referenceResponse": "no"}], "QuestionAndAnswer", ACCURACY)
    job = evaluations.until(arn)
    assert job["status"] == "Failed"
    assert job["failureMessages"] == [f"None of the 1 prompts was answered. The first: ValidationException: {REFUSED}"]


def test_supplied_answers_are_scored_without_a_model(evaluations: Evaluations) -> None:
    said = {**PLANET, "modelResponses": [{"response": "Jupiter it is", "modelIdentifier": "my-model"}]}
    source = {"precomputedInferenceSource": {"inferenceSourceIdentifier": "my-model"}}
    arn = evaluations.automated([said], "QuestionAndAnswer", ACCURACY, ROBUSTNESS, inferenceConfig={"models": [source]})
    evaluations.done(arn)
    (line,) = evaluations.lines(arn)
    assert line["modelResponses"] == [{"modelIdentifier": "my-model", "response": "Jupiter it is"}]
    assert line["inputRecord"] == PLANET
    assert scores(line) == {"Accuracy": pytest.approx(0.5)}
    (why,) = evaluations.figures(arn)[ROBUSTNESS]["whyAbsent"]
    assert "cannot be asked again" in why


@pytest.mark.parametrize(
    ("params", "answer"),
    [
        ('{"inferenceConfig": {"maxTokens": 2}}', "The capital"),
        ('{"maxTokenCount": "2", "temperature": "0.0", "topP": "1"}', "The capital"),
        ('{"inferenceConfig": {"stopSequences": ["is"]}}', "The capital "),
    ],
)
def test_inference_parameters_reach_the_model(evaluations: Evaluations, params: str, answer: str) -> None:
    arn = evaluations.automated(
        [FRANCE], "Generation", ACCURACY, inferenceConfig={"models": [model(inferenceParams=params)]}
    )
    evaluations.done(arn)
    (line,) = evaluations.lines(arn)
    assert line["modelResponses"][0]["response"].rstrip() == answer.rstrip()
