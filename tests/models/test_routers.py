"""CreatePromptRouter, GetPromptRouter, ListPromptRouters, DeletePromptRouter, and their tags."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from outcrop.context import Context
from outcrop.errors import AwsError
from outcrop.models.operations import prompt_routers
from outcrop.models.operations.inference_profiles import create_inference_profile
from outcrop.models.operations.prompt_routers import (
    create_prompt_router,
    delete_prompt_router,
    get_prompt_router,
    list_prompt_routers,
)
from outcrop.tags.operations import list_tags_for_resource, tag_resource, untag_resource
from tests.inference.bench import ABLE, ACCOUNT, NOW, OTHER_ACCOUNT, REGION, Bench, Prepared
from tests.models.two_models import LARGE, SMALL, arn_of, two_models

MODELS = [{"modelArn": arn_of(SMALL)}, {"modelArn": arn_of(LARGE)}]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return two_models(tmp_path)


def request(**changes: Any) -> Any:
    return {
        "promptRouterName": "router",
        "models": MODELS,
        "fallbackModel": MODELS[0],
        "routingCriteria": {"responseQualityDifference": 10},
        **changes,
    }


def created(ctx: Context, **changes: Any) -> str:
    return create_prompt_router(ctx, request(**changes))["promptRouterArn"]


def listed(ctx: Context, **members: Any) -> list[str]:
    answer = list_prompt_routers(ctx, members)  # type: ignore[arg-type]  # from keywords
    return [router["promptRouterArn"] for router in answer["promptRouterSummaries"]]


def refused(operation: Any, *arguments: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        operation(*arguments)
    return caught.value


def test_create_get_list(bench: Bench) -> None:
    arn = created(bench.ctx, description="two models", routingCriteria={"responseQualityDifference": 12.5})
    assert arn.startswith(f"arn:aws:bedrock:{REGION}:{ACCOUNT}:prompt-router/")
    expected = {
        "promptRouterName": "router",
        "description": "two models",
        "routingCriteria": {"responseQualityDifference": 12.5},
        "createdAt": NOW,
        "updatedAt": NOW,
        "promptRouterArn": arn,
        "models": MODELS,
        "fallbackModel": MODELS[0],
        "status": "AVAILABLE",
        "type": "custom",
    }
    assert get_prompt_router(bench.ctx, {"promptRouterArn": arn}) == expected
    for filters in ({}, {"type": "custom"}):
        assert list_prompt_routers(bench.ctx, filters) == {"promptRouterSummaries": [expected]}  # type: ignore[arg-type]  # literal
    assert "description" not in get_prompt_router(
        bench.ctx, {"promptRouterArn": created(bench.ctx, promptRouterName="b")}
    )


def test_there_are_no_default_routers(bench: Bench) -> None:
    created(bench.ctx)
    assert list_prompt_routers(bench.ctx, {"type": "default"}) == {"promptRouterSummaries": []}
    default = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:default-prompt-router/anthropic.claude:1"
    assert refused(get_prompt_router, bench.ctx, {"promptRouterArn": default}).code == "ResourceNotFoundException"


def test_the_fallback_may_stand_outside_of_the_models(bench: Bench) -> None:
    arn = created(bench.ctx, models=MODELS[1:])
    found = get_prompt_router(bench.ctx, {"promptRouterArn": arn})
    assert (found["models"], found["fallbackModel"]) == (MODELS[1:], MODELS[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": []}, "At least one model"),
        ({"models": MODELS[:1]}, "exactly two models"),
        ({"models": [*MODELS, {"modelArn": arn_of("test.third")}]}, "exactly two models"),
        ({"fallbackModel": {"modelArn": arn_of("test.third")}}, "exactly two models"),
        ({"models": [MODELS[0], MODELS[0]]}, "must differ"),
        ({"models": [MODELS[0], {"modelArn": arn_of("test.nobody")}]}, "model identifier is invalid"),
        (
            {"models": [MODELS[0], {"modelArn": arn_of(LARGE).replace(REGION, "eu-west-1")}]},
            "model identifier is invalid",
        ),
        ({"tags": [{"key": "aws:a", "value": ""}]}, "aws: prefixed"),
    ],
)
def test_what_cannot_be_a_router(bench: Bench, changes: dict[str, Any], message: str) -> None:
    problem = refused(create_prompt_router, bench.ctx, request(**changes))
    assert problem.code == "ValidationException"
    assert message in problem.message
    assert listed(bench.ctx) == []


def test_a_model_that_does_not_chat_is_refused(bench: Bench) -> None:
    able = type(ABLE)(context_tokens=512, chat=False, embeddings=True)
    bench.pool.engines = {**bench.pool.engines, LARGE: Prepared(able=able)}
    assert "not supported for prompt routing" in refused(create_prompt_router, bench.ctx, request()).message


def test_inference_profiles_as_models(bench: Bench) -> None:
    own = create_inference_profile(
        bench.ctx, {"inferenceProfileName": "team", "modelSource": {"copyFrom": arn_of(LARGE)}}
    )["inferenceProfileArn"]
    system = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/us.{SMALL}"
    models = [{"modelArn": own}, {"modelArn": system}]
    arn = created(bench.ctx, models=models, fallbackModel=models[1])
    assert get_prompt_router(bench.ctx, {"promptRouterArn": arn})["models"] == models
    bench.ctx = bench.as_caller(OTHER_ACCOUNT)
    assert refused(create_prompt_router, bench.ctx, request(models=models, fallbackModel=models[1])).code == (
        "ValidationException"
    )


def test_a_name_is_taken_once_an_account_and_region(bench: Bench) -> None:
    arn = created(bench.ctx)
    problem = refused(create_prompt_router, bench.ctx, request())
    assert (problem.code, problem.message) == (
        "ConflictException",
        "A prompt router with the name router already exists.",
    )
    assert created(bench.as_caller(OTHER_ACCOUNT)) != arn
    delete_prompt_router(bench.ctx, {"promptRouterArn": arn})
    assert created(bench.ctx) != arn


def test_of_many_that_ask_at_once_one_gets_the_name(bench: Bench) -> None:
    def attempt(_: int) -> str:
        try:
            created(bench.ctx)
        except AwsError as problem:
            return problem.code
        return "created"

    with ThreadPoolExecutor(8) as threads:
        found = sorted(threads.map(attempt, range(8)))
    assert found == ["ConflictException"] * 7 + ["created"]


def test_a_token_makes_one_router(bench: Bench) -> None:
    arn = created(bench.ctx, clientRequestToken="t1")
    assert created(bench.ctx, clientRequestToken="t1") == arn
    assert listed(bench.ctx) == [arn]
    problem = refused(create_prompt_router, bench.ctx, request(clientRequestToken="t1", promptRouterName="other"))
    assert problem.code == "ConflictException"
    assert "clientRequestToken" in problem.message
    assert created(bench.as_caller(OTHER_ACCOUNT), clientRequestToken="t1") != arn


def test_the_quota(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_routers, "MOST", 2)
    for name in ("a", "b"):
        created(bench.ctx, promptRouterName=name)
    assert refused(create_prompt_router, bench.ctx, request()).code == "ServiceQuotaExceededException"
    created(bench.as_caller(OTHER_ACCOUNT))


def test_pages(bench: Bench) -> None:
    mine = [created(bench.ctx, promptRouterName=str(n)) for n in range(5)]
    found: list[str] = []
    token: str | None = None
    sizes = []
    while True:
        asked: Any = {"maxResults": 2, "type": "custom", **({"nextToken": token} if token else {})}
        answer = list_prompt_routers(bench.ctx, asked)
        sizes.append(len(answer["promptRouterSummaries"]))
        assert len(sizes) <= 3
        found += [router["promptRouterArn"] for router in answer["promptRouterSummaries"]]
        if (token := answer.get("nextToken")) is None:
            break
        for wrong in ({"nextToken": token}, {"nextToken": token + "x", "type": "custom"}):
            assert refused(list_prompt_routers, bench.ctx, wrong).code == "ValidationException"
    assert sizes == [2, 2, 1]
    assert sorted(found) == sorted(mine)


def test_tags_come_and_go_with_the_router(bench: Bench) -> None:
    arn = created(bench.ctx, tags=[{"key": "a", "value": "1"}])
    tag_resource(bench.ctx, {"resourceARN": arn, "tags": [{"key": "b", "value": "2"}]})
    untag_resource(bench.ctx, {"resourceARN": arn, "tagKeys": ["a"]})
    assert list_tags_for_resource(bench.ctx, {"resourceARN": arn}) == {"tags": [{"key": "b", "value": "2"}]}
    assert delete_prompt_router(bench.ctx, {"promptRouterArn": arn}) == {}
    assert bench.ctx.database.query("SELECT * FROM tags") == []
    assert refused(delete_prompt_router, bench.ctx, {"promptRouterArn": arn}).code == "ResourceNotFoundException"
    assert refused(list_tags_for_resource, bench.ctx, {"resourceARN": arn}).code == "ResourceNotFoundException"


def test_another_account_or_region_sees_nothing(bench: Bench) -> None:
    arn = created(bench.ctx)
    for stranger in (bench.as_caller(OTHER_ACCOUNT), bench.as_caller(region="eu-west-1")):
        assert listed(stranger) == []
        # Neither by the ARN as it is, nor with the stranger's own account and region in it.
        for text in (arn, arn.replace(ACCOUNT, stranger.account).replace(REGION, stranger.region)):
            for operation in (get_prompt_router, delete_prompt_router):
                assert refused(operation, stranger, {"promptRouterArn": text}).code == "ResourceNotFoundException"
            assert refused(list_tags_for_resource, stranger, {"resourceARN": text}).code == "ResourceNotFoundException"
    assert listed(bench.ctx) == [arn]


def test_an_arn_is_taken_at_its_word(bench: Bench) -> None:
    arn = created(bench.ctx)
    for wrong in (arn.replace(ACCOUNT, OTHER_ACCOUNT), arn.replace(REGION, "eu-west-1")):
        assert refused(get_prompt_router, bench.ctx, {"promptRouterArn": wrong}).code == "ResourceNotFoundException"
