"""Every kind of resource takes tags, at its creation and later, by the same rules; and nobody else sees any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from outcrop.app import handlers
from outcrop.context import Context
from outcrop.errors import AwsError
from outcrop.identity import arns
from outcrop.tags.kinds import TAGGABLE
from outcrop.tags.operations import list_tags_for_resource, tag_resource, untag_resource
from tests.inference.bench import OTHER_ACCOUNT, Bench
from tests.tags.kinds import KINDS, Kind, everything


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return everything(tmp_path)


TAGGED = [kind for kind in KINDS if kind.taggable]
each = pytest.mark.parametrize("kind", TAGGED, ids=lambda kind: kind.name)


def numbered(count: int) -> list[dict[str, str]]:
    return [{"key": f"k{n:02}", "value": str(n)} for n in range(count)]


def of(ctx: Context, arn: str) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in list_tags_for_resource(ctx, {"resourceARN": arn})["tags"]}


def code(call: object, *arguments: object) -> str:
    assert callable(call)
    with pytest.raises(AwsError) as caught:
        call(*arguments)
    return caught.value.code


def rows(bench: Bench) -> int:
    return len(bench.ctx.database.query("SELECT key FROM tags"))


def test_every_kind_that_can_be_tagged_is_in_the_table() -> None:
    handlers()
    assert sorted(TAGGABLE) == sorted(kind.name for kind in TAGGED)
    assert set(TAGGABLE) <= set(arns.FORMS)


@each
def test_tags_of_its_creation_and_later_ones(bench: Bench, kind: Kind) -> None:
    arn = kind.make(bench.ctx, "one", [{"key": "team", "value": "a"}, {"key": "empty", "value": ""}])
    plain = kind.make(bench.ctx, "two", [])
    assert arns.recognize(arns.parse(arn))[0] == kind.name  # type: ignore[index]  # None would fail as well
    assert (of(bench.ctx, arn), of(bench.ctx, plain)) == ({"team": "a", "empty": ""}, {})
    tag_resource(
        bench.ctx, {"resourceARN": arn, "tags": [{"key": "team", "value": "b"}, {"key": "more", "value": "c"}]}
    )
    untag_resource(bench.ctx, {"resourceARN": arn, "tagKeys": ["empty", "never"]})
    assert (of(bench.ctx, arn), of(bench.ctx, plain)) == ({"team": "b", "more": "c"}, {})


@each
def test_what_may_not_be_a_tag_makes_nothing(bench: Bench, kind: Kind) -> None:
    for wrong, expected in (
        (numbered(51), "TooManyTagsException"),
        ([{"key": "aws:mine", "value": ""}], "ValidationException"),
        ([{"key": "twice", "value": "1"}, {"key": "twice", "value": "2"}], "ValidationException"),
    ):
        assert code(kind.make, bench.ctx, "refused", wrong) == expected
    assert rows(bench) == 0
    key = next(key for key in handlers()[kind.lists](bench.ctx, {}) if key != "nextToken")
    assert not any("refused" in str(found) for found in handlers()[kind.lists](bench.ctx, {})[key])
    assert bench.ctx.objects.list("s3://ours/").objects == ()


@each
def test_fifty_and_no_more(bench: Bench, kind: Kind) -> None:
    arn = kind.make(bench.ctx, "full", numbered(50))
    one_more = {"resourceARN": arn, "tags": [{"key": "more", "value": ""}]}
    assert code(tag_resource, bench.ctx, one_more) == "TooManyTagsException"
    assert code(tag_resource, bench.ctx, {**one_more, "tags": numbered(51)}) == "TooManyTagsException"
    assert code(untag_resource, bench.ctx, {"resourceARN": arn, "tagKeys": ["aws:x"]}) == "ValidationException"
    untag_resource(bench.ctx, {"resourceARN": arn, "tagKeys": ["k00"]})
    tag_resource(bench.ctx, one_more)  # type: ignore[arg-type]  # built above
    assert len(of(bench.ctx, arn)) == 50


@each
def test_what_is_not_there_and_what_is_not_ones_own_are_one(bench: Bench, kind: Kind) -> None:
    arn = kind.make(bench.ctx, "own", [{"key": "secret", "value": "1"}])
    parsed = arns.parse(arn)
    nowhere = str(replace(parsed, resource=parsed.resource[:-12] + "zzzzzzzzzzzz"))
    claimed = str(replace(parsed, account=OTHER_ACCOUNT))
    elsewhere = str(replace(parsed, region="eu-west-1"))
    service = str(replace(parsed, service="sagemaker"))
    other, abroad = bench.as_caller(OTHER_ACCOUNT), bench.as_caller(region="eu-west-1")
    for ctx, wrong in (
        (bench.ctx, nowhere),
        (bench.ctx, claimed),
        (bench.ctx, elsewhere),
        (bench.ctx, service),
        (bench.ctx, arn + "x"),
        (other, arn),
        (other, claimed),
        (other, nowhere),
        (abroad, arn),
        (abroad, elsewhere),
    ):
        tag = {"resourceARN": wrong, "tags": [{"key": "a", "value": ""}]}
        assert code(tag_resource, ctx, tag) == "ResourceNotFoundException"
        assert code(untag_resource, ctx, {"resourceARN": wrong, "tagKeys": ["secret"]}) == "ResourceNotFoundException"
        assert code(list_tags_for_resource, ctx, {"resourceARN": wrong}) == "ResourceNotFoundException"
    assert of(bench.ctx, arn) == {"secret": "1"}
