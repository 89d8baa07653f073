"""CreateInferenceProfile, GetInferenceProfile, ListInferenceProfiles, DeleteInferenceProfile."""

from __future__ import annotations

from typing import Any

import pytest

from outcrop.context import Context
from outcrop.errors import AwsError
from outcrop.models.operations.inference_profiles import (
    create_inference_profile,
    delete_inference_profile,
    get_inference_profile,
    list_inference_profiles,
)
from outcrop.tags.operations import list_tags_for_resource
from tests.inference.bench import ACCOUNT, MODEL, NOW, OTHER_ACCOUNT, REGION, Bench

SOURCE = f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"
SYSTEM = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/us.{MODEL}"


def created(ctx: Context, name: str = "team", **members: Any) -> str:
    request: Any = {"inferenceProfileName": name, "modelSource": {"copyFrom": SOURCE}, **members}
    return create_inference_profile(ctx, request)["inferenceProfileArn"]


def listed(ctx: Context, **members: Any) -> list[str]:
    request: Any = members
    return [p["inferenceProfileArn"] for p in list_inference_profiles(ctx, request)["inferenceProfileSummaries"]]


def refused(call: Any, *arguments: Any) -> AwsError:
    with pytest.raises(AwsError) as caught:
        call(*arguments)
    return caught.value


@pytest.mark.parametrize("source", [SOURCE, SYSTEM])
def test_create_and_get(bench: Bench, source: str) -> None:
    arn = created(bench.ctx, modelSource={"copyFrom": source}, description="d")
    for identifier in (arn, arn.rpartition("/")[2]):
        assert get_inference_profile(bench.ctx, {"inferenceProfileIdentifier": identifier}) == {
            "inferenceProfileName": "team",
            "description": "d",
            "createdAt": NOW,
            "updatedAt": NOW,
            "inferenceProfileArn": arn,
            "models": [{"modelArn": SOURCE}],
            "inferenceProfileId": arn.rpartition("/")[2],
            "status": "ACTIVE",
            "type": "APPLICATION",
        }


def test_system_defined_profiles(bench: Bench) -> None:
    assert listed(bench.ctx, typeEquals="SYSTEM_DEFINED") == [SYSTEM.replace("/us.", "/global."), SYSTEM]
    for identifier in (f"us.{MODEL}", SYSTEM):
        found = get_inference_profile(bench.ctx, {"inferenceProfileIdentifier": identifier})
        assert (found["inferenceProfileArn"], found["models"]) == (SYSTEM, [{"modelArn": SOURCE}])
    for identifier in (MODEL, "us.nobody.nothing", SYSTEM.replace(ACCOUNT, OTHER_ACCOUNT)):
        problem = refused(get_inference_profile, bench.ctx, {"inferenceProfileIdentifier": identifier})
        assert problem.code == "ResourceNotFoundException"
    problem = refused(delete_inference_profile, bench.ctx, {"inferenceProfileIdentifier": SYSTEM})
    assert problem.code == "ValidationException"


@pytest.mark.parametrize("source", ["", MODEL, SOURCE.replace(MODEL, "a.b"), SOURCE.replace(REGION, "eu-west-1")])
def test_sources_that_cannot_be(bench: Bench, source: str) -> None:
    with pytest.raises(AwsError) as caught:
        created(bench.ctx, modelSource={"copyFrom": source})
    assert caught.value.code == "ValidationException"
    assert listed(bench.ctx, typeEquals="APPLICATION") == []


def test_a_profile_is_no_source(bench: Bench) -> None:
    arn = created(bench.ctx)
    with pytest.raises(AwsError, match=r"modelSource\.copyFrom"):
        created(bench.ctx, modelSource={"copyFrom": arn})


def test_a_token_makes_one_profile(bench: Bench) -> None:
    arn = created(bench.ctx, clientRequestToken="t1")
    assert created(bench.ctx, clientRequestToken="t1") == arn
    assert listed(bench.ctx, typeEquals="APPLICATION") == [arn]
    with pytest.raises(AwsError, match="clientRequestToken") as caught:
        created(bench.ctx, "other", clientRequestToken="t1")
    assert caught.value.code == "ConflictException"
    assert created(bench.ctx, clientRequestToken="t2") != arn
    assert created(bench.as_caller(OTHER_ACCOUNT), clientRequestToken="t1") != arn
    assert created(bench.ctx) != created(bench.ctx)


def test_tags_come_and_go_with_the_profile(bench: Bench) -> None:
    tags = [{"key": "a", "value": "1"}]
    arn = created(bench.ctx, tags=tags)
    assert list_tags_for_resource(bench.ctx, {"resourceARN": arn}) == {"tags": tags}
    assert delete_inference_profile(bench.ctx, {"inferenceProfileIdentifier": arn}) == {}
    assert bench.ctx.database.query("SELECT * FROM tags") == []
    problem = refused(delete_inference_profile, bench.ctx, {"inferenceProfileIdentifier": arn})
    assert problem.code == "ResourceNotFoundException"


def test_bad_tags_make_no_profile(bench: Bench) -> None:
    with pytest.raises(AwsError, match="aws: prefixed"):
        created(bench.ctx, tags=[{"key": "aws:a", "value": ""}])
    assert listed(bench.ctx, typeEquals="APPLICATION") == []


def test_pages(bench: Bench) -> None:
    mine = {created(bench.ctx, str(n)) for n in range(5)}
    found: list[str] = []
    token: str | None = None
    sizes = []
    while True:
        request: Any = {"maxResults": 2, "typeEquals": "APPLICATION", **({"nextToken": token} if token else {})}
        answer = list_inference_profiles(bench.ctx, request)
        sizes.append(len(answer["inferenceProfileSummaries"]))
        found += [p["inferenceProfileArn"] for p in answer["inferenceProfileSummaries"]]
        if (token := answer.get("nextToken")) is None:
            break
        for wrong in ({"nextToken": token}, {"nextToken": token + "x", "typeEquals": "APPLICATION"}):
            assert refused(list_inference_profiles, bench.ctx, wrong).code == "ValidationException"
    assert sizes == [2, 2, 1]
    assert len(found) == 5
    assert set(found) == mine


def test_another_account_or_region_sees_nothing(bench: Bench) -> None:
    arn = created(bench.ctx)
    for stranger in (bench.as_caller(OTHER_ACCOUNT), bench.as_caller(region="eu-west-1")):
        assert listed(stranger, typeEquals="APPLICATION") == []
        for identifier in (arn, arn.rpartition("/")[2]):
            for operation in (get_inference_profile, delete_inference_profile):
                problem = refused(operation, stranger, {"inferenceProfileIdentifier": identifier})
                assert problem.code == "ResourceNotFoundException"
    assert listed(bench.ctx, typeEquals="APPLICATION") == [arn]
