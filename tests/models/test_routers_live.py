"""Prompt routers as an unmodified boto3 application uses them, against a real server with two scripted models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.live import Server, serve
from tests.models.two_models import EASY, HARD, LARGE, SMALL


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("routers")
    settings = "house_model = false\n"
    for model, quality in ((SMALL, 0.2), (LARGE, 0.9)):
        script = folder / f"{quality}.json"
        script.write_text(json.dumps({"rules": [{"text": f"I am {model}."}]}))
        settings += f'[[models]]\nid = "{model}"\nengine = "scripted"\nquality = {quality}\nscript = "{script}"\n'
    with serve(folder / "home", settings=settings) as running:
        yield running


def client(server: Server, service: str) -> Any:
    environment = server.environment
    return boto3.client(
        service,
        endpoint_url=server.url,
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def arns(server: Server) -> list[dict[str, str]]:
    region = server.environment["AWS_REGION"]
    return [{"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{model}"} for model in (SMALL, LARGE)]


@pytest.fixture
def router(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    bedrock = client(server, "bedrock")
    models = arns(server)
    made = bedrock.create_prompt_router(
        promptRouterName=request.node.name.replace("[", " ").replace("]", ""),
        models=models,
        fallbackModel=models[0],
        routingCriteria={"responseQualityDifference": 25},
        tags=[{"key": "team", "value": "a"}],
    )
    yield made["promptRouterArn"]
    bedrock.delete_prompt_router(promptRouterArn=made["promptRouterArn"])


def messages(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": text}]}]


def test_the_life_of_a_router(server: Server) -> None:
    bedrock = client(server, "bedrock")
    models = arns(server)
    wanted: dict[str, Any] = {
        "promptRouterName": "Life of one-router",
        "models": models,
        "fallbackModel": models[0],
        "routingCriteria": {"responseQualityDifference": 25.0},
        "description": "Small first: large where it pays.",
    }
    arn = bedrock.create_prompt_router(**wanted)["promptRouterArn"]
    found = bedrock.get_prompt_router(promptRouterArn=arn)
    assert {name: found[name] for name in wanted} == wanted
    assert (found["status"], found["type"]) == ("AVAILABLE", "custom")
    assert found["createdAt"].tzinfo is not None
    pages = list(bedrock.get_paginator("list_prompt_routers").paginate(type="custom"))
    assert arn in [summary["promptRouterArn"] for page in pages for summary in page["promptRouterSummaries"]]
    assert bedrock.list_prompt_routers(type="default")["promptRouterSummaries"] == []
    bedrock.tag_resource(resourceARN=arn, tags=[{"key": "a", "value": "1"}])
    assert bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == [{"key": "a", "value": "1"}]
    with pytest.raises(bedrock.exceptions.ConflictException):
        bedrock.create_prompt_router(**wanted)
    bedrock.delete_prompt_router(promptRouterArn=arn)
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
        bedrock.get_prompt_router(promptRouterArn=arn)


@pytest.mark.parametrize(("text", "model"), [(EASY, SMALL), (HARD, LARGE)], ids=["easy", "hard"])
def test_all_four_ways_to_ask(server: Server, router: str, text: str, model: str) -> None:
    runtime = client(server, "bedrock-runtime")
    trace = {"promptRouter": {"invokedModelId": f"arn:aws:bedrock:{router.split(':')[3]}::foundation-model/{model}"}}
    answer = runtime.converse(modelId=router, messages=messages(text))
    assert answer["output"]["message"]["content"] == [{"text": f"I am {model}."}]
    assert answer["trace"] == trace

    events = list(runtime.converse_stream(modelId=router, messages=messages(text))["stream"])
    deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    assert "".join(deltas) == f"I am {model}."
    assert events[-1]["metadata"]["trace"] == trace

    body = json.dumps(
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": messages_of_claude(text)}
    )
    answer = json.loads(runtime.invoke_model(modelId=router, body=body)["body"].read())
    assert answer["content"] == [{"type": "text", "text": f"I am {model}."}]
    parts = runtime.invoke_model_with_response_stream(modelId=router, body=body)["body"]
    chunks = [json.loads(part["chunk"]["bytes"]) for part in parts]
    assert "".join(chunk.get("delta", {}).get("text", "") for chunk in chunks) == f"I am {model}."


def messages_of_claude(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize(
    "changes",
    [
        {"routingCriteria": {"responseQualityDifference": 101.0}},
        {"promptRouterName": "no/slash"},
        {"models": [{"modelArn": "a.b"}]},
    ],
)
def test_what_the_wire_refuses(server: Server, changes: dict[str, Any]) -> None:
    models = arns(server)
    good: dict[str, Any] = {
        "promptRouterName": "refused",
        "models": models,
        "fallbackModel": models[0],
        "routingCriteria": {"responseQualityDifference": 10.0},
    }
    with pytest.raises(ClientError) as caught:
        client(server, "bedrock").create_prompt_router(**{**good, **changes})
    assert caught.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize("name", ["nonsense", "arn:aws:bedrock:us-east-1:111122223333:guardrail/abcdef012345"])
def test_what_is_no_arn_of_a_router(server: Server, name: str) -> None:
    with pytest.raises(ClientError) as caught:
        client(server, "bedrock").get_prompt_router(promptRouterArn=name)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_quality_is_a_share(tmp_path: Path) -> None:
    from outcrop.models.catalogue import check_settings
    from outcrop.settings import ModelSpec, Settings, SettingsError

    for quality in (-0.1, 1.1, float("nan")):
        with pytest.raises(SettingsError, match="must be from 0 to 1"):
            check_settings(
                Settings(house_model=False, models=(ModelSpec(id="a.b", engine="scripted", quality=quality),))
            )
