"""Provisioned throughput as unmodified boto3 clients of two accounts use it, while one of them saturates the model."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.live import Server, get, serve

MODEL = "test.parrot-v1:0"
UNLIMITED = "test.unlimited-v1:0"
REGION = "us-east-1"
CROWD = 6

# Requests of one account, all at once, each of which would hold a place for minutes.
CROWDING = """
import sys, threading
import boto3
from botocore.config import Config
url, key, secret, model, number = sys.argv[1:]
client = boto3.client("bedrock-runtime", endpoint_url=url, region_name="us-east-1", aws_access_key_id=key,
                      aws_secret_access_key=secret, config=Config(max_pool_connections=int(number), read_timeout=300))
ask = lambda: client.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "slowly"}]}])
threads = [threading.Thread(target=ask) for _ in range(int(number))]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("throughput") / "home"


@pytest.fixture(scope="module")
def settings(home: Path) -> str:
    home.mkdir()
    script = home / "script.json"
    rules = [{"contains": "slowly", "text": "At last.", "first_delay_ms": 300_000}, {"text": "At once."}]
    script.write_text(json.dumps({"rules": rules}))
    limited = f'id = "{MODEL}"\nengine = "scripted"\nscript = "{script}"\nconcurrency = 3\n'
    unlimited = f'id = "{UNLIMITED}"\nengine = "scripted"\n'
    return f"house_model = false\n[[models]]\n{limited}[[models]]\n{unlimited}[[quotas]]\nrequests_per_minute = 100\n"


@pytest.fixture(scope="module")
def server(home: Path, settings: str) -> Iterator[Server]:
    with serve(home, settings=settings) as running:
        yield running


def outcrop(server: Server, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "outcrop", *arguments, "--json"],
        env=dict(server.environment), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


ONCE = Config(retries={"total_max_attempts": 1}, read_timeout=120)


def client(server: Server, service: str, key: Mapping[str, str], config: Config = ONCE) -> Any:
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)
    return session.client(service, endpoint_url=server.url, config=config)


def first_key(server: Server) -> dict[str, str]:
    environment = server.environment
    return {
        "AccessKeyId": environment["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": environment["AWS_SECRET_ACCESS_KEY"],
    }


def refused(call: Any, **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def engine(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(f"{server.url}/health")[1])["engines"][0]
    return found


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def messages(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": text}]}]


def body() -> str:
    return json.dumps(
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    )


def answers(server: Server, key: Mapping[str, str], model: str) -> list[str]:
    """What is said in all four ways to ask."""
    runtime = client(server, "bedrock-runtime", key)
    said = [runtime.converse(modelId=model, messages=messages("Hi"))["output"]["message"]["content"][0]["text"]]
    events = runtime.converse_stream(modelId=model, messages=messages("Hi"))["stream"]
    said.append("".join(event.get("contentBlockDelta", {}).get("delta", {}).get("text", "") for event in events))
    said.append(json.loads(runtime.invoke_model(modelId=model, body=body())["body"].read())["content"][0]["text"])
    parts = runtime.invoke_model_with_response_stream(modelId=model, body=body())["body"]
    chunks = [json.loads(part["chunk"]["bytes"]) for part in parts]
    said.append("".join(chunk.get("delta", {}).get("text", "") for chunk in chunks))
    return said


def test_the_life_of_a_provisioned_model(server: Server) -> None:
    bedrock = client(server, "bedrock", first_key(server))
    model = f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"
    wanted = {"provisionedModelName": "life_of-one", "modelUnits": 2, "modelId": MODEL, "clientRequestToken": "one"}
    made = bedrock.create_provisioned_model_throughput(**wanted, tags=[{"key": "team", "value": "a"}])
    arn = made["provisionedModelArn"]
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert engine(server)["reserved"] == 2
    again = bedrock.create_provisioned_model_throughput(**wanted, tags=[{"key": "team", "value": "a"}])
    assert again["provisionedModelArn"] == arn
    found = bedrock.get_provisioned_model_throughput(provisionedModelId=arn)
    assert (found["modelArn"], found["modelUnits"], found["status"]) == (model, 2, "InService")
    assert "commitmentDuration" not in found

    code, message = refused(
        bedrock.create_provisioned_model_throughput, provisionedModelName="more", modelUnits=1, modelId=model
    )
    assert (code, "0 are free" in message) == ("ServiceQuotaExceededException", True)
    code, message = refused(
        bedrock.create_provisioned_model_throughput, provisionedModelName="more", modelUnits=1, modelId=UNLIMITED
    )
    assert (code, "concurrency" in message) == ("ValidationException", True)

    bedrock.update_provisioned_model_throughput(provisionedModelId="life_of-one", desiredProvisionedModelName="renamed")
    pages = bedrock.get_paginator("list_provisioned_model_throughputs").paginate(
        nameContains="name",
        sortBy="CreationTime",
        sortOrder="Ascending",
        modelArnEquals=model,
        statusEquals="InService",
    )
    assert [one["provisionedModelArn"] for page in pages for one in page["provisionedModelSummaries"]] == [arn]
    assert bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == [{"key": "team", "value": "a"}]
    bedrock.delete_provisioned_model_throughput(provisionedModelId="renamed")
    assert refused(bedrock.get_provisioned_model_throughput, provisionedModelId=arn)[0] == "ResourceNotFoundException"
    assert "reserved" not in engine(server)


def test_the_wire_refuses_what_is_no_unit(server: Server) -> None:
    unchecked = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    bedrock = client(server, "bedrock", first_key(server), unchecked)
    for changes in ({"modelUnits": 0}, {"provisionedModelName": "no.dot"}, {"commitmentDuration": "OneDay"}):
        params: dict[str, Any] = {"provisionedModelName": "good", "modelUnits": 1, "modelId": MODEL, **changes}
        assert refused(bedrock.create_provisioned_model_throughput, **params)[0] == "ValidationException"


def test_one_account_saturates_the_model_and_the_others_places_stay_its_own(
    server: Server, home: Path, settings: str
) -> None:
    owner, crowd = outcrop(server, "accounts", "create", "owner"), outcrop(server, "accounts", "create", "crowd")
    bedrock = client(server, "bedrock", owner)
    arn = bedrock.create_provisioned_model_throughput(
        provisionedModelName="mine", modelUnits=1, modelId=MODEL, commitmentDuration="OneMonth"
    )["provisionedModelArn"]
    crowding = subprocess.Popen(
        [sys.executable, "-c", CROWDING, server.url, crowd["AccessKeyId"], crowd["SecretAccessKey"], MODEL, str(CROWD)],
        env=dict(server.environment),
    )
    try:
        # Two of three places are for all; the third is kept.
        until(lambda: (engine(server)["requests"], engine(server)["waiting"]) == (CROWD, CROWD - 2))
        for name in (arn, "mine"):
            assert answers(server, owner, name) == ["At once."] * 4
        assert (engine(server)["requests"], engine(server)["waiting"]) == (CROWD, CROWD - 2)
        theirs = client(server, "bedrock-runtime", crowd)
        assert refused(theirs.converse, modelId=arn, messages=messages("Hi"))[0] == "AccessDeniedException"
        assert refused(theirs.converse, modelId="mine", messages=messages("Hi"))[0] == "ValidationException"
    finally:
        crowding.kill()
        crowding.wait()
    until(lambda: engine(server)["requests"] == 0)
    assert refused(bedrock.delete_provisioned_model_throughput, provisionedModelId=arn)[0] == "ConflictException"
    listed = json.loads(operator(server, "list", "--json").stdout)
    assert [(one["Arn"], one["ModelUnits"]) for one in listed if one["Name"] == "mine"] == [(arn, 1)]
    assert "no provisioned throughput nobody" in operator(server, "end", "nobody").stderr
    assert f"{arn} has ended" in operator(server, "end", "mine").stdout
    assert bedrock.list_provisioned_model_throughputs()["provisionedModelSummaries"] == []
    assert "reserved" not in engine(server)


def operator(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "outcrop", "throughput", *arguments],
        env=dict(server.environment), capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_reservations_outlive_the_server(server: Server, home: Path, settings: str) -> None:
    """A second server on the same data, as after a restart."""
    key = outcrop(server, "accounts", "create", "lasting")
    arn = client(server, "bedrock", key).create_provisioned_model_throughput(
        provisionedModelName="lasting", modelUnits=1, modelId=MODEL
    )["provisionedModelArn"]
    kept = engine(server)["reserved"]
    with serve(home, settings=settings) as second:
        assert engine(second)["reserved"] == kept
        assert answers(second, key, arn) == ["At once."] * 4
        client(second, "bedrock", key).delete_provisioned_model_throughput(provisionedModelId="lasting")
    # The first server learns it from the database, with the next request.
    client(server, "bedrock-runtime", key).converse(modelId=MODEL, messages=messages("Hi"))
    assert engine(server).get("reserved", 0) == kept - 1
