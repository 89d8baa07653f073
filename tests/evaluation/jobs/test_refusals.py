"""What an evaluation job is refused for at once, and what it fails with."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.evaluation.jobs.evaluations import (
    JUDGE,
    MODEL,
    Evaluations,
    automated,
    connect,
    dataset,
    model,
    name,
)
from tests.objects.clients import another_account, limited_user

ACCURACY, CORRECTNESS = "Builtin.Accuracy", "Builtin.Correctness"
GOOD = {"prompt": "Which is the largest planet?", "referenceResponse": "Jupiter"}
SOURCE = {"models": [{"precomputedInferenceSource": {"inferenceSourceIdentifier": "mine"}}]}
WHERE = "s3://evaluations/in.jsonl"


def said(*answers: str, by: str = "mine") -> list[dict[str, str]]:
    return [{"response": answer, "modelIdentifier": by} for answer in answers]


@pytest.mark.parametrize(
    ("line", "problem", "source"),
    [
        ("{not json}", "unexpected character", None),
        ("[1]", "The line is not a JSON object.", None),
        ({"referenceResponse": "x"}, "Object missing required field `prompt`", None),
        ({"prompt": 7}, "Expected `str`, got `int` - at `$.prompt`", None),
        ({"prompt": "  "}, "The prompt is empty.", None),
        ({"prompt": "x", "referenceResponse": ["a"]}, "at `$.referenceResponse`", None),
        ({"prompt": "x"}, "modelResponses has 0 answers; exactly 1 is needed", SOURCE),
        ({"prompt": "x", "modelResponses": said("a", "b")}, "modelResponses has 2 answers; exactly 1 is needed", SOURCE),
        ({"prompt": "x", "modelResponses": said("a", by="other")}, "no answer of the job's inferenceSourceIdentifier mine", SOURCE),
    ],
)  # fmt: skip
def test_a_line_that_is_no_prompt_fails_the_job_with_its_place(
    evaluations: Evaluations, line: Any, problem: str, source: Any
) -> None:
    first = {**GOOD, "modelResponses": said("Jupiter")}
    uri = evaluations.put([first, "", line])
    config = automated(dataset("QuestionAndAnswer", uri, ACCURACY))
    arn = evaluations.create(config, inferenceConfig=source or {"models": [model()]})
    job = evaluations.until(arn)
    assert job["status"] == "Failed"
    (message,) = job["failureMessages"]
    assert message.startswith(f"{uri} line 3: ")
    assert problem in message
    assert evaluations.s3.list_objects_v2(Bucket="evaluations", Prefix=f"out/{job['jobName']}/")["KeyCount"] == 0


@pytest.mark.parametrize(
    ("lines", "problem"),
    [([], "has no prompts"), ([GOOD] * 1001, "has more than 1000 prompts")],
)
def test_too_few_and_too_many(evaluations: Evaluations, lines: list[Any], problem: str) -> None:
    job = evaluations.until(evaluations.automated(lines, "QuestionAndAnswer", ACCURACY))
    assert (job["status"], problem in job["failureMessages"][0]) == ("Failed", True)


def test_the_limit_is_that_of_all_datasets(evaluations: Evaluations) -> None:
    uri = evaluations.put([GOOD] * 501)
    both = (dataset("QuestionAndAnswer", uri, ACCURACY, named=one) for one in ("first", "second"))
    job = evaluations.until(evaluations.create(automated(*both)))
    assert job["failureMessages"] == ["The datasets have 1002 prompts; a job takes 1000."]


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ({"uri": "s3://evaluations/nowhere.jsonl"}, "The dataset s3://evaluations/nowhere.jsonl does not exist."),
        ({"uri": "s3://no-such-bucket-at-all/in.jsonl"}, "The specified bucket does not exist"),
        ({"output": "s3://no-such-bucket-at-all/out"}, "The specified bucket does not exist"),
    ],
)
def test_buckets_that_are_not_there(evaluations: Evaluations, place: dict[str, str], problem: str) -> None:
    uri = place.get("uri") or evaluations.put([GOOD])
    output = {"s3Uri": place.get("output", "s3://evaluations/out")}
    arn = evaluations.create(automated(dataset("QuestionAndAnswer", uri, ACCURACY)), outputDataConfig=output)
    job = evaluations.until(arn)
    assert (job["status"], problem in job["failureMessages"][0]) == ("Failed", True), job


QA = dataset("QuestionAndAnswer", WHERE, ACCURACY)
GENERAL = dataset("General", WHERE, CORRECTNESS)
OWN = {
    "customMetrics": [{"customMetricDefinition": {"name": "mine", "instructions": "{{prompt}}"}}],
    "evaluatorModelConfig": {"bedrockEvaluatorModels": [{"modelIdentifier": JUDGE}]},
}
KNOWLEDGE = {"knowledgeBaseConfig": {"retrieveConfig": {
    "knowledgeBaseId": "ABCDEFGHIJ", "knowledgeBaseRetrievalConfiguration": {"vectorSearchConfiguration": {}},
}}}  # fmt: skip
RAG = {"precomputedRagSourceConfig": {"retrieveSourceConfig": {"ragSourceIdentifier": "mine"}}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"evaluationConfig": automated(dataset("Poetry", WHERE, ACCURACY))}, "The taskType Poetry is not one of"),
        ({"evaluationConfig": automated(dataset("QuestionAndAnswer", WHERE, "Builtin.Wit"))}, "The metric Builtin.Wit is not known"),
        ({"evaluationConfig": automated(dataset("QuestionAndAnswer", WHERE, CORRECTNESS))}, "Builtin.Correctness is not known"),
        ({"evaluationConfig": automated(QA, judge=JUDGE)}, "Builtin.Accuracy is not known"),
        ({"inferenceConfig": {"models": [model(performanceConfig={"latency": "optimized"})]}}, "latency"),
        ({"evaluationConfig": automated(dataset("General", WHERE, ACCURACY))}, "General is for jobs with a judge"),
        ({"evaluationConfig": automated(dataset("Classification", WHERE, "Builtin.Toxicity"))}, "not a metric of Classification"),
        ({"evaluationConfig": automated(QA, QA)}, "the same taskType and dataset name"),
        ({"evaluationConfig": automated({**QA, "dataset": {"name": "mine"}})}, "needs a datasetLocation"),
        ({"evaluationConfig": automated({**QA, "dataset": {"name": "Builtin.BoolQ"}})}, "no copy of Builtin.BoolQ"),
        ({"evaluationConfig": automated({**QA, "dataset": {"name": "Builtin.Nothing"}})}, "There is no built-in dataset Builtin.Nothing"),
        ({"evaluationConfig": automated(dataset("QuestionAndAnswer", WHERE, ACCURACY, named="Builtin.BoolQ"))}, "has no datasetLocation"),
        ({"evaluationConfig": automated({**QA, "taskType": "Custom", "dataset": {"name": "Outcrop.GSM8K"}})}, "no copy of Outcrop.GSM8K"),
        ({"evaluationConfig": automated({**QA, "dataset": {"name": "Outcrop.Nothing"}})}, "There is no dataset Outcrop.Nothing"),
        ({"evaluationConfig": automated(GENERAL, judge="test.nobody-v1:0")}, "The provided model identifier is invalid"),
        ({"evaluationConfig": automated(dataset("General", WHERE, "mine"), customMetricConfig=OWN)}, "must contain the variable"),
        ({"evaluationConfig": {}}, "evaluationConfig"),
        ({"inferenceConfig": {}}, "inferenceConfig"),
        ({"inferenceConfig": {"models": [model("test.nobody-v1:0")]}}, "The provided model identifier is invalid"),
        ({"inferenceConfig": {"models": [model(), model()]}}, "exactly one model"),
        ({"inferenceConfig": {"models": [model(inferenceParams="{")]}}, "inferenceParams is not valid JSON"),
        ({"inferenceConfig": {"models": [model(inferenceParams='{"temprature": 1}')]}}, "has the key temprature"),
        ({"inferenceConfig": {"ragConfigs": [KNOWLEDGE]}}, "Knowledge bases are not built"),
        ({"inferenceConfig": {"ragConfigs": [RAG]}}, "needs an evaluatorModelConfig"),
        ({"applicationType": "RagEvaluation"}, "needs inferenceConfig.ragConfigs"),
        ({"outputDataConfig": {"s3Uri": "file:///tmp"}}, "outputDataConfig.s3Uri"),
        ({"jobName": "Upper Case"}, "jobName"),
        ({"customerEncryptionKeyId": "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"}, "kms"),
        ({"jobTags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}, "a key more than once"),
    ],
)  # fmt: skip
def test_what_is_refused_at_once(evaluations: Evaluations, change: dict[str, Any], words: str) -> None:
    request = {**evaluations.request(automated(QA)), **change}
    with pytest.raises(ClientError) as refused:
        evaluations.bedrock.create_evaluation_job(**request)
    error = refused.value.response["Error"]
    assert error["Code"] in ("ValidationException", "SerializationException", "AccessDeniedException"), error
    assert words.lower() in error["Message"].lower(), error


def test_a_name_is_used_once_and_a_token_makes_one_job(evaluations: Evaluations) -> None:
    uri = evaluations.put([GOOD])
    request = {
        **evaluations.request(automated(dataset("QuestionAndAnswer", uri, ACCURACY))),
        "clientRequestToken": name(),
    }
    arn = evaluations.bedrock.create_evaluation_job(**request)["jobArn"]
    assert evaluations.bedrock.create_evaluation_job(**request)["jobArn"] == arn
    for change, words in (
        ({"jobDescription": "Other"}, "clientRequestToken"),
        ({"clientRequestToken": name()}, "name"),
    ):
        with pytest.raises(ClientError) as refused:
            evaluations.bedrock.create_evaluation_job(**{**request, **change})
        assert refused.value.response["Error"]["Code"] == "ConflictException"
        assert words in refused.value.response["Error"]["Message"]


def test_another_accounts_jobs_are_not_there(evaluations: Evaluations) -> None:
    arn = evaluations.automated([GOOD], "QuestionAndAnswer", ACCURACY)
    other = connect(evaluations.server, key=another_account(evaluations.server.home))
    assert other.bedrock.list_evaluation_jobs()["jobSummaries"] == []
    for call in (other.bedrock.get_evaluation_job, other.bedrock.stop_evaluation_job):
        with pytest.raises(ClientError) as refused:
            call(jobIdentifier=arn)
        assert refused.value.response["Error"]["Code"] in ("ResourceNotFoundException", "AccessDeniedException")
    # It may use the same name, and its data is its own.
    used = evaluations.get(arn)["jobName"]
    job = other.until(
        other.create(automated(dataset("QuestionAndAnswer", evaluations.put([GOOD]), ACCURACY)), jobName=used)
    )
    assert job["status"] == "Failed"
    assert evaluations.done(arn)["jobArn"] == arn


def test_a_job_reads_and_asks_with_the_rights_of_its_role_or_its_caller(evaluations: Evaluations) -> None:
    """A user who may make jobs and not read the bucket, or not ask the model, makes jobs that fail and say why."""
    may = {"Effect": "Allow", "Action": ["bedrock:*EvaluationJob*", "iam:PassRole"], "Resource": "*"}
    bucket = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    uri = evaluations.put([GOOD])
    config = automated(dataset("QuestionAndAnswer", uri, ACCURACY))
    for user, statements, action in (
        ("evaluates-1", (may,), "s3:PutObject"), ("evaluates-2", (may, bucket), "bedrock:InvokeModel"),
    ):  # fmt: skip
        theirs = connect(evaluations.server, key=limited_user(evaluations.server.home, user, *statements))
        job = theirs.until(theirs.create(config))
        assert job["status"] == "Failed"
        assert f"is not authorized to perform: {action}" in job["failureMessages"][0]
    model_too = {
        "Effect": "Allow",
        "Action": "bedrock:InvokeModel",
        "Resource": f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}",
    }
    key = limited_user(evaluations.server.home, "evaluates-3", may, bucket, model_too)
    theirs = connect(evaluations.server, key=key)
    assert theirs.until(theirs.create(config))["status"] == "Completed"
    nothing = connect(evaluations.server, key=limited_user(evaluations.server.home, "evaluates-4", bucket))
    for call in (nothing.bedrock.list_evaluation_jobs, lambda: nothing.create(config)):
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


def test_built_in_datasets_of_the_operator(evaluations: Evaluations) -> None:
    """A name of Bedrock's that nobody put there is refused in words that say what to do."""
    with pytest.raises(ClientError) as refused:
        evaluations.create(automated({**QA, "dataset": {"name": "Builtin.TriviaQA"}}))
    assert "TriviaQA.jsonl" in refused.value.response["Error"]["Message"]
    assert "[evaluation] datasets" in refused.value.response["Error"]["Message"]
