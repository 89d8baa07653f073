"""Converse, ConverseStream, InvokeModel and its stream through a prompt router."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outcrop.errors import AwsError
from outcrop.inference.operations import converse, converse_stream, count_tokens, invoke_model
from outcrop.inference.operations import invoke_model_with_response_stream as invoke_streamed
from outcrop.models.operations.inference_profiles import create_inference_profile, delete_inference_profile
from outcrop.models.operations.prompt_routers import create_prompt_router, delete_prompt_router
from tests.inference.bench import ABLE, OTHER_ACCOUNT, REGION, Bench, Prepared, says, user
from tests.models.two_models import EASY, HARD, LARGE, SMALL, arn_of, two_models

TOOL: dict[str, Any] = {"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object"}}}}]}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return two_models(tmp_path)


def router(bench: Bench, difference: float = 25, fallback: str = SMALL, other: str | None = None) -> str:
    fallback_arn = fallback if fallback.startswith("arn:") else arn_of(fallback)
    other = other or arn_of(LARGE if fallback == SMALL else SMALL)
    made = create_prompt_router(
        bench.ctx,
        {
            "promptRouterName": f"{len(fallback)} {difference}".replace(".", " "),
            "models": [{"modelArn": fallback_arn}, {"modelArn": other}],
            "fallbackModel": {"modelArn": fallback_arn},
            "routingCriteria": {"responseQualityDifference": difference},
        },
    )
    return made["promptRouterArn"]


def answered(bench: Bench, arn: str, text: str = EASY, **members: Any) -> str:
    """The ARN of the model that answered, which the answer's text confirms."""
    answer = bench.call(converse, modelId=arn, messages=[user(text)], **members)
    invoked = answer["trace"]["promptRouter"]["invokedModelId"]
    said = answer["output"]["message"]["content"][0]["text"]
    assert said == ("large" if "large" in invoked or "profile" in invoked else "small")
    return invoked


def test_hard_prompts_go_to_the_better_model(bench: Bench) -> None:
    arn = router(bench)
    assert answered(bench, arn, EASY) == arn_of(SMALL)
    assert answered(bench, arn, HARD) == arn_of(LARGE)


def test_the_difference_decides(bench: Bench) -> None:
    assert answered(bench, router(bench, 0), EASY) == arn_of(LARGE)
    assert answered(bench, router(bench, 100), HARD) == arn_of(SMALL)


@pytest.mark.parametrize("difference", [0, 5, 50])
def test_a_weaker_model_never_takes_over(bench: Bench, difference: float) -> None:
    arn = router(bench, difference, fallback=LARGE)
    assert {answered(bench, arn, EASY), answered(bench, arn, HARD)} == {arn_of(LARGE)}


def test_models_that_nothing_is_known_of(tmp_path: Path) -> None:
    bench = two_models(tmp_path, quality=None)
    assert answered(bench, router(bench, 5), HARD) == arn_of(SMALL)
    assert answered(bench, router(bench, 0), HARD) == arn_of(LARGE)


def test_the_streams_metadata_says_who_answered(bench: Bench) -> None:
    arn = router(bench)
    for text, model in ((EASY, SMALL), (HARD, LARGE)):
        metadata = bench.stream(converse_stream, modelId=arn, messages=[user(text)])[-1]["metadata"]
        assert metadata["trace"] == {"promptRouter": {"invokedModelId": arn_of(model)}}


def test_without_a_router_there_is_no_trace(bench: Bench) -> None:
    assert "trace" not in bench.call(converse, modelId=SMALL, messages=[user(EASY)])
    assert "trace" not in bench.stream(converse_stream, modelId=SMALL, messages=[user(EASY)])[-1]["metadata"]


def native(text: str, **members: Any) -> bytes:
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": text}]}
    return json.dumps({**body, **members}).encode()


def test_native_bodies(bench: Bench) -> None:
    arn = router(bench)
    for text, said in ((EASY, "small"), (HARD, "large")):
        answer = json.loads(bench.call(invoke_model, modelId=arn, body=native(text))["body"])
        assert answer["content"][0]["text"] == said
        chunks = [
            json.loads(part["chunk"]["bytes"]) for part in bench.stream(invoke_streamed, modelId=arn, body=native(text))
        ]
        assert "".join(chunk.get("delta", {}).get("text", "") for chunk in chunks) == said


def test_what_is_wrong_with_a_body_is_said_by_the_model(bench: Bench) -> None:
    with pytest.raises(AwsError) as caught:
        bench.call(invoke_model, modelId=router(bench), body=b"{")
    assert caught.value.code == "ValidationException"


def test_a_body_goes_to_no_model_of_another_family(tmp_path: Path) -> None:
    from outcrop.models.aliases import put

    bench = two_models(tmp_path)
    put(bench.ctx.database, "meta.llama3-1-8b-instruct-v1:0", LARGE)
    arn = router(bench, 0, other=arn_of("meta.llama3-1-8b-instruct-v1:0"))
    assert json.loads(bench.call(invoke_model, modelId=arn, body=native(HARD))["body"])["content"][0]["text"] == "small"
    answer = bench.call(converse, modelId=arn, messages=[user(HARD)])
    assert answer["output"]["message"]["content"] == [{"text": "large"}]


@pytest.mark.parametrize(
    ("lacking", "members"),
    [
        ({"tools": False}, {"toolConfig": TOOL}),
        ({"context_tokens": 2}, {"messages": [user("Hello there, how are you?")]}),
        ({"system": False}, {"system": [{"text": "Be brief."}]}),
        ({"context_tokens": 100}, {"inferenceConfig": {"maxTokens": 101}}),
    ],
)
def test_a_model_that_lacks_what_is_needed_leaves_it_to_the_other(
    bench: Bench, lacking: dict[str, Any], members: dict[str, Any]
) -> None:
    request = {"messages": [user(EASY)], **members}
    always, never = router(bench, 0), router(bench, 100)
    for model, said in ((SMALL, "large"), (LARGE, "small")):
        other = LARGE if model == SMALL else SMALL
        bench.pool.engines = {
            model: Prepared(says("lacks it"), able=replace(ABLE, **lacking)),
            other: Prepared(says(said)),
        }
        for arn in (always, never):
            answer = bench.call(converse, modelId=arn, **request)
            assert answer["output"]["message"]["content"] == [{"text": said}]
            assert answer["trace"]["promptRouter"]["invokedModelId"] == arn_of(other)


def test_where_both_lack_it_the_fallback_says_so(bench: Bench) -> None:
    able = replace(ABLE, tools=False)
    bench.pool.engines = {SMALL: Prepared(able=able), LARGE: Prepared(able=able)}
    with pytest.raises(AwsError, match="doesn't support tool use"):
        bench.call(converse, modelId=router(bench), messages=[user(EASY)], toolConfig=TOOL)


def test_a_model_that_cannot_be_loaded_leaves_it_to_the_other(bench: Bench) -> None:
    always, never = router(bench, 0), router(bench, 100)
    bench.pool.broken = {SMALL}
    assert answered(bench, never) == arn_of(LARGE)
    bench.pool.broken = {LARGE}
    assert answered(bench, always) == arn_of(SMALL)
    bench.pool.broken = {SMALL, LARGE}
    with pytest.raises(AwsError) as caught:
        answered(bench, always)
    assert caught.value.code == "ServiceUnavailableException"


def test_a_profile_that_was_deleted_leaves_it_to_the_other(bench: Bench) -> None:
    profile = create_inference_profile(
        bench.ctx, {"inferenceProfileName": "team", "modelSource": {"copyFrom": arn_of(LARGE)}}
    )["inferenceProfileArn"]
    arn = router(bench, 0, other=profile)
    assert answered(bench, arn) == profile
    delete_inference_profile(bench.ctx, {"inferenceProfileIdentifier": profile})
    assert answered(bench, arn) == arn_of(SMALL)


def test_routers_of_others_and_deleted_ones_are_no_models(bench: Bench) -> None:
    arn = router(bench)
    own = bench.ctx
    for stranger in (bench.as_caller(OTHER_ACCOUNT), bench.as_caller(region="eu-west-1")):
        bench.ctx = stranger
        with pytest.raises(AwsError, match="model identifier is invalid"):
            bench.call(converse, modelId=arn, messages=[user(EASY)])
        with pytest.raises(AwsError, match="model identifier is invalid"):
            bench.call(invoke_model, modelId=arn, body=native(EASY))
    bench.ctx = own
    delete_prompt_router(bench.ctx, {"promptRouterArn": arn})
    with pytest.raises(AwsError, match="model identifier is invalid"):
        bench.call(converse, modelId=arn, messages=[user(EASY)])


def test_a_default_router_is_a_model_where_the_operator_says_so(bench: Bench) -> None:
    from outcrop.models.aliases import put

    default = f"arn:aws:bedrock:{REGION}:{bench.ctx.account}:default-prompt-router/anthropic.claude:1"
    with pytest.raises(AwsError, match="model identifier is invalid"):
        bench.call(converse, modelId=default, messages=[user(EASY)])
    put(bench.ctx.database, default, LARGE)
    assert bench.call(converse, modelId=default, messages=[user(EASY)])["output"]["message"]["content"] == [
        {"text": "large"}
    ]


def test_tokens_cannot_be_counted_through_a_router(bench: Bench) -> None:
    given = {"converse": {"messages": [user(EASY)]}}
    with pytest.raises(AwsError) as caught:
        bench.call(count_tokens, modelId=router(bench), input=given)
    assert caught.value.code == "ValidationException"
