"""Keys that requests of Bedrock's name, and what becomes of the rest when the account's own key is disabled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai as openai_client
import pytest
from botocore.exceptions import ClientError

from outcrop.encryption.keys import DEFAULT
from tests.batch.batches import MODEL, Batches, connect, converse, id_of, messages, settings
from tests.encryption.commands import new_key, outcrop
from tests.encryption.planting import openai
from tests.live import serve
from tests.objects.clients import limited_user


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batches]:
    with serve(tmp_path_factory.mktemp("named"), settings=settings(tmp_path_factory.mktemp("scripts"))) as running:
        yield connect(running)


def output(batches: Batches, key: str) -> dict[str, Any]:
    return {"s3OutputDataConfig": {"s3Uri": f"s3://{batches.bucket}/out/", "s3EncryptionKeyId": key}}


def source(batches: Batches) -> str:
    return batches.put(f"{batches.folder()}/in.jsonl", [{"recordId": "R1", "modelInput": converse("words")}])


def key_of(batches: Batches, key: str) -> str | None:
    found: str | None = batches.s3.head_object(Bucket=batches.bucket, Key=key).get("SSEKMSKeyId")
    return found


def refused(code: str, words: str) -> pytest.RaisesExc[ClientError]:
    def fits(problem: ClientError) -> bool:
        error = problem.response["Error"]
        return error["Code"] == code and words in error["Message"]

    return pytest.RaisesExc(ClientError, check=fits)


def test_the_output_of_a_batch(batches: Batches) -> None:
    arn = new_key(batches.server, "--alias", "batch")
    for name in (arn, "alias/batch", id_of(arn)):
        job = batches.create(source(batches), modelInvocationType="Converse", outputDataConfig=output(batches, name))
        assert batches.until(job)["status"] == "Completed"
        given = batches.get(job)["outputDataConfig"]["s3OutputDataConfig"]
        assert given["s3EncryptionKeyId"] == name
        names = batches.keys(job)
        assert len(names) == 2
        assert {key_of(batches, f"out/{id_of(job)}/{each}") for each in names} == {arn}
        assert "words" in json.dumps(batches.read(job, "in.jsonl.out"))


def test_an_asynchronous_invocation(batches: Batches) -> None:
    arn = new_key(batches.server)
    place = {"s3OutputDataConfig": {"s3Uri": f"s3://{batches.bucket}/later", "kmsKeyId": arn}}
    started = batches.runtime.start_async_invoke(modelId=MODEL, modelInput=messages("Hi"), outputDataConfig=place)
    name = f"later/{id_of(started['invocationArn'])}/output.json"
    waiter = batches.s3.get_waiter("object_exists")
    waiter.wait(Bucket=batches.bucket, Key=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})
    assert key_of(batches, name) == arn


def test_keys_that_cannot_be_used(batches: Batches) -> None:
    account = batches.s3.list_buckets()["Owner"]["ID"]
    given = source(batches)
    unknown = f"arn:aws:kms:us-east-1:{account}:key/{'0' * 36}"
    elsewhere = new_key(batches.server, "--region", "eu-west-1")
    disabled = new_key(batches.server)
    outcrop(batches.server, "disable", disabled)
    for name, code, words in (
        (unknown, "ValidationException", f"{unknown} does not exist or cannot be used"),
        ("alias/nothing", "ValidationException", "does not exist or cannot be used"),
        (elsewhere, "ValidationException", "is not in the region us-east-1"),
        (disabled, "ValidationException", f"{disabled} is disabled"),
        (unknown.replace(account, "999999999999"), "AccessDeniedException", "kms:GenerateDataKey"),
        ("no key at all", "ValidationException", "failed to satisfy constraint"),
    ):
        with refused(code, words):
            batches.create(given, outputDataConfig=output(batches, name))


def test_a_caller_who_may_not_use_the_key(batches: Batches) -> None:
    arn = new_key(batches.server)
    allowed = {"Effect": "Allow", "Action": ["bedrock:*", "s3:*", "iam:PassRole"], "Resource": "*"}
    use = {"Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": arn}
    home, given = batches.server.home, source(batches)
    without = connect(batches.server, key=limited_user(home, "no-keys", allowed))
    account = batches.s3.list_buckets()["Owner"]["ID"]
    # Whether there is such a key is not told to who may not use it.
    for name in (arn, f"arn:aws:kms:us-east-1:{account}:key/{'0' * 36}"):
        with refused("AccessDeniedException", f"is not authorized to perform: kms:GenerateDataKey on resource: {name}"):
            without.create(given, outputDataConfig=output(batches, name))
    may = connect(batches.server, key=limited_user(home, "with-key", allowed, use))
    assert may.create(given, outputDataConfig=output(batches, arn))


def test_a_key_that_is_disabled_while_the_job_waits(batches: Batches) -> None:
    arn = new_key(batches.server)
    lines = [{"recordId": f"R{n}", "modelInput": converse(f"slowly {n}")} for n in range(20)]
    given = batches.put(f"{batches.folder()}/in.jsonl", lines)
    job = batches.create(given, modelInvocationType="Converse", outputDataConfig=output(batches, arn))
    batches.until(job, "InProgress")
    outcrop(batches.server, "disable", arn)
    ended = batches.until(job)
    assert (ended["status"], f"{arn} is disabled" in ended["message"]) == ("Failed", True)


def test_the_accounts_own_key_disabled_and_enabled(batches: Batches) -> None:
    client = openai(batches.server)
    first = client.responses.create(model=MODEL, input="words to keep", store=True)
    batches.s3.put_object(Bucket=batches.bucket, Key="own", Body=b"x")
    job = batches.create(source(batches), modelInvocationType="Converse")
    batches.until(job)
    outcrop(batches.server, "disable", f"alias/{DEFAULT}")
    try:
        with refused("AccessDeniedException", "is disabled"):
            batches.get(job)
        with refused("AccessDeniedException", "is disabled"):
            batches.bedrock.list_model_invocation_jobs()
        with pytest.raises(openai_client.PermissionDeniedError, match="is disabled"):
            client.responses.retrieve(first.id)
        with pytest.raises(openai_client.PermissionDeniedError, match="is disabled"):
            client.responses.create(model=MODEL, input="more", previous_response_id=first.id)
        with pytest.raises(ClientError, match=r"KMS\.DisabledException"):
            batches.s3.get_object(Bucket=batches.bucket, Key="own")
        # What keeps nothing goes on.
        said = batches.runtime.converse(modelId=MODEL, **converse("still here"))
        assert "still here" in json.dumps(said["output"])
        assert client.responses.create(model=MODEL, input="unkept", store=False).output_text
    finally:
        outcrop(batches.server, "enable", f"alias/{DEFAULT}")
    assert batches.get(job)["status"] == "Completed"
    assert client.responses.retrieve(first.id).output_text == "words to keep"
