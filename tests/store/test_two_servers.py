"""Two servers on two machines, as it were: data folders of their own, one key, one PostgreSQL."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.live import Server, clean_environment, serve
from tests.stores import postgresql_at, settings_of

SETTINGS = """
house_model = false
[[models]]
id = "test.scripted-v1:0"
engine = "scripted"
"""


def client(server: Server, service: str, key: tuple[str, str]) -> Any:
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=40),
    )


def converse(runtime: Any, model: str) -> str:
    answer = runtime.converse(modelId=model, messages=[{"role": "user", "content": [{"text": "Hi"}]}])
    return str(answer["stopReason"])


def test_what_one_does_the_other_knows(tmp_path: Path) -> None:
    store = postgresql_at(tmp_path)
    text = SETTINGS + settings_of(store)
    one_home, other_home = tmp_path / "one", tmp_path / "other"
    with serve(one_home, settings=text) as one:
        other_home.mkdir()
        shutil.copy(one_home / "key", other_home / "key")
        key = one.environment["AWS_ACCESS_KEY_ID"], one.environment["AWS_SECRET_ACCESS_KEY"]
        with serve(other_home, settings=text) as other:
            assert other.environment["AWS_ACCESS_KEY_ID"] == key[0]
            here, there = client(one, "bedrock", key), client(other, "bedrock-runtime", key)
            made = here.create_inference_profile(
                inferenceProfileName="mine",
                modelSource={"copyFrom": "arn:aws:bedrock:us-east-1::foundation-model/test.scripted-v1:0"},
            )["inferenceProfileArn"]
            assert converse(there, made) == "end_turn"
            here.delete_inference_profile(inferenceProfileIdentifier=made)
            time.sleep(1)
            with pytest.raises(ClientError, match="The provided model identifier is invalid"):
                converse(there, made)
            _ask_at_once(client(other, "bedrock", key))
            assert _connections(store) <= 2 * 33
            subprocess.run(
                [sys.executable, "-m", "outcrop", "keys", "revoke", key[0]],
                env=clean_environment(one_home), check=True, capture_output=True,
            )  # fmt: skip
            time.sleep(1)
            with pytest.raises(ClientError, match="UnrecognizedClientException"):
                converse(there, "test.scripted-v1:0")


def _ask_at_once(bedrock: Any) -> None:
    with ThreadPoolExecutor(40) as pool:
        for answer in pool.map(lambda _: bedrock.list_inference_profiles(), range(200)):
            assert answer["inferenceProfileSummaries"]


def _connections(store: str) -> int:
    with psycopg.connect(store) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'outcrop'").fetchone()
    assert row is not None
    return int(row[0])
