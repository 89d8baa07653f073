"""The forms of a model identifier."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcrop.models.identifiers import GEOGRAPHIES, geography_of, parse, without_geography

ACCOUNT = "arn:aws:bedrock:us-east-1:111122223333:"


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("a.b-v1:0", "id", "a.b-v1:0"),
        ("us.a.b", "id", "us.a.b"),
        ("arn:aws:bedrock:us-east-1::foundation-model/a.b-v1:0", "foundation-model", "a.b-v1:0"),
        (f"{ACCOUNT}inference-profile/us.a.b", "inference-profile", "us.a.b"),
        (f"{ACCOUNT}application-inference-profile/abcdef012345", "application-inference-profile", "abcdef012345"),
        (f"{ACCOUNT}prompt/PROMPT1234:1", "prompt", f"{ACCOUNT}prompt/PROMPT1234:1"),
        (f"{ACCOUNT}imported-model/abcdef012345", "imported-model", "custom-model/abcdef012345"),
        (f"{ACCOUNT}custom-model/a.b:0/abcdef012345", "custom-model", "custom-model/abcdef012345"),
        (f"{ACCOUNT}custom-model-deployment/abcdef012345", "custom-model-deployment", "abcdef012345"),
        (f"{ACCOUNT}evaluation-job/abcdef012345", "other", f"{ACCOUNT}evaluation-job/abcdef012345"),
        ("arn:nonsense", "other", "arn:nonsense"),
    ],
)
def test_every_form(text: str, kind: str, name: str) -> None:
    found = parse(text)
    assert (found.kind, found.name) == (kind, name)


@given(st.one_of(st.text(), st.text().map("arn:aws:bedrock:".__add__)))
def test_parsing_never_fails(text: str) -> None:
    assert parse(text).name or not text


@pytest.mark.parametrize("geography", GEOGRAPHIES)
def test_geographies(geography: str) -> None:
    assert without_geography(f"{geography}.a.b") == "a.b"
    assert without_geography(f"{geography}.a") is None
    assert without_geography(f"{geography}x.a.b") is None


@pytest.mark.parametrize(
    ("region", "geography"),
    [
        ("us-east-1", "us"),
        ("eu-west-1", "eu"),
        ("ap-south-1", "apac"),
        ("ca-central-1", "ca"),
        ("us-gov-west-1", "us-gov"),
    ],
)
def test_the_geography_of_a_region(region: str, geography: str) -> None:
    assert geography_of(region) == geography
