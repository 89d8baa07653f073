"""Data retention over HTTP: boto3 sets the mode, and the OpenAI client finds what follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.identity.test_accounts_live import MODEL, allow, client, first_key, outcrop, told, user
from tests.live import Server, serve

BUCKET = {
    "kmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012",
    "s3BucketArn": "arn:aws:s3:::retained-data",
    "s3BucketOwner": "111122223333",
}
PROJECT = "proj_nothing"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("retention")
    with serve(home, settings=f'house_model = false\n[[models]]\nid = "{MODEL}"\nengine = "scripted"\n') as running:
        yield running


@pytest.fixture
def bedrock(server: Server) -> Any:
    return client(server, "bedrock", first_key(server))


@pytest.fixture
def words(server: Server) -> openai.OpenAI:
    token = outcrop(server, "env", "--openai").partition("OPENAI_API_KEY=")[2].split()[0].strip("'\"")
    return openai.OpenAI(base_url=f"{server.url}/openai/v1", api_key=token, max_retries=0)


def test_nothing_is_kept_where_the_account_says_so(bedrock: Any, words: openai.OpenAI) -> None:
    assert bedrock.put_account_data_retention(mode="default")["mode"] == "default"
    first = words.responses.create(model=MODEL, input="A secret.")
    assert words.responses.retrieve(first.id).output_text == "A secret."

    made = bedrock.put_account_data_retention(mode="none")
    found = bedrock.get_account_data_retention()
    assert (found["mode"], found["updatedAt"]) == ("none", made["updatedAt"])
    with pytest.raises(openai.NotFoundError):
        words.responses.retrieve(first.id)
    second = words.responses.create(model=MODEL, input="Another one.")
    assert (second.output_text, second.to_dict()["store"]) == ("Another one.", False)
    with words.responses.stream(model=MODEL, input="And one more.") as stream:
        third = stream.get_final_response()
    for response in (second, third):
        with pytest.raises(openai.NotFoundError):
            words.responses.retrieve(response.id)
    with pytest.raises(openai.BadRequestError, match="data retention mode 'none'"):
        words.responses.create(model=MODEL, input="Keep it.", store=True)
    with pytest.raises(openai.BadRequestError, match="not found"):
        words.responses.create(model=MODEL, input="Go on.", previous_response_id=first.id)

    bedrock.put_account_data_retention(mode="inherit")
    last = words.responses.create(model=MODEL, input="Kept.")
    assert (last.to_dict()["store"], words.responses.retrieve(last.id).output_text) == (True, "Kept.")


def test_modes_are_those_of_bedrock(bedrock: Any) -> None:
    assert told(bedrock.put_account_data_retention, mode="forever")[0] == "ValidationException"


def test_a_policy_may_say_which_modes(server: Server) -> None:
    only_none = {"StringEquals": {"bedrock:DataRetentionMode": "none"}}
    strict: dict[str, Any] = {**allow("bedrock:PutAccountDataRetention"), "Condition": only_none}
    bedrock = client(server, "bedrock", user(server, "strict", strict))
    assert bedrock.put_account_data_retention(mode="none")["mode"] == "none"
    assert told(bedrock.put_account_data_retention, mode="default")[0] == "AccessDeniedException"
    assert told(bedrock.get_account_data_retention)[0] == "AccessDeniedException"


def test_nowhere_is_retained_data_delivered_to(bedrock: Any) -> None:
    openai_ = {"modelProvider": "openai"}
    own = {"storageDestination": "customer_managed", "storageConfiguration": BUCKET}
    assert told(bedrock.get_account_data_retention_storage, **openai_)[0] == "ResourceNotFoundException"
    assert told(bedrock.put_account_data_retention_storage, **openai_, **own)[0] == "ConflictException"
    wrong = {"storageDestination": "amazon_managed", "storageConfiguration": BUCKET}
    assert told(bedrock.put_account_data_retention_storage, **openai_, **wrong)[0] == "ValidationException"
    assert bedrock.delete_account_data_retention_storage(**openai_)["ResponseMetadata"]["HTTPStatusCode"] == 200
    for call, more in (
        (bedrock.get_organization_data_retention_storage, {}),
        (bedrock.put_organization_data_retention_storage, own),
        (bedrock.delete_organization_data_retention_storage, {}),
    ):
        assert told(call, **openai_, **more)[0] == "AccessDeniedException"
    project = {"projectIdentifier": PROJECT, **openai_}
    for call, more in (
        (bedrock.get_project_data_retention_storage, {}),
        (bedrock.put_project_data_retention_storage, own),
        (bedrock.delete_project_data_retention_storage, {}),
    ):
        assert told(call, **project, **more)[0] == "ResourceNotFoundException"


def test_who_changed_it_is_in_the_audit_trail(server: Server, bedrock: Any) -> None:
    made = bedrock.put_account_data_retention(mode="default")
    records = [json.loads(line) for path in (server.home / "audit").glob("2*/*/*/*.jsonl") for line in path.open("rb")]
    found = [record for record in records if record["requestID"] == made["ResponseMetadata"]["RequestId"]]
    assert [record["eventName"] for record in found] == ["PutAccountDataRetention"]
