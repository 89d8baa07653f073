"""Two accounts in one server, unmodified boto3 and OpenAI clients, users with policies and roles."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.live import Server, serve

MODEL = "test.parrot-v1:0"
MESSAGES = [{"role": "user", "content": [{"text": "Hello"}]}]
REGION = "us-east-1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("accounts") / "home"
    settings = f'house_model = false\n[[models]]\nid = "{MODEL}"\nengine = "scripted"\n'
    with serve(home, settings=settings) as server:
        yield server


def outcrop(server: Server, *arguments: str, given: str | None = None) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "outcrop", *arguments],
        env=dict(server.environment), input=given, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def client(server: Server, service: str, key: Mapping[str, str]) -> Any:
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], key.get("SessionToken"), region_name=REGION)
    return session.client(service, endpoint_url=server.url, config=Config(retries={"total_max_attempts": 1}))


def first_key(server: Server) -> dict[str, str]:
    environment = server.environment
    return {
        "AccessKeyId": environment["AWS_ACCESS_KEY_ID"],
        "SecretAccessKey": environment["AWS_SECRET_ACCESS_KEY"],
    }


def user(server: Server, name: str, *statements: dict[str, Any], account: str | None = None) -> dict[str, str]:
    """A key of a new user with a policy of these statements."""
    more = ["--account", account] if account else []
    outcrop(server, "users", "create", name, *more)
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        outcrop(server, "policies", "put", name, "-", *more, given=document)
        outcrop(server, "policies", "attach", name, "--user", name, *more)
    made: dict[str, str] = outcrop(server, "keys", "create", "--user", name, "--json", *more)
    return made


def allow(action: str, resource: str = "*") -> dict[str, str]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def told(call: Any, **params: Any) -> tuple[str, str]:
    """Code and message of the error."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_two_accounts_do_not_see_each_other(server: Server) -> None:
    theirs = outcrop(server, "accounts", "create", "team-two", "--json")
    ours, other = client(server, "bedrock", first_key(server)), client(server, "bedrock", theirs)
    model = f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"
    arn = ours.create_inference_profile(inferenceProfileName="secret", modelSource={"copyFrom": model})[
        "inferenceProfileArn"
    ]
    nowhere = arn[:-12] + "zzzzzzzzzzzz"

    listed = other.list_inference_profiles(typeEquals="APPLICATION")["inferenceProfileSummaries"]
    assert listed == []
    runtime = client(server, "bedrock-runtime", theirs)
    for there in (arn, nowhere):
        answers = [
            told(other.get_inference_profile, inferenceProfileIdentifier=there),
            told(other.delete_inference_profile, inferenceProfileIdentifier=there),
            told(other.list_tags_for_resource, resourceARN=there),
            told(other.put_resource_policy, resourceArn=there, resourcePolicy="{}"),
            told(runtime.converse, modelId=there, messages=MESSAGES),
        ]
        for code, message in answers:
            assert code == "AccessDeniedException"
            assert message.startswith(f"User: {theirs['Arn']} is not authorized to perform: bedrock:")
            assert there in message
    by_id = told(other.get_inference_profile, inferenceProfileIdentifier=arn[-12:])
    assert by_id[0] == told(other.get_inference_profile, inferenceProfileIdentifier=nowhere[-12:])[0]
    assert ours.get_inference_profile(inferenceProfileIdentifier=arn)["inferenceProfileName"] == "secret"
    assert client(server, "sts", theirs).get_caller_identity()["Account"] == theirs["AccountId"]


def test_a_user_may_do_what_his_policy_allows(server: Server) -> None:
    key = user(server, "ann", allow("bedrock:InvokeModel", f"arn:aws:bedrock:*::foundation-model/{MODEL}"))
    runtime = client(server, "bedrock-runtime", key)
    answer = runtime.converse(modelId=MODEL, messages=MESSAGES)
    assert answer["output"]["message"]["content"] == [{"text": "Hello"}]
    code, message = told(runtime.converse_stream, modelId=MODEL, messages=MESSAGES)
    assert code == "AccessDeniedException"
    assert message.endswith(
        f"user/ann is not authorized to perform: bedrock:InvokeModelWithResponseStream on resource: "
        f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL} "
        "because no identity-based policy allows the bedrock:InvokeModelWithResponseStream action"
    )
    error = _error_of(client(server, "bedrock", key).list_foundation_models)
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert told(runtime.converse, modelId="no.such-model", messages=MESSAGES)[0] == "AccessDeniedException"


def _error_of(call: Any) -> Any:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response


def test_a_policy_that_changes_holds_within_a_second(server: Server) -> None:
    key = user(server, "bob", allow("bedrock:ListFoundationModels"))
    bedrock = client(server, "bedrock", key)
    assert len(bedrock.list_foundation_models()["modelSummaries"]) == 1
    outcrop(server, "policies", "detach", "bob", "--user", "bob")
    time.sleep(1)
    assert told(bedrock.list_foundation_models)[0] == "AccessDeniedException"
    outcrop(server, "policies", "attach", "AmazonBedrockReadOnly", "--user", "bob")
    time.sleep(1)
    assert len(bedrock.list_foundation_models()["modelSummaries"]) == 1
    outcrop(server, "policies", "attach", "bob", "--user", "bob", "--boundary")
    time.sleep(1)
    assert len(bedrock.list_foundation_models()["modelSummaries"]) == 1
    assert "no permissions boundary allows" in told(bedrock.list_inference_profiles)[1]


def test_roles(server: Server) -> None:
    role = outcrop(server, "roles", "create", "reader", "--policy", "AmazonBedrockReadOnly", "--json")["Arn"]
    key = user(server, "carl", allow("sts:AssumeRole", role))
    assert told(client(server, "bedrock", key).list_foundation_models)[0] == "AccessDeniedException"
    sts = client(server, "sts", key)
    assumed = sts.assume_role(RoleArn=role, RoleSessionName="job", DurationSeconds=900)
    session = assumed["Credentials"]
    assert client(server, "sts", session).get_caller_identity()["Arn"] == assumed["AssumedRoleUser"]["Arn"]
    assert len(client(server, "bedrock", session).list_foundation_models()["modelSummaries"]) == 1
    code, message = told(client(server, "bedrock-runtime", session).converse, modelId=MODEL, messages=MESSAGES)
    assert (code, "assumed-role/reader/job is not authorized" in message) == ("AccessDeniedException", True)
    nothing = json.dumps({"Version": "2012-10-17", "Statement": {**allow("*"), "Effect": "Deny"}})
    narrowed = sts.assume_role(RoleArn=role, RoleSessionName="job", Policy=nothing)["Credentials"]
    assert "in a session policy" in told(client(server, "bedrock", narrowed).list_foundation_models)[1]
    code, _ = told(sts.assume_role, RoleArn=role.replace("reader", "nobody"), RoleSessionName="job")
    assert code == "AccessDenied"
    assert server.says(" 200 AssumeRole ")
    assert server.says(" 403 AssumeRole ")
    wrong = {**key, "SecretAccessKey": "wrong"}
    assert told(client(server, "sts", wrong).get_caller_identity)[0] == "SignatureDoesNotMatch"


def test_a_role_of_another_account(server: Server) -> None:
    outside = outcrop(server, "accounts", "create", "outside", "--json")
    trusted = {"Effect": "Allow", "Principal": {"AWS": outside["AccountId"]}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": trusted})
    options = ("--trust", "-", "--policy", "AmazonBedrockReadOnly", "--json")
    role = outcrop(server, "roles", "create", "guest", *options, given=document)["Arn"]
    session = client(server, "sts", outside).assume_role(RoleArn=role, RoleSessionName="guest")["Credentials"]
    identity = client(server, "sts", session).get_caller_identity()
    assert identity["Account"] == client(server, "sts", first_key(server)).get_caller_identity()["Account"]
    powerless = user(server, "dora", account="outside")
    assert (
        told(client(server, "sts", powerless).assume_role, RoleArn=role, RoleSessionName="guest")[0] == "AccessDenied"
    )


def test_a_resources_own_policy(server: Server) -> None:
    bedrock = client(server, "bedrock", first_key(server))
    model = f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"
    arn = bedrock.create_inference_profile(inferenceProfileName="own", modelSource={"copyFrom": model})[
        "inferenceProfileArn"
    ]
    key = user(server, "emil")
    emil = client(server, "bedrock", key)
    assert told(emil.get_inference_profile, inferenceProfileIdentifier=arn)[0] == "AccessDeniedException"
    principal = {"AWS": client(server, "sts", key).get_caller_identity()["Arn"]}
    document = {
        "Version": "2012-10-17",
        "Statement": {**allow("bedrock:GetInferenceProfile", arn), "Principal": principal},
    }
    assert bedrock.put_resource_policy(resourceArn=arn, resourcePolicy=json.dumps(document))["resourceArn"] == arn
    assert json.loads(bedrock.get_resource_policy(resourceArn=arn)["resourcePolicy"]) == document
    time.sleep(1)
    assert emil.get_inference_profile(inferenceProfileIdentifier=arn)["inferenceProfileName"] == "own"
    code, message = told(bedrock.put_resource_policy, resourceArn=arn, resourcePolicy='{"Statement": []}')
    assert (code, "Statement: A policy needs" in message) == ("ValidationException", True)
    bedrock.delete_resource_policy(resourceArn=arn)
    assert told(bedrock.get_resource_policy, resourceArn=arn)[0] == "ResourceNotFoundException"
    bedrock.delete_inference_profile(inferenceProfileIdentifier=arn)
    assert told(bedrock.put_resource_policy, resourceArn=arn, resourcePolicy="{}")[0] == "ValidationException"


def test_the_openai_interface_asks_the_same(server: Server) -> None:
    key = user(server, "fred", allow("bedrock:InvokeModel", f"arn:aws:bedrock:*::foundation-model/{MODEL}"))
    made = outcrop(server, "keys", "create", "--user", "fred", "--api-key", "--json")
    assert key["UserName"] == made["UserName"]
    chat = openai.OpenAI(base_url=f"{server.url}/openai/v1", api_key=made["ServiceApiKeyValue"], max_retries=0)
    question: Any = [{"role": "user", "content": "Hello"}]
    with pytest.raises(openai.PermissionDeniedError, match="bedrock:CallWithBearerToken"):
        chat.chat.completions.create(model=MODEL, messages=question)
    document = json.dumps({"Version": "2012-10-17", "Statement": allow("bedrock:CallWithBearerToken")})
    outcrop(server, "policies", "put", "bearer", "-", given=document)
    outcrop(server, "policies", "attach", "bearer", "--user", "fred")
    time.sleep(1)
    assert chat.chat.completions.create(model=MODEL, messages=question).choices[0].message.content == "Hello"
    with pytest.raises(openai.PermissionDeniedError, match="bedrock:InvokeModelWithResponseStream"):
        chat.chat.completions.create(model=MODEL, messages=question, stream=True)
    with pytest.raises(openai.PermissionDeniedError, match=r"foundation-model/no\.such"):
        chat.chat.completions.create(model="no.such", messages=question)
    with pytest.raises(openai.PermissionDeniedError, match="bedrock:ListFoundationModels"):
        chat.models.list()


def test_arns_that_are_quoted_in_urls(server: Server) -> None:
    """The resource in a path is the decoded one."""
    arn = f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"
    key = user(server, "gina", allow("bedrock:InvokeModel", arn))
    runtime = client(server, "bedrock-runtime", key)
    assert "%3A" in quote(arn, safe="")
    assert runtime.converse(modelId=arn, messages=MESSAGES)["stopReason"] == "end_turn"


def test_the_log_says_who_was_refused(server: Server) -> None:
    key = user(server, "hugo")
    told(client(server, "bedrock", key).list_foundation_models)
    assert server.says("user/hugo", "403 ListFoundationModels", "error=AccessDeniedException")
