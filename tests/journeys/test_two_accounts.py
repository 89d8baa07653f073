"""Two accounts on one server: the one has everything there is, and the other cannot even tell that it exists.

What is somebody else's and what is not there at all get the same answer, word for word but for the name that was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.identity.test_accounts_live import outcrop
from tests.live import Server, serve

MODEL, OTHER_MODEL, REGION = "test.parrot-v1:0", "test.echo-v1:0", "us-east-1"
MODEL_ARN, OTHER_ARN = (f"arn:aws:bedrock:{REGION}::foundation-model/{model}" for model in (MODEL, OTHER_MODEL))
SETTINGS = f"""
house_model = false
[batch]
least_records = 1
[[models]]
id = "{MODEL}"
engine = "scripted"
concurrency = 4
[[models]]
id = "{OTHER_MODEL}"
engine = "scripted"
"""
MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": [{"text": "Hello"}]}]
BODY = json.dumps({"messages": [{"role": "user", "content": "Hello"}]}).encode()
TAGS = [{"key": "secret", "value": "plan"}]
KINDS = ("profile", "router", "throughput", "batch", "async", "custom", "import", "evaluation")
DATASET = {
    "taskType": "QuestionAndAnswer",
    "dataset": {"name": "Own", "datasetLocation": {"s3Uri": "s3://plans/questions.jsonl"}},
    "metricNames": ["Builtin.Accuracy"],
}


@dataclass(frozen=True)
class Account:
    """Unmodified boto3 clients, and OpenAI's."""

    key: Mapping[str, str]
    bedrock: Any
    runtime: Any
    s3: Any
    sts: Any
    words: openai.OpenAI

    @property
    def id(self) -> str:
        return self.key["AccountId"]


def account(server: Server, name: str) -> Account:
    key = outcrop(server, "accounts", "create", name, "--json")
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION)
    config = Config(retries={"total_max_attempts": 1})
    bedrock, runtime, s3, sts = (
        session.client(service, endpoint_url=server.url, config=config)
        for service in ("bedrock", "bedrock-runtime", "s3", "sts")
    )
    token = outcrop(server, "keys", "create", "--api-key", "--account", name, "--json")["ServiceApiKeyValue"]
    words = openai.OpenAI(base_url=f"{server.url}/openai/v1", api_key=token, max_retries=0)
    return Account(key, bedrock, runtime, s3, sts, words)


@dataclass(frozen=True)
class Owned:
    """What the first account has, by kind; `response` is one that is kept."""

    arns: Mapping[str, str]
    response: str
    upload: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("two-accounts"), settings=SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def owner(server: Server) -> Account:
    return account(server, "owner")


@pytest.fixture(scope="module")
def stranger(server: Server) -> Account:
    return account(server, "stranger")


@pytest.fixture(scope="module")
def owned(server: Server, owner: Account) -> Owned:
    bedrock, at = owner.bedrock, "s3://plans"
    owner.s3.create_bucket(Bucket="plans")
    record = {"recordId": "a", "modelInput": {"messages": [{"role": "user", "content": "Hello"}]}}
    owner.s3.put_object(Bucket="plans", Key="in/records.jsonl", Body=json.dumps(record).encode())
    upload = owner.s3.create_multipart_upload(Bucket="plans", Key="half")["UploadId"]
    role = outcrop(
        server, "roles", "create", "works", "--account", "owner", "--trust", "-", "--administrator", "--json",
        given=_trusting({"Service": "bedrock.amazonaws.com"}),
    )["Arn"]  # fmt: skip
    arns = {
        "profile": bedrock.create_inference_profile(
            inferenceProfileName="plan", modelSource={"copyFrom": MODEL_ARN}, tags=TAGS
        )["inferenceProfileArn"],
        "router": bedrock.create_prompt_router(
            promptRouterName="plan",
            models=[{"modelArn": MODEL_ARN}, {"modelArn": OTHER_ARN}],
            fallbackModel={"modelArn": MODEL_ARN},
            routingCriteria={"responseQualityDifference": 10},
            tags=TAGS,
        )["promptRouterArn"],
        "throughput": bedrock.create_provisioned_model_throughput(
            provisionedModelName="plan", modelUnits=1, modelId=MODEL, tags=TAGS
        )["provisionedModelArn"],
        "batch": bedrock.create_model_invocation_job(
            jobName="plan",
            roleArn=role,
            modelId=MODEL,
            inputDataConfig={"s3InputDataConfig": {"s3Uri": f"{at}/in/"}},
            outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"{at}/out/"}},
            tags=TAGS,
        )["jobArn"],
        "async": owner.runtime.start_async_invoke(
            modelId=MODEL,
            modelInput={"messages": [{"role": "user", "content": "Hello"}]},
            outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"{at}/async"}},
            tags=TAGS,
        )["invocationArn"],
        "custom": bedrock.create_custom_model(
            modelName="plan",
            roleArn=role,
            modelSourceConfig={"s3DataSource": {"s3Uri": f"{at}/model/"}},
            modelTags=TAGS,
        )["modelArn"],
        "import": bedrock.create_model_import_job(
            jobName="plan",
            importedModelName="plan",
            roleArn=role,
            modelDataSource={"s3DataSource": {"s3Uri": f"{at}/model/"}},
            jobTags=TAGS,
        )["jobArn"],
        "evaluation": bedrock.create_evaluation_job(
            jobName="plan",
            roleArn=role,
            evaluationConfig={"automated": {"datasetMetricConfigs": [DATASET]}},
            inferenceConfig={"models": [{"bedrockModel": {"modelIdentifier": MODEL}}]},
            outputDataConfig={"s3Uri": f"{at}/reports/"},
            jobTags=TAGS,
        )["jobArn"],
        "role": role,
    }
    bedrock.put_model_invocation_logging_configuration(loggingConfig={"s3Config": {"bucketName": "plans"}})
    bedrock.put_account_data_retention(mode="provider_data_share")
    response = owner.words.responses.create(model=MODEL, input="A secret plan.").id
    return Owned(arns, response, upload)


def _trusting(principal: Mapping[str, str]) -> str:
    statement = {"Effect": "Allow", "Principal": dict(principal), "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def told(call: Any, params: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    """The error without the names that were asked for."""
    with pytest.raises(ClientError) as caught:
        call(**params)
    response = caught.value.response
    message = response["Error"]["Message"]
    for name in sorted(names, key=len, reverse=True):
        message = message.replace(name, "NAME")
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], message


def same(call: Any, there: str, nowhere: str, param: str, **more: Any) -> None:
    answers = [told(call, {param: name, **more}, name, name.rpartition("/")[2]) for name in (there, nowhere)]
    assert answers[0] == answers[1], (call.__name__, param)


def _nowhere(arn: str) -> str:
    return arn[:-12] + "zzzzzzzzzzzz"


def test_the_owner_has_it_all(owner: Account, owned: Owned) -> None:
    for kind in KINDS:
        assert owner.bedrock.list_tags_for_resource(resourceARN=owned.arns[kind])["tags"] == TAGS
    assert owner.words.responses.retrieve(owned.response).output_text == "A secret plan."
    assert owner.runtime.converse(modelId=owned.arns["profile"], messages=MESSAGES)["stopReason"] == "end_turn"


def test_lists_are_empty(stranger: Account, owned: Owned) -> None:
    bedrock = stranger.bedrock
    assert bedrock.list_inference_profiles(typeEquals="APPLICATION")["inferenceProfileSummaries"] == []
    assert bedrock.list_prompt_routers()["promptRouterSummaries"] == []
    assert bedrock.list_provisioned_model_throughputs()["provisionedModelSummaries"] == []
    assert bedrock.list_model_invocation_jobs()["invocationJobSummaries"] == []
    assert bedrock.list_model_customization_jobs()["modelCustomizationJobSummaries"] == []
    assert bedrock.list_custom_models()["modelSummaries"] == []
    assert bedrock.list_imported_models()["modelSummaries"] == []
    assert bedrock.list_model_import_jobs()["modelImportJobSummaries"] == []
    assert bedrock.list_evaluation_jobs()["jobSummaries"] == []
    assert stranger.runtime.list_async_invokes()["asyncInvokeSummaries"] == []
    assert stranger.s3.list_buckets()["Buckets"] == []
    assert bedrock.get_model_invocation_logging_configuration().get("loggingConfig") is None
    assert bedrock.get_account_data_retention()["mode"] == "default"


@pytest.mark.parametrize("form", ["as it is", "of one's own account"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_anothers_is_as_what_is_not_there(
    stranger: Account, owner: Account, owned: Owned, kind: str, form: str
) -> None:
    """Also the ARN with the stranger's own account in it, whose id is another's."""
    arn = owned.arns[kind]
    if form == "of one's own account":
        arn = arn.replace(owner.id, stranger.id)
    nowhere, bedrock, runtime = _nowhere(arn), stranger.bedrock, stranger.runtime
    same(bedrock.list_tags_for_resource, arn, nowhere, "resourceARN")
    same(bedrock.tag_resource, arn, nowhere, "resourceARN", tags=TAGS)
    same(bedrock.untag_resource, arn, nowhere, "resourceARN", tagKeys=["secret"])
    same(bedrock.get_resource_policy, arn, nowhere, "resourceArn")
    same(bedrock.put_resource_policy, arn, nowhere, "resourceArn", resourcePolicy="{}")
    same(bedrock.delete_resource_policy, arn, nowhere, "resourceArn")
    calls: dict[str, list[tuple[Any, str, dict[str, Any]]]] = {
        "profile": [
            (bedrock.get_inference_profile, "inferenceProfileIdentifier", {}),
            (bedrock.delete_inference_profile, "inferenceProfileIdentifier", {}),
        ],
        "router": [(bedrock.get_prompt_router, "promptRouterArn", {}), (bedrock.delete_prompt_router, "promptRouterArn", {})],
        "throughput": [
            (bedrock.get_provisioned_model_throughput, "provisionedModelId", {}),
            (bedrock.update_provisioned_model_throughput, "provisionedModelId", {"desiredProvisionedModelName": "x"}),
            (bedrock.delete_provisioned_model_throughput, "provisionedModelId", {}),
        ],
        "batch": [(bedrock.get_model_invocation_job, "jobIdentifier", {}), (bedrock.stop_model_invocation_job, "jobIdentifier", {})],
        "async": [(runtime.get_async_invoke, "invocationArn", {})],
        "custom": [
            (bedrock.get_custom_model, "modelIdentifier", {}),
            (bedrock.delete_custom_model, "modelIdentifier", {}),
            (bedrock.create_custom_model_deployment, "modelArn", {"modelDeploymentName": "mine"}),
        ],
        "import": [(bedrock.get_model_import_job, "jobIdentifier", {})],
        "evaluation": [
            (bedrock.get_evaluation_job, "jobIdentifier", {}),
            (bedrock.stop_evaluation_job, "jobIdentifier", {}),
        ],
    }  # fmt: skip
    for call, param, more in calls[kind]:
        same(call, arn, nowhere, param, **more)
    if kind in ("profile", "router", "throughput"):
        converse = {"messages": MESSAGES}
        same(runtime.converse, arn, nowhere, "modelId", **converse)
        same(runtime.converse_stream, arn, nowhere, "modelId", **converse)
        same(runtime.count_tokens, arn, nowhere, "modelId", input={"converse": converse})
        same(runtime.invoke_model, arn, nowhere, "modelId", body=BODY)
        for there in (arn, nowhere):
            with pytest.raises((openai.NotFoundError, openai.PermissionDeniedError)):
                stranger.words.responses.create(model=there, input="Hello")


def test_names_and_ids_mean_nothing_in_another_account(stranger: Account, owned: Owned) -> None:
    bedrock, runtime = stranger.bedrock, stranger.runtime
    same(bedrock.get_provisioned_model_throughput, "plan", "none", "provisionedModelId")
    same(runtime.converse, "plan", "none", "modelId", messages=MESSAGES)
    for kind, call, param in (
        ("profile", bedrock.get_inference_profile, "inferenceProfileIdentifier"),
        ("throughput", bedrock.get_provisioned_model_throughput, "provisionedModelId"),
        ("batch", bedrock.get_model_invocation_job, "jobIdentifier"),
    ):
        identifier = owned.arns[kind].rpartition("/")[2]
        same(call, identifier, "zzzzzzzzzzzz", param)
    # And names that are taken there are free here.
    made = bedrock.create_inference_profile(inferenceProfileName="plan", modelSource={"copyFrom": MODEL_ARN})
    bedrock.delete_inference_profile(inferenceProfileIdentifier=made["inferenceProfileArn"])


def test_kept_responses(stranger: Account, owned: Owned) -> None:
    messages = []
    for name in (owned.response, "resp_nowhere"):
        for call in (stranger.words.responses.retrieve, stranger.words.responses.delete):
            with pytest.raises(openai.APIStatusError) as caught:
                call(name)
            messages.append((caught.value.status_code, caught.value.message.replace(name, "NAME")))
        with pytest.raises(openai.APIStatusError) as caught:
            stranger.words.responses.create(model=MODEL, input="Go on.", previous_response_id=name)
        messages.append((caught.value.status_code, caught.value.message.replace(name, "NAME")))
    assert messages[:3] == messages[3:]


def test_objects(stranger: Account, owned: Owned) -> None:
    """Names of buckets are everybody's, as on S3: that one is taken is all that can be told of it. Not what is in it."""
    s3 = stranger.s3
    for call, more in (
        (s3.get_object, {}),
        (s3.head_object, {}),
        (s3.delete_object, {}),
        (s3.put_object, {"Body": b""}),
        (s3.list_parts, {"UploadId": owned.upload}),
        (s3.abort_multipart_upload, {"UploadId": owned.upload}),
    ):
        answers = {
            told(call, {"Bucket": "plans", "Key": key, **more}, key) for key in ("in/records.jsonl", "half", "no")
        }
        assert {answer[0] for answer in answers} == {403}, call.__name__
        assert len(answers) == 1, call.__name__
    assert told(s3.list_objects_v2, {"Bucket": "plans"})[0] == 403
    records = {"s3InputDataConfig": {"s3Uri": "s3://plans/in/"}}
    assert owned.arns
    job = stranger.bedrock.create_model_invocation_job(
        jobName="theirs",
        roleArn="arn:aws:iam::123456789012:role/Elsewhere",
        modelId=MODEL,
        inputDataConfig=records,
        outputDataConfig={"s3OutputDataConfig": {"s3Uri": "s3://plans/stolen/"}},
    )["jobArn"]
    found = {"status": "Submitted"}
    while found["status"] not in ("Failed", "Completed"):
        found = stranger.bedrock.get_model_invocation_job(jobIdentifier=job)
    assert found["status"] == "Failed"


def test_roles(server: Server, stranger: Account, owner: Account, owned: Owned) -> None:
    """A role that trusts nobody of the other account is as one that is not there; one that does opens what it may."""
    same(stranger.sts.assume_role, owned.arns["role"], owned.arns["role"] + "x", "RoleArn", RoleSessionName="visit")
    guest = outcrop(
        server, "roles", "create", "guest", "--account", "owner", "--trust", "-", "--policy", "AmazonBedrockReadOnly",
        "--json", given=_trusting({"AWS": stranger.id}),
    )["Arn"]  # fmt: skip
    session = stranger.sts.assume_role(RoleArn=guest, RoleSessionName="visit")["Credentials"]
    visiting = boto3.client(
        "bedrock", endpoint_url=server.url, region_name=REGION, aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"], aws_session_token=session["SessionToken"],
    )  # fmt: skip
    listed = visiting.list_inference_profiles(typeEquals="APPLICATION")["inferenceProfileSummaries"]
    assert [profile["inferenceProfileArn"] for profile in listed] == [owned.arns["profile"]]
    params = {"inferenceProfileIdentifier": owned.arns["profile"]}
    assert told(visiting.delete_inference_profile, params)[1] == "AccessDeniedException"
    assert owner.bedrock.get_inference_profile(**params)["inferenceProfileName"] == "plan"


def test_at_the_end_it_is_all_there(owner: Account, owned: Owned) -> None:
    """Nothing of what the stranger tried has changed anything."""
    for kind in KINDS:
        assert owner.bedrock.list_tags_for_resource(resourceARN=owned.arns[kind])["tags"] == TAGS
    keys = {found["Key"] for found in owner.s3.list_objects_v2(Bucket="plans")["Contents"]}
    assert "in/records.jsonl" in keys
    assert not any(key.startswith("stolen") for key in keys)
    assert [upload["Key"] for upload in owner.s3.list_multipart_uploads(Bucket="plans")["Uploads"]] == ["half"]
