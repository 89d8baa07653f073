"""Models are imported from S3 and answer by their ARNs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from outcrop.models.specs import house_path
from tests.engines.weights import builders
from tests.live import serve
from tests.model_import.imports import Imports, connect

pytest.importorskip("gguf")

HOUSE = "outcrop.house-nano-v1:0"
QUESTION = [{"role": "user", "content": [{"text": "What is 12 + 30?"}]}]


def answer(imports: Imports, model: str) -> str:
    said = imports.runtime.converse(
        modelId=model, messages=QUESTION, inferenceConfig={"temperature": 0, "maxTokens": 40}
    )
    return str(said["output"]["message"]["content"][0]["text"])


def test_a_gguf_file_answers_as_it_does_elsewhere(imports: Imports) -> None:
    model = imports.model({"house.gguf": house_path().read_bytes(), "README.md": b"a model"})
    assert model["instructSupported"] is True
    assert model["modelArchitecture"] == "llama"
    assert model["customModelUnits"] == {"customModelUnitsPerModelCopy": 1, "customModelUnitsVersion": "v1.0"}
    assert answer(imports, model["modelArn"]) == answer(imports, HOUSE)


def test_a_hugging_face_folder_is_converted_and_completes_prompts(imports: Imports, tmp_path: Path) -> None:
    model = imports.model(builders.folder(tmp_path / "model"))
    assert model["modelArchitecture"] == "LlamaForCausalLM"
    said = imports.complete(model["modelArn"], "once")
    # Weights of zero find every token equally likely.
    assert said["generation_token_count"] == 8 or said["stop_reason"] == "stop"
    kept = imports.server.home / "custom-models" / model["modelArn"].rpartition("/")[2]
    assert (kept / "model.safetensors").exists()
    assert (kept / "model.gguf").exists()


def test_a_folder_without_a_template_has_no_chat(imports: Imports, tmp_path: Path) -> None:
    folder = builders.folder(tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert imports.model(folder)["instructSupported"] is False


def test_lists_tags_and_deletion(imports: Imports) -> None:
    body = {"house.gguf": house_path().read_bytes()}
    uri = imports.put(body)
    arn = imports.create(
        uri,
        jobName="told-apart-job",
        importedModelName="told-apart",
        jobTags=[{"key": "of", "value": "job"}],
        importedModelTags=[{"key": "of", "value": "model"}],
    )
    job = imports.ended(arn)
    assert job["roleArn"].endswith("ImportOfAnotherServer")
    assert job["modelDataSource"] == {"s3DataSource": {"s3Uri": uri}}
    assert imports.get("told-apart-job")["jobArn"] == arn
    model = job["importedModelArn"]
    assert imports.bedrock.get_imported_model(modelIdentifier="told-apart")["modelArn"] == model
    listed = imports.bedrock.list_model_import_jobs(nameContains="told-apart")["modelImportJobSummaries"]
    assert [one["importedModelArn"] for one in listed] == [model]
    assert (
        imports.bedrock.list_model_import_jobs(nameContains="told-apart", statusEquals="Failed")[
            "modelImportJobSummaries"
        ]
        == []
    )
    models = imports.bedrock.list_imported_models(nameContains="told-apart")["modelSummaries"]
    assert [one["modelArn"] for one in models] == [model]
    for resource, of in ((arn, "job"), (model, "model")):
        assert imports.bedrock.list_tags_for_resource(resourceARN=resource)["tags"] == [{"key": "of", "value": of}]

    answer(imports, model)
    kept = imports.server.home / "custom-models" / model.rpartition("/")[2]
    assert kept.exists()
    imports.bedrock.delete_imported_model(modelIdentifier="told-apart")
    assert not kept.exists()
    for call in (
        lambda: imports.bedrock.get_imported_model(modelIdentifier=model),
        lambda: imports.bedrock.delete_imported_model(modelIdentifier=model),
        lambda: answer(imports, model),
    ):
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] in ("ResourceNotFoundException", "ValidationException")


def test_pages(imports: Imports) -> None:
    body = {"house.gguf": house_path().read_bytes()}
    uri = imports.put(body)
    arns = {
        imports.ended(imports.create(uri, jobName=f"paged-{i}", importedModelName=f"paged-{i}"))["importedModelArn"]
        for i in range(3)
    }
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = imports.bedrock.list_imported_models(nameContains="paged-", maxResults=2, sortOrder="Ascending", **token)
        found += [one["modelArn"] for one in page["modelSummaries"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert set(found) == arns
    assert len(found) == 3


def test_names_and_tokens(imports: Imports) -> None:
    uri = imports.put({"house.gguf": house_path().read_bytes()})
    request = imports.request(uri) | {"clientRequestToken": "once-only"}
    first = imports.bedrock.create_model_import_job(**request)["jobArn"]
    assert imports.bedrock.create_model_import_job(**request)["jobArn"] == first
    imports.ended(first)
    assert imports.bedrock.create_model_import_job(**request)["jobArn"] == first
    conflicts = [
        request | {"importedModelName": "another"},
        imports.request(uri) | {"jobName": request["jobName"]},
        imports.request(uri) | {"importedModelName": request["importedModelName"]},
    ]
    for conflict in conflicts:
        with pytest.raises(ClientError) as refused:
            imports.bedrock.create_model_import_job(**conflict)
        assert refused.value.response["Error"]["Code"] == "ConflictException"


def test_what_is_not_built_is_refused(imports: Imports) -> None:
    for more in (
        {"importedModelKmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"},
        {"vpcConfig": {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]}},
    ):
        with pytest.raises(ClientError) as refused:
            imports.create("s3://nowhere/at/all", **more)
        assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_another_account_sees_nothing_of_it(imports: Imports) -> None:
    body = {"house.gguf": house_path().read_bytes()}
    uri = imports.put(body)
    arn = imports.create(uri, importedModelName="private")
    model = imports.ended(arn)["importedModelArn"]
    other = another_account(imports)
    assert other.bedrock.list_imported_models()["modelSummaries"] == []
    assert other.bedrock.list_model_import_jobs()["modelImportJobSummaries"] == []
    refusals = set()
    for name in ("private", "nobodys"):
        with pytest.raises(ClientError) as refused:
            other.bedrock.get_imported_model(modelIdentifier=name)
        refusals.add(str(refused.value).replace("private", "X").replace("nobodys", "X"))
    assert len(refusals) == 1
    # Nobody's model and somebody else's are refused alike.
    for name in (model, model[:-12] + "0" * 12):
        with pytest.raises(ClientError) as refused:
            answer(other, name)
        assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    job = other.ended(other.create(uri))
    assert job["status"] == "Failed"
    assert "s3:ListBucket" in job["failureMessage"] or "Access Denied" in job["failureMessage"]
    # Its names are its own.
    assert other.ended(other.create(other.put(body), importedModelName="private"))["status"] == "Completed"


def test_a_server_that_is_killed_goes_on_with_the_import(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serve(home) as running:
        imports = connect(running)
        arn = imports.create(imports.put({"house.gguf": house_path().read_bytes()}))
        os.killpg(running.process.pid, signal.SIGKILL)
    with serve(home) as running:
        again = connect(running)
        assert again.ended(arn, 90)["status"] == "Completed"
        assert answer(again, again.get(arn)["importedModelArn"])
        assert len(list((home / "custom-models").iterdir())) == 1


def another_account(imports: Imports) -> Imports:
    made = subprocess.run(
        [sys.executable, "-m", "outcrop", "accounts", "create", f"other-{os.getpid()}", "--json"],
        env=dict(imports.server.environment),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    told = json.loads(made)
    return connect(imports.server, aws_access_key_id=told["AccessKeyId"], aws_secret_access_key=told["SecretAccessKey"])
