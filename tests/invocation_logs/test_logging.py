"""Model invocation logging with boto3: configured as on AWS, and read back from the bucket."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.inference.test_images import png
from tests.live import Server, serve
from tests.serve.calls import CONVERSE, MODEL, SCRIPT, STREAM, call, said, settings

EMBED = "amazon.titan-embed-text-v2:0"
BUCKET = "invocation-records"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("invocations")
    script = home / "script.json"
    script.write_text(json.dumps(SCRIPT))
    with serve(
        home,
        settings=settings(str(script)).replace("100000", "10000000")
        + f'[[models]]\nid = "{EMBED}"\nengine = "scripted"\n',
    ) as running:
        client(running, "s3").create_bucket(Bucket=BUCKET)
        yield running


def client(server: Server, service: str) -> Any:
    environment = server.environment
    return boto3.client(
        service, endpoint_url=server.url, region_name="us-east-1",
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip


def configured(server: Server, prefix: str, **more: Any) -> str:
    """The folder under which records will lie."""
    configuration = {"s3Config": {"bucketName": BUCKET, "keyPrefix": prefix}, "textDataDeliveryEnabled": True, **more}
    client(server, "bedrock").put_model_invocation_logging_configuration(loggingConfig=configuration)
    return f"{prefix}/AWSLogs/"


def read(server: Server, prefix: str, number: int) -> list[dict[str, Any]]:
    s3 = client(server, "s3")
    records: list[dict[str, Any]] = []
    for _ in range(200):
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        keys = [item["Key"] for item in listed if item["Key"].endswith(".json.gz") and "/data/" not in item["Key"]]
        bodies = [gzip.decompress(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()) for key in keys]
        records = [json.loads(line) for body in bodies for line in body.splitlines()]
        if len(records) >= number:
            break
        time.sleep(0.1)
    return sorted(records, key=lambda record: record["timestamp"])


def fetched(server: Server, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body: bytes = client(server, "s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def test_the_configuration(server: Server) -> None:
    bedrock = client(server, "bedrock")
    bedrock.delete_model_invocation_logging_configuration()
    assert "loggingConfig" not in bedrock.get_model_invocation_logging_configuration()
    configured(server, "first")
    found = bedrock.get_model_invocation_logging_configuration()["loggingConfig"]
    assert found == {"s3Config": {"bucketName": BUCKET, "keyPrefix": "first"}, "textDataDeliveryEnabled": True}
    probe = client(server, "s3").list_objects_v2(Bucket=BUCKET, Prefix="first/")["Contents"]
    assert [item["Key"].rpartition("/")[2] for item in probe] == ["amazon-bedrock-logs-permission-check"]
    bedrock.delete_model_invocation_logging_configuration()
    bedrock.delete_model_invocation_logging_configuration()
    assert "loggingConfig" not in bedrock.get_model_invocation_logging_configuration()


@pytest.mark.parametrize(
    ("configuration", "told"),
    [
        ({"s3Config": {"bucketName": "nobody-has-this"}}, "Failed to validate permissions"),
        ({"textDataDeliveryEnabled": True}, "needs an s3Config"),
        ({"cloudWatchConfig": {"logGroupName": "g", "roleArn": "arn:aws:iam::111122223333:role/r"}}, "CloudWatch"),
    ],
)
def test_configurations_that_cannot_be(server: Server, configuration: dict[str, Any], told: str) -> None:
    with pytest.raises(ClientError, match=told) as caught:
        client(server, "bedrock").put_model_invocation_logging_configuration(loggingConfig=configuration)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_records_of_every_operation(server: Server) -> None:
    prefix = configured(server, "records")
    runtime = client(server, "bedrock-runtime")
    turn = {"role": "user", "content": [{"text": "hello"}]}
    whole = runtime.converse(modelId=MODEL, messages=[turn], requestMetadata={"team": "blue"})
    list(runtime.converse_stream(modelId=MODEL, messages=[turn])["stream"])
    native = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hello"}],
    }
    runtime.invoke_model(modelId=MODEL, body=json.dumps(native))
    list(runtime.invoke_model_with_response_stream(modelId=MODEL, body=json.dumps(native))["body"])
    runtime.invoke_model(modelId=EMBED, body=json.dumps({"inputText": "one two"}))
    assert call(server, CONVERSE, said("busy")).status == 429
    records = read(server, prefix, 6)
    assert len(records) == 6
    by = {(record["operation"], record.get("errorCode"), record["modelId"]): record for record in records}
    first = by["Converse", None, MODEL]
    assert (first["schemaType"], first["schemaVersion"]) == ("ModelInvocationLog", "1.0")
    assert first["requestId"] == whole["ResponseMetadata"]["RequestId"]
    assert first["requestMetadata"] == {"team": "blue"}
    assert first["identity"]["arn"].endswith(":user/admin")
    assert first["input"]["inputBodyJson"]["messages"] == [turn]
    assert first["input"]["inputTokenCount"] == whole["usage"]["inputTokens"]
    assert first["output"]["outputBodyJson"]["output"]["message"]["content"] == [{"text": "Hello from the script."}]
    assert first["output"]["outputTokenCount"] == 4
    streamed = by["ConverseStream", None, MODEL]["output"]
    assert [next(iter(event)) for event in streamed["outputBodyJson"]][-1] == "metadata"
    assert streamed["outputTokenCount"] == 4
    chunks = by["InvokeModelWithResponseStream", None, MODEL]["output"]
    assert [chunk["type"] for chunk in chunks["outputBodyJson"]][-1] == "message_stop"
    assert chunks["outputTokenCount"] == 4
    invoked = by["InvokeModel", None, MODEL]
    assert invoked["input"]["inputBodyJson"] == native
    assert invoked["output"]["outputTokenCount"] == 4
    assert len(by["InvokeModel", None, EMBED]["output"]["outputBodyJson"]["embedding"]) == 64
    failed = by["Converse", "ThrottlingException", MODEL]
    assert "output" not in failed


def test_what_is_large_or_no_text_lies_beside(server: Server) -> None:
    prefix = configured(server, "large")
    picture = png(4, 4)
    runtime = client(server, "bedrock-runtime")
    image = {"image": {"format": "png", "source": {"bytes": picture}}}
    runtime.converse(modelId=MODEL, messages=[{"role": "user", "content": [image, {"text": "hello"}]}])
    (record,) = read(server, prefix, 1)
    source = record["input"]["inputBodyJson"]["messages"][0]["content"][0]["image"]["source"]
    assert fetched(server, source["s3Location"]["uri"]) == picture
    assert base64.b64encode(picture).decode() not in json.dumps(record)
    long = "word " * 30_000
    call(server, CONVERSE, said(f"fail first {long}"))
    records = read(server, prefix, 2)
    record = next(record for record in records if "errorCode" in record)
    body = json.loads(gzip.decompress(fetched(server, record["input"]["inputBodyS3Path"])))
    assert body["messages"][0]["content"][0]["text"].endswith(long)


def test_what_is_not_wanted_is_not_written(server: Server) -> None:
    prefix = configured(server, "quiet", textDataDeliveryEnabled=False, embeddingDataDeliveryEnabled=False)
    call(server, CONVERSE, said("walruses"))
    call(server, f"/model/{EMBED}/invoke".replace(":", "%3A"), json.dumps({"inputText": "walruses"}).encode())
    records = read(server, prefix, 2)
    assert len(records) == 2
    assert "walruses" not in json.dumps(records)
    assert not any("outputBodyJson" in record["output"] for record in records)
    assert all(record["input"]["inputTokenCount"] for record in records)


def test_a_client_that_goes_away_is_in_the_record(server: Server) -> None:
    from tests.serve.calls import opened

    prefix = configured(server, "gone")
    gone = opened(server, STREAM, said("slowly"))
    gone.getresponse().read(1)
    gone.close()
    (record,) = read(server, prefix, 1)
    assert record["errorCode"] == "ClientDisconnected"
    assert record["output"]["outputBodyJson"][0] == {"messageStart": {"role": "assistant"}}


def test_nothing_is_logged_unless_asked_for(server: Server) -> None:
    prefix = configured(server, "silent")
    client(server, "bedrock").delete_model_invocation_logging_configuration()
    call(server, CONVERSE, said("hello"))
    time.sleep(1.5)
    assert read_now(server, prefix) == []


def read_now(server: Server, prefix: str) -> list[str]:
    listed = client(server, "s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [item["Key"] for item in listed if item["Key"].endswith(".gz")]
