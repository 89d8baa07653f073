"""Batch jobs over HTTP, from S3 to S3, with a scripted engine."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from tests.batch.batches import MODEL, Batches, converse, messages, nova, said


def test_one_file_becomes_one_file_and_a_manifest(batches: Batches) -> None:
    folder = batches.folder()
    records = [{"recordId": f"REC{n:08}", "modelInput": messages(f"number {n}")} for n in range(40)]
    arn = batches.create(batches.put(f"{folder}/in.jsonl", records))
    job = batches.until(arn)
    assert job["status"] == "Completed", job
    assert batches.keys(arn) == ["in.jsonl.out", "manifest.json.out"]
    lines = batches.read(arn, "in.jsonl.out")
    assert [list(line) for line in lines] == [["modelInput", "modelOutput", "recordId"]] * 40
    assert [(line["recordId"], line["modelInput"], said(line)) for line in lines] == [
        (record["recordId"], record["modelInput"], f"number {n}") for n, record in enumerate(records)
    ]
    counts = {"totalRecordCount": 40, "processedRecordCount": 40, "successRecordCount": 40, "errorRecordCount": 0}
    assert {name: job[name] for name in counts} == counts
    usage = [line["modelOutput"]["usage"] for line in lines]
    assert batches.manifest(arn) == {
        **counts,
        "inputTokenCount": sum(one["input_tokens"] for one in usage),
        "outputTokenCount": 80,
    }


def test_what_is_told_of_a_job(batches: Batches) -> None:
    source = batches.put(f"{batches.folder()}/in.jsonl", [{"modelInput": messages("Hi")}])
    given = {**batches.request(source), "clientRequestToken": "token-1", "timeoutDurationInHours": 48}
    arn = batches.bedrock.create_model_invocation_job(**given)["jobArn"]
    job = batches.until(arn)
    assert {name: job[name] for name in given} == {
        **given, "inputDataConfig": {"s3InputDataConfig": {"s3Uri": source}}
    }  # fmt: skip
    assert (job["jobArn"], job["modelInvocationType"]) == (arn, "InvokeModel")
    assert arn.startswith("arn:aws:bedrock:us-east-1:")
    assert job["jobExpirationTime"] - job["submitTime"] == timedelta(hours=48)
    assert job["submitTime"] <= job["lastModifiedTime"] <= job["endTime"]
    assert "message" not in job
    by_id = batches.get(arn.rpartition("/")[2])
    assert {**by_id, "ResponseMetadata": None} == {**job, "ResponseMetadata": None}


def test_converse_bodies(batches: Batches) -> None:
    source = batches.put(
        f"{batches.folder()}/in.jsonl",
        [
            {"recordId": "A", "modelInput": converse("one two three", maxTokens=2)},
            {"recordId": "B", "modelInput": {"inferenceConfig": {"maxTokens": 0}, "messages": []}},
            {"recordId": "C", "modelInput": {**converse("Hi"), "serviceTier": {"type": "priority"}}},
            {"recordId": "D", "modelInput": {"messages": "Hi"}},
        ],
    )
    arn = batches.create(source, modelInvocationType="Converse")
    job = batches.until(arn)
    assert (job["status"], job["successRecordCount"], job["errorRecordCount"]) == ("Completed", 1, 3), job
    first, *rest = batches.read(arn, "in.jsonl.out")
    assert first["modelOutput"]["output"]["message"] == {"role": "assistant", "content": [{"text": "one two"}]}
    assert first["modelOutput"]["stopReason"] == "max_tokens"
    assert set(first["modelOutput"]) == {"output", "stopReason", "usage", "metrics"}
    assert ["modelOutput" in line for line in rest] == [False] * 3
    assert [line["error"]["errorCode"] for line in rest] == [400] * 3
    assert "Member must have value greater than or equal to 1" in rest[0]["error"]["errorMessage"]
    assert rest[1]["error"]["errorMessage"] == "serviceTier is not supported in batch inference."


def test_records_that_fail_do_not_fail_the_job(batches: Batches) -> None:
    inputs = [messages("fine"), {"max_tokens": 5}, messages("refuse me"), messages("overflow"), messages("fine too")]
    source = batches.put(
        f"{batches.folder()}/in.jsonl", [{"recordId": f"R{n}", "modelInput": given} for n, given in enumerate(inputs)]
    )
    arn = batches.create(source)
    job = batches.until(arn)
    assert (job["status"], job["successRecordCount"], job["errorRecordCount"]) == ("Completed", 2, 3)
    lines = batches.read(arn, "in.jsonl.out")
    assert [line["recordId"] for line in lines] == ["R0", "R1", "R2", "R3", "R4"]
    assert [line["modelInput"] for line in lines] == inputs
    failed = [line for line in lines if "error" in line]
    assert [list(line) for line in failed] == [["modelInput", "error", "recordId"]] * 3
    assert [line["error"]["errorCode"] for line in failed] == [400, 400, 400]
    assert (
        "required key [messages] not found" in failed[0]["error"]["errorMessage"]
        or "violations" in failed[0]["error"]["errorMessage"]
    )
    assert failed[1]["error"]["errorMessage"] == "I do not like that."
    manifest = batches.manifest(arn)
    assert (manifest["processedRecordCount"], manifest["errorRecordCount"]) == (5, 3)


BODIES: dict[str, tuple[str, dict[str, Any], Any]] = {
    "anthropic": ("anthropic.claude-3-haiku-20240307-v1:0", messages("Hi there"), ["content", 0, "text"]),
    "nova": ("amazon.nova-lite-v1:0", nova("Hi there"), ["output", "message", "content", 0, "text"]),
    "titan": ("amazon.titan-text-express-v1", {"inputText": "Hi there"}, ["results", 0, "outputText"]),
    "llama": ("meta.llama3-1-8b-instruct-v1:0", {"prompt": "Hi there"}, ["generation"]),
    "mistral": ("mistral.mistral-7b-instruct-v0:2", {"prompt": "Hi there"}, ["outputs", 0, "text"]),
    "command-r": ("cohere.command-r-plus-v1:0", {"message": "Hi there"}, ["text"]),
    "command": ("cohere.command-text-v14", {"prompt": "Hi there"}, ["generations", 0, "text"]),
    "jamba": (
        "ai21.jamba-1-5-large-v1:0",
        {"messages": [{"role": "user", "content": "Hi there"}]},
        ["choices", 0, "message", "content"],
    ),
    "deepseek": ("us.deepseek.r1-v1:0", {"prompt": "Hi there"}, ["choices", 0, "text"]),
    "openai": (
        "qwen.qwen3-32b-v1:0",
        {"messages": [{"role": "user", "content": "Hi there"}]},
        ["choices", 0, "message", "content"],
    ),
    "embeddings": ("amazon.titan-embed-text-v2:0", {"inputText": "Hi there"}, ["inputTextTokenCount"]),
    "cohere-embed": (
        "cohere.embed-english-v3",
        {"input_type": "search_query", "texts": ["Hi there"]},
        ["texts", 0],
    ),
}  # fmt: skip


def test_bodies_of_each_family(batches: Batches) -> None:
    made = {}
    for name, (model, body, _) in BODIES.items():
        source = batches.put(f"{batches.folder()}/{name}.jsonl", [{"modelInput": body}, {"modelInput": {"wrong": 1}}])
        made[name] = batches.create(source, modelId=model)
    for name, arn in made.items():
        job = batches.until(arn)
        assert (job["status"], job["successRecordCount"], job["errorRecordCount"]) == ("Completed", 1, 1), (name, job)
        value, wrong = batches.read(arn, f"{name}.jsonl.out")
        assert wrong["error"]["errorCode"] == 400
        found = value["modelOutput"]
        for step in BODIES[name][2]:
            found = found[step]
        assert found == 2 if name == "embeddings" else "hi there" in str(found).lower(), (name, value)


def test_a_folder_of_files(batches: Batches) -> None:
    """Many small files are answered across their borders; each has its output, an empty one too; others are left alone."""
    folder = batches.folder()
    for n in range(30):
        batches.put(f"{folder}/part-{n:02}.jsonl", [{"modelInput": messages(f"{n} {m}")} for m in range(n % 4)])
    batches.put(f"{folder}/deeper/part-99.jsonl", [{"modelInput": messages("deep")}])
    batches.put(f"{folder}/readme.txt", ["not a record"])
    for source in (f"s3://{batches.bucket}/{folder}", f"s3://{batches.bucket}/{folder}/"):
        arn = batches.create(source)
        job = batches.until(arn)
        assert (job["status"], job["totalRecordCount"]) == ("Completed", 44), job
        assert batches.keys(arn) == [
            "deeper/part-99.jsonl.out", "manifest.json.out", *(f"part-{n:02}.jsonl.out" for n in range(30)),
        ]  # fmt: skip
        for n in range(30):
            lines = batches.read(arn, f"part-{n:02}.jsonl.out")
            assert [said(line) for line in lines] == [f"{n} {m}" for m in range(n % 4)]


def test_records_without_an_id_get_one(batches: Batches) -> None:
    same = json.dumps({"modelInput": messages("same")})
    arn = batches.create(batches.put(f"{batches.folder()}/in.jsonl", [same, "", same, "   ", same]))
    assert batches.until(arn)["totalRecordCount"] == 3
    ids = [line["recordId"] for line in batches.read(arn, "in.jsonl.out")]
    assert len(set(ids)) == 3
    assert all(len(name) == 11 and name.isalnum() for name in ids)


def test_model_input_comes_back_as_it_was_written(batches: Batches) -> None:
    """Numbers that a decoder would round, the order of members, spaces: nothing is written anew."""
    given = json.dumps(messages("Hi"))[:-1] + ', "metadata": {"user_id" :  "12345678901234567890.10"}}'
    text = f'\ufeff{{ "modelInput" : {given}, "recordId": "X1", "more": [1, 2] }}\r'
    arn = batches.create(batches.put(f"{batches.folder()}/in.jsonl", [text]))
    assert batches.until(arn)["successRecordCount"] == 1
    key = f"out/{arn.rpartition('/')[2]}/in.jsonl.out"
    raw = batches.s3.get_object(Bucket=batches.bucket, Key=key)["Body"].read().decode()
    assert f'"modelInput":{given},' in raw


def test_images_and_documents_in_the_folder(batches: Batches) -> None:
    folder = batches.folder()
    batches.s3.put_object(Bucket=batches.bucket, Key=f"{folder}/notes/a.txt", Body=b"The sky is green.")
    batches.s3.put_object(Bucket=batches.bucket, Key="elsewhere.txt", Body=b"Secret.")

    def asked(uri: str) -> dict[str, Any]:
        document = {"format": "txt", "name": "note", "source": {"s3Location": {"uri": uri}}}
        return {"modelInput": {"messages": [{"role": "user", "content": [{"text": "Read."}, {"document": document}]}]}}

    here = f"s3://{batches.bucket}/{folder}"
    batches.put(
        f"{folder}/in.jsonl",
        [asked(f"{here}/notes/a.txt"), asked(f"s3://{batches.bucket}/elsewhere.txt"), asked(f"{here}/none.txt")],
    )
    arn = batches.create(here, modelInvocationType="Converse")
    assert batches.until(arn)["status"] == "Completed"
    read, outside, missing = batches.read(arn, "in.jsonl.out")
    assert read["modelInput"] == asked(f"{here}/notes/a.txt")["modelInput"]
    assert "green" in read["modelOutput"]["output"]["message"]["content"][0]["text"]
    assert "does not lie below" in outside["error"]["errorMessage"]
    assert "cannot be read" in missing["error"]["errorMessage"]


def test_a_profile_answers_and_is_what_get_names(batches: Batches) -> None:
    made = batches.bedrock.create_inference_profile(
        inferenceProfileName="batch", modelSource={"copyFrom": f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}"}
    )["inferenceProfileArn"]
    source = batches.put(f"{batches.folder()}/in.jsonl", [{"modelInput": messages("Hi")}])
    for model in (made, f"us.{MODEL}", f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}"):
        job = batches.until(batches.create(source, modelId=model))
        assert (job["status"], job["successRecordCount"], job["modelId"]) == ("Completed", 1, model)
