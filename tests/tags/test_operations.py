"""TagResource, UntagResource, ListTagsForResource."""

from __future__ import annotations

import pytest

from outcrop.errors import AwsError
from outcrop.models.operations.inference_profiles import create_inference_profile
from outcrop.tags.operations import list_tags_for_resource, tag_resource, untag_resource
from tests.inference.bench import ACCOUNT, MODEL, OTHER_ACCOUNT, REGION, Bench

SOURCE = f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"


@pytest.fixture
def arn(bench: Bench) -> str:
    made = create_inference_profile(bench.ctx, {"inferenceProfileName": "team", "modelSource": {"copyFrom": SOURCE}})
    return made["inferenceProfileArn"]


def tag(bench: Bench, arn: str, **tags: str) -> None:
    given = [{"key": key, "value": value} for key, value in tags.items()]
    assert tag_resource(bench.ctx, {"resourceARN": arn, "tags": given}) == {}  # type: ignore[typeddict-item]  # built from keywords


def of(bench: Bench, arn: str) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in list_tags_for_resource(bench.ctx, {"resourceARN": arn})["tags"]}


def test_tag_overwrite_untag(bench: Bench, arn: str) -> None:
    assert of(bench, arn) == {}
    tag(bench, arn, a="1", b="2")
    tag(bench, arn, b="3", c="")
    assert of(bench, arn) == {"a": "1", "b": "3", "c": ""}
    assert untag_resource(bench.ctx, {"resourceARN": arn, "tagKeys": ["a", "nowhere"]}) == {}
    assert of(bench, arn) == {"b": "3", "c": ""}


def test_fifty_in_all(bench: Bench, arn: str) -> None:
    tag(bench, arn, **{f"k{n}": "" for n in range(49)})
    with pytest.raises(AwsError, match="no more than 50") as caught:
        tag(bench, arn, x="", y="")
    assert (caught.value.code, caught.value.members) == ("TooManyTagsException", {"resourceName": arn})
    assert len(of(bench, arn)) == 49
    tag(bench, arn, x="", k0="new")
    assert len(of(bench, arn)) == 50


@pytest.mark.parametrize("key", ["aws:x", "AWS:x", "Aws:"])
def test_awss_own_prefix(bench: Bench, arn: str, key: str) -> None:
    with pytest.raises(AwsError, match="aws: prefixed") as caught:
        tag(bench, arn, **{key: ""})
    assert caught.value.code == "ValidationException"
    with pytest.raises(AwsError, match="aws: prefixed"):
        untag_resource(bench.ctx, {"resourceARN": arn, "tagKeys": [key]})
    assert of(bench, arn) == {}


def test_a_key_given_twice(bench: Bench, arn: str) -> None:
    twice = [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]
    with pytest.raises(AwsError, match="more than once"):
        tag_resource(bench.ctx, {"resourceARN": arn, "tags": twice})  # type: ignore[typeddict-item]  # plain dicts
    assert of(bench, arn) == {}


def unknown(bench: Bench, arn: str) -> None:
    with pytest.raises(AwsError) as caught:
        tag(bench, arn, a="1")
    assert caught.value.code == "ResourceNotFoundException"
    with pytest.raises(AwsError, match="could not be found"):
        of(bench, arn)
    with pytest.raises(AwsError, match="could not be found"):
        untag_resource(bench.ctx, {"resourceARN": arn, "tagKeys": ["a"]})


@pytest.mark.parametrize(
    "arn",
    [
        "nonsense", SOURCE, f"arn:aws:bedrock:{REGION}:{ACCOUNT}:application-inference-profile/abcdef012345",
        f"arn:aws:bedrock:{REGION}:{ACCOUNT}:guardrail/abcdef012345",
    ],
)  # fmt: skip
def test_what_is_not_there(bench: Bench, arn: str) -> None:
    unknown(bench, arn)


def test_another_account_or_region_sees_nothing(bench: Bench, arn: str) -> None:
    for stranger in (bench.as_caller(OTHER_ACCOUNT), bench.as_caller(region="eu-west-1")):
        bench.ctx, own = stranger, bench.ctx
        unknown(bench, arn)
        bench.ctx = own
    assert of(bench, arn) == {}
