from __future__ import annotations

import pytest

from outcrop.identity import arns

ACCOUNT = "111122223333"
NAMES = {
    "model": "a.b-v1:0",
    "name": "some.name:1",
    "id12": "abcdefghij12",
    "id10": "ABCDEFGH12",
    "other10": "TSTALIASID",
    "version": "7",
    "uuid": "01234567-89ab-4cde-8f01-23456789abcd",
    "execution": "run-1",
}


@pytest.mark.parametrize("kind", list(arns.FORMS))
def test_every_form_is_built_and_recognized(kind: str) -> None:
    text = arns.build(kind, "us-east-1", ACCOUNT, **NAMES)
    parsed = arns.parse(text)
    assert str(parsed) == text
    recognized = arns.recognize(parsed)
    assert recognized is not None
    assert recognized[0] == kind
    assert arns.build(kind, parsed.region, ACCOUNT, **recognized[1]) == text


def test_awss_own_examples() -> None:
    model = arns.build("foundation-model", "us-east-1", ACCOUNT, model="anthropic.claude-v2:1")
    assert model == "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2:1"
    profile = arns.build("inference-profile", "us-gov-west-1", ACCOUNT, model="us-gov.amazon.nova-v1:0")
    assert profile == f"arn:aws-us-gov:bedrock:us-gov-west-1:{ACCOUNT}:inference-profile/us-gov.amazon.nova-v1:0"
    assert arns.build("prompt-version", "cn-north-1", ACCOUNT, id10="ABCDEFGH12", version="3") == (
        f"arn:aws-cn:bedrock:cn-north-1:{ACCOUNT}:prompt/ABCDEFGH12:3"
    )
    assert arns.user(ACCOUNT, "admin") == f"arn:aws:iam::{ACCOUNT}:user/admin"


def test_what_lacks_or_has_no_such_form_is_not_built() -> None:
    with pytest.raises(ValueError, match="id12"):
        arns.build("guardrail", "us-east-1", ACCOUNT)
    with pytest.raises(ValueError, match="guardrail/"):
        arns.build("guardrail", "us-east-1", ACCOUNT, id12="NO/SUCH")


@pytest.mark.parametrize(
    "text",
    ["", "arn", "arn:aws:bedrock:us-east-1", "arn:aws:bedrock:us-east-1:1:x", "arn:gcp:bedrock::111122223333:x",
     "arn:aws:bedrock:us-east-1:111122223333:", "arn:aws:bedrock:us east:111122223333:x", "arn:aws:s3:::" + "x" * 3000],
)  # fmt: skip
def test_what_is_no_arn(text: str) -> None:
    with pytest.raises(ValueError, match="Not an Amazon Resource Name"):
        arns.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:s3:::bucket",
        f"arn:aws:bedrock:us-east-1:{ACCOUNT}:guardrail/x",
        "arn:aws:bedrock:us-east-1::agent/ABCDEFGH12",
    ],
)
def test_what_is_no_resource_of_bedrock(text: str) -> None:
    assert arns.recognize(arns.parse(text)) is None
