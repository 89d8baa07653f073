"""A server while its PostgreSQL is away, as its callers see it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.live import Server, get, serve
from tests.stores import Cluster, new_cluster, settings_of

SETTINGS = """
house_model = false
[server]
log = "json"
[[models]]
id = "test.scripted-v1:0"
engine = "scripted"
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = new_cluster()
    yield made
    made.remove()


def test_the_server_says_so_and_goes_on_when_it_is_back(cluster: Cluster, tmp_path: Path) -> None:
    with serve(tmp_path, settings=SETTINGS + settings_of(cluster.schema("outage"))) as server:
        bedrock, runtime = (_client(server, service) for service in ("bedrock", "bedrock-runtime"))
        made = bedrock.create_inference_profile(
            inferenceProfileName="mine",
            modelSource={"copyFrom": "arn:aws:bedrock:us-east-1::foundation-model/test.scripted-v1:0"},
        )["inferenceProfileArn"]
        assert get(f"{server.url}/ready")[0] == 200
        cluster.stop()
        status, body = get(f"{server.url}/ready")
        assert (status, json.loads(body)["status"], json.loads(body)["database"]) == (503, "degraded", "failed")
        assert get(f"{server.url}/health")[0] == 200
        calls: list[Callable[[], object]] = [
            lambda: bedrock.list_inference_profiles(),
            lambda: runtime.converse(modelId=made, messages=[{"role": "user", "content": [{"text": "Hi"}]}]),
        ]
        for call in calls:
            with pytest.raises(ClientError) as caught:
                call()
            assert caught.value.response["Error"]["Code"] == "ServiceUnavailableException"
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
            assert str(cluster.folder) not in str(caught.value)
        assert "Traceback" not in server.log
        cluster.start()
        for _ in range(200):
            if get(f"{server.url}/ready")[0] == 200:
                break
            time.sleep(0.05)
        assert bedrock.get_inference_profile(inferenceProfileIdentifier=made)["inferenceProfileName"] == "mine"
        answer = runtime.converse(modelId=made, messages=[{"role": "user", "content": [{"text": "Hi"}]}])
        assert answer["stopReason"] == "end_turn"


def _client(server: Server, service: str) -> Any:
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}),
    )
