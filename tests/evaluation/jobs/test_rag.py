"""RAG evaluation of supplied answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.evaluation.jobs.evaluations import JUDGE, Evaluations, automated, dataset

PASSAGE = {"content": {"text": "Jupiter is the largest planet."}, "name": "planets"}
CITED = {
    "generatedResponsePart": {"textResponsePart": {"span": {"start": 0, "end": 7}, "text": "Jupiter"}},
    "retrievedReferences": [PASSAGE],
}


def turn(**more: Any) -> dict[str, Any]:
    return {
        "prompt": {"content": [{"text": "Which is the largest planet?"}]},
        "referenceResponses": [{"content": [{"text": "Jupiter"}]}],
        "output": {
            "text": "Jupiter", "modelIdentifier": "m", "knowledgeBaseIdentifier": "mine",
            "retrievedPassages": {"retrievalResults": [PASSAGE]}, "citations": [CITED],
        },
        **more,
    }  # fmt: skip


def line(*turns: Any) -> dict[str, Any]:
    return {"conversationTurns": list(turns or (turn(),))}


def create(evaluations: Evaluations, lines: list[Any], *metrics: str, kind: str = "retrieveAndGenerate") -> str:
    source = {"precomputedRagSourceConfig": {f"{kind}SourceConfig": {"ragSourceIdentifier": "mine"}}}
    return evaluations.create(
        automated(dataset("General", evaluations.put(lines), *metrics), judge=JUDGE),
        inferenceConfig={"ragConfigs": [source]},
        applicationType="RagEvaluation",
    )


def results(line: dict[str, Any]) -> dict[str, float]:
    return {one["metricName"]: one["result"] for one in line["conversationTurns"][0]["results"]}


def test_answers_with_their_passages(evaluations: Evaluations) -> None:
    without = turn(output={**turn()["output"], "citations": []})
    metrics = ["Builtin.Correctness", "Builtin.LogicalCoherence", "Builtin.CitationPrecision", "Builtin.Refusal"]
    arn = create(evaluations, [line(), line(without)], *metrics)
    evaluations.done(arn)
    first, second = evaluations.lines(arn)
    assert results(first) == {
        "Builtin.Correctness": 1.0, "Builtin.LogicalCoherence": 0.75, "Builtin.CitationPrecision": 0.75, "Builtin.Refusal": 0.0,
    }  # fmt: skip
    one = first["conversationTurns"][0]
    assert one["output"] == turn()["output"]
    assert one["inputRecord"] == {name: value for name, value in turn().items() if name != "output"}
    assert one["results"][0]["evaluatorDetails"][0]["explanation"] == "It is Jupiter."
    assert "Builtin.CitationPrecision" not in results(second)
    assert evaluations.figures(arn)["Builtin.CitationPrecision"]["whyAbsent"] == {"The record has no citations.": 1}
    job = evaluations.get(arn)
    assert (job["applicationType"], job["jobType"]) == ("RagEvaluation", "Automated")
    found = evaluations.bedrock.list_evaluation_jobs(applicationTypeEquals="RagEvaluation")["jobSummaries"]
    (listed,) = [one for one in found if one["jobArn"] == arn]
    assert listed["inferenceConfigSummary"] == {"ragConfigSummary": {"precomputedRagSourceIdentifiers": ["mine"]}}


def test_retrieval_alone(evaluations: Evaluations) -> None:
    output = {"knowledgeBaseIdentifier": "mine", "retrievedResults": {"retrievalResults": [PASSAGE]}}
    lines = [line(turn(output=output)), line(turn(output=output, referenceResponses=[]))]
    arn = create(evaluations, lines, "Builtin.ContextRelevance", "Builtin.ContextCoverage", kind="retrieve")
    evaluations.done(arn)
    first, second = map(results, evaluations.lines(arn))
    assert first == {"Builtin.ContextRelevance": 0.75, "Builtin.ContextCoverage": 0.75}
    assert second == {"Builtin.ContextRelevance": 0.75}


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (line(turn(), turn()), "conversationTurns has 2 turns"),
        (line(turn(output=None)), "The turn has no output with retrievedPassages."),
        (line(turn(output={**turn()["output"], "knowledgeBaseIdentifier": "other"})), "not the job's ragSourceIdentifier mine"),
        (line(turn(output={**turn()["output"], "text": None})), "The output has no text."),
        ({"prompt": "x"}, "Object missing required field `conversationTurns`"),
        (line(turn(prompt={"content": []})), "The prompt is empty."),
    ],
)  # fmt: skip
def test_lines_that_are_no_turns(evaluations: Evaluations, wrong: Any, problem: str) -> None:
    job = evaluations.until(create(evaluations, [line(), wrong], "Builtin.Refusal"))
    assert job["status"] == "Failed"
    assert "line 2: " in job["failureMessages"][0]
    assert problem in job["failureMessages"][0]
