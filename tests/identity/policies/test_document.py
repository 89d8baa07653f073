"""What is a policy and what is not, and that the place of the mistake is told."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcrop.identity.policies.document import Kind, MalformedPolicy, read
from outcrop.identity.policies.managed import DOCUMENTS

ALLOW = {"Effect": "Allow", "Action": "bedrock:*", "Resource": "*"}
ROLE = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "111122223333"}}


def policy(*statements: Any, **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **more})


def with_(**changes: Any) -> str:
    """The statement that allows everything, with changes; None takes an element away."""
    statement = {name: value for name, value in {**ALLOW, **changes}.items() if value is not None}
    return policy(statement)


def condition(operator: str, key: str, value: Any) -> str:
    return with_(Condition={operator: {key: value}})


MALFORMED: list[tuple[str, str]] = [
    ("", "line 1 column 1"),
    ('{"Version": "2012-10-17",\n "Statement": [}', "line 2 column 16"),
    ("[]", "A policy must be a JSON object"),
    (policy(), "Statement"),
    ('{"Statement": "x"}', "Statement"),
    (policy(ALLOW, Version="2012-10-18"), "Version"),
    (policy(ALLOW, version="2012-10-17"), "version"),
    (policy(ALLOW, Id=3), "Id"),
    (policy(ALLOW, 3), "Statement[1]"),
    (policy({**ALLOW, "Sid": "a"}, ALLOW, {**ALLOW, "Sid": "a"}), "Statement[2].Sid"),
    (with_(Effect="allow"), "Statement[0].Effect"),
    (with_(Effect=None), "Statement[0].Effect"),
    (with_(Sid="a b"), "Statement[0].Sid"),
    (with_(Comment="x"), "Statement[0].Comment"),
    (with_(Action=None), "Statement[0]"),
    (with_(NotAction="bedrock:*"), "Statement[0]"),
    (with_(Action=[]), "Statement[0].Action"),
    (with_(Action=["bedrock:*", 3]), "Statement[0].Action[1]"),
    (with_(Action=["bedrock:*", "InvokeModel"]), "Statement[0].Action[1]"),
    (with_(Action="bed*:x"), "Statement[0].Action[0]"),
    (with_(Resource=None), "Statement[0]"),
    (with_(NotResource="*"), "Statement[0]"),
    (with_(Resource="foundation-model/x"), "Statement[0].Resource[0]"),
    (with_(Resource=["*", "arn:aws:bedrock"]), "Statement[0].Resource[1]"),
    (with_(Resource="arn:aws:bedrock:us-east-1:111122223333"), "Statement[0].Resource[0]"),
    (with_(Resource="arn:aws:bedrock:us-east-1::foundation-model/${aws:username"), "Statement[0].Resource[0]"),
    (with_(Resource="arn:aws:bedrock:us-east-1::foundation-model/${}"), "Statement[0].Resource[0]"),
    (with_(Resource="arn:aws:bedrock:us-east-1::foundation-model/${aws:username, red}"), "Statement[0].Resource[0]"),
    (with_(Principal="*"), "Statement[0].Principal"),
    (with_(NotPrincipal="*"), "Statement[0].NotPrincipal"),
    (with_(Condition=[]), "Statement[0].Condition"),
    (with_(Condition={"StringEquals": {}}), "Statement[0].Condition.StringEquals"),
    (condition("StringIs", "aws:username", "x"), "Statement[0].Condition.StringIs"),
    (condition("NullIfExists", "aws:username", "true"), "Statement[0].Condition.NullIfExists"),
    (condition("ForAllValues:Null", "aws:username", "true"), "Statement[0].Condition.ForAllValues:Null"),
    (condition("StringEquals", "username", "x"), "Statement[0].Condition.StringEquals.username"),
    (condition("StringEquals", "aws:username", []), "Statement[0].Condition.StringEquals.aws:username"),
    (condition("StringEquals", "aws:username", ["x", {}]), "Statement[0].Condition.StringEquals.aws:username[1]"),
    (condition("StringEquals", "aws:username", "${x"), "Statement[0].Condition.StringEquals.aws:username[0]"),
    (condition("NumericEquals", "s3:max-keys", "many"), "Statement[0].Condition.NumericEquals.s3:max-keys[0]"),
    (condition("DateEquals", "aws:CurrentTime", "soon"), "Statement[0].Condition.DateEquals.aws:CurrentTime[0]"),
    (condition("Bool", "aws:SecureTransport", "yes"), "Statement[0].Condition.Bool.aws:SecureTransport[0]"),
    (condition("IpAddress", "aws:SourceIp", "10.0.0.0/33"), "Statement[0].Condition.IpAddress.aws:SourceIp[0]"),
    (condition("BinaryEquals", "x:y", "a b"), "Statement[0].Condition.BinaryEquals.x:y[0]"),
    (condition("ArnLike", "aws:SourceArn", "bucket"), "Statement[0].Condition.ArnLike.aws:SourceArn[0]"),
    (condition("Null", "aws:username", "maybe"), "Statement[0].Condition.Null.aws:username[0]"),
    ('{"Statement": {"Effect": "Allow", "Effect": "Deny", "Action": "*", "Resource": "*"}}', "Effect"),
    (with_(Action=["bedrock:" + "x" * 7000]), "The policy has 7"),
]


@pytest.mark.parametrize(("text", "place"), MALFORMED, ids=[place for _, place in MALFORMED])
def test_a_malformed_policy_is_refused_with_the_place(text: str, place: str) -> None:
    with pytest.raises(MalformedPolicy) as caught:
        read(text)
    assert str(caught.value).startswith(place)


@pytest.mark.parametrize(
    ("kind", "statement", "place"),
    [
        ("resource", ALLOW, "Statement[0]"),
        ("resource", {**ALLOW, "Principal": "ann"}, "Statement[0].Principal"),
        ("resource", {**ALLOW, "Principal": {}}, "Statement[0].Principal"),
        ("resource", {**ALLOW, "Principal": {"Aws": "*"}}, "Statement[0].Principal.Aws"),
        ("resource", {**ALLOW, "Principal": {"AWS": ["*", "ann"]}}, "Statement[0].Principal.AWS[1]"),
        (
            "resource",
            {**ALLOW, "Principal": {"AWS": "arn:aws:iam::111122223333:user/*"}},
            "Statement[0].Principal.AWS[0]",
        ),
        ("resource", {**ALLOW, "Principal": "*", "NotPrincipal": "*"}, "Statement[0]"),
        ("resource", {**ALLOW, "NotPrincipal": {"AWS": "111122223333"}}, "Statement[0].NotPrincipal"),
        ("trust", {**ROLE, "Resource": "*"}, "Statement[0]"),
        ("trust", {**ROLE, "Principal": None}, "Statement[0].Principal"),
    ],
)
def test_policies_of_resources_and_roles(kind: Kind, statement: dict[str, Any], place: str) -> None:
    with pytest.raises(MalformedPolicy) as caught:
        read(policy(statement), kind)
    assert caught.value.place == place


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (with_(Condition={"stringequalsignorecaseifexists": {"aws:username": ["a", 1, True]}}), "identity"),
        (with_(Condition={"ForAnyValue:ArnNotLikeIfExists": {"AWS:SourceArn": "${aws:PrincipalArn}"}}), "identity"),
        (with_(Resource="arn:*:kms:*:::*", Sid="A1"), "identity"),
        (with_(Resource="arn:aws:bedrock:*"), "identity"),
        (with_(Resource=None, NotResource="*"), "identity"),
        (with_(Action=None, NotAction=["iam:*", "*:*", "*"]), "identity"),
        (json.dumps({"Statement": ALLOW}), "identity"),
        (json.dumps({"Version": "2008-10-17", "Statement": {**ALLOW, "Resource": "arn:aws:s3:::${x"}}), "identity"),
        (policy(ROLE, {**ROLE, "Principal": {"Service": "bedrock.amazonaws.com"}, "Sid": "with spaces"}), "trust"),
        (policy({**ALLOW, "Effect": "Deny", "NotPrincipal": {"AWS": "arn:aws:iam::111122223333:root"}}), "resource"),
    ],
)
def test_what_is_a_policy(text: str, kind: Kind) -> None:
    assert read(text, kind).statements


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_those_that_aws_manages(document: str) -> None:
    read(document)


WORDS = st.sampled_from(
    [
        "Version", "2012-10-17", "Statement", "Effect", "Allow", "Deny", "Action", "NotAction", "Resource", "Principal", "AWS",
        "Condition", "StringEquals", "Null", "*", "bedrock:*", "aws:username", "${aws:username}", "${", "arn:aws:s3:::x", "",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=600, deadline=None)
@given(VALUES, st.sampled_from(["identity", "resource", "trust"]))
def test_anything_is_a_policy_or_is_refused(value: Any, kind: Kind) -> None:
    for text in (json.dumps(value), json.dumps({"Statement": value})):
        with contextlib.suppress(MalformedPolicy):
            read(text, kind)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(MalformedPolicy):
        read("[" * 5000)
