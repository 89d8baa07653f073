"""Rows of AWS's own pages on condition operators, policy variables and multivalued keys."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.identity.policies.asking import ask, policies
from tests.identity.policies.oracle import Documents, Request

ANN = "arn:aws:iam::111122223333:user/ann"
MODEL = "arn:aws:bedrock:us-east-1::foundation-model/acme.big-v1:0"


def allowed(condition: Any = None, resource: Any = "*", *, keys: dict[str, list[str]], **more: Any) -> bool:
    statement = {"Effect": "Allow", "Action": "*", "Resource": resource, **more}
    if condition is not None:
        statement["Condition"] = condition
    document = {"Version": "2012-10-17", "Statement": statement}
    request = Request("111122223333", ANN, None, "bedrock:InvokeModel", MODEL, None, keys)
    return ask(request, policies(Documents([document]))).allowed


@pytest.mark.parametrize(
    ("operator", "wanted", "given", "holds"),
    [
        ("StringEquals", ["a", "b"], ["b"], True),
        ("StringEquals", "a", ["A"], False),
        ("StringEquals", "a*", ["ab"], False),
        ("StringEquals", "a", [], False),
        ("StringEqualsIfExists", "a", [], True),
        ("StringEqualsIfExists", "a", ["b"], False),
        ("StringNotEquals", ["a", "b"], ["b"], False),
        ("StringNotEquals", ["a", "b"], ["c"], True),
        ("StringNotEquals", "a", [], True),
        ("StringEqualsIgnoreCase", "a", ["A"], True),
        ("StringNotEqualsIgnoreCase", "a", ["A"], False),
        ("StringLike", "a?c*", ["abcdef"], True),
        ("StringLike", "a?c*", ["acdef"], False),
        ("StringLike", "*", [""], True),
        ("StringLike", "a*", ["a\nb"], True),
        ("StringNotLike", "a*", ["b"], True),
        ("NumericLessThanEquals", "10", ["10"], True),
        ("NumericLessThan", 10, ["9.5"], True),
        ("NumericLessThan", "10", ["x"], False),
        ("NumericEquals", "10", ["10.0"], True),
        ("NumericNotEquals", "10", ["11"], True),
        ("DateGreaterThan", "2026-01-01T00:00:00Z", ["2026-01-01T00:00:01Z"], True),
        ("DateLessThan", "2026-01-01", ["2025-12-31T23:59:59Z"], True),
        ("DateEquals", "1767225600", ["2026-01-01T00:00:00Z"], True),
        ("DateGreaterThanEquals", "2026-01-01T01:00:00+01:00", ["2026-01-01T00:00:00Z"], True),
        ("Bool", "true", ["true"], True),
        ("Bool", True, ["TRUE"], True),
        ("Bool", "false", [], False),
        ("BinaryEquals", "YQ==", ["YQ=="], True),
        ("IpAddress", "203.0.113.0/24", ["203.0.113.200"], True),
        ("IpAddress", "203.0.113.7", ["203.0.113.7"], True),
        ("IpAddress", "203.0.113.0/24", ["::ffff:203.0.113.9"], True),
        ("IpAddress", "2001:DB8::/32", ["2001:db8:1::1"], True),
        ("IpAddress", "0.0.0.0/0", ["2001:db8::1"], False),
        ("NotIpAddress", "203.0.113.0/24", ["198.51.100.1"], True),
        ("ArnLike", "arn:aws:bedrock:*:*:guardrail/*", ["arn:aws:bedrock:us-east-1:1:guardrail/a"], True),
        ("ArnEquals", "arn:aws:bedrock:*:*:guardrail/*", ["arn:aws:bedrock:us-east-1:1:guardrail/a"], True),
        ("ArnLike", "arn:aws:bedrock:*:guardrail/*", ["arn:aws:bedrock:us-east-1:1:guardrail/a"], False),
        ("ArnNotLike", "arn:aws:bedrock:*:*:guardrail/*", ["arn:aws:bedrock:us-east-1:1:agent/a"], True),
        ("Null", "true", [], True),
        ("Null", "true", ["x"], False),
        ("Null", "false", ["x"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b", "a"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAllValues:StringEquals", ["a", "b"], [], True),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c", "a"], True),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c"], False),
        ("ForAnyValue:StringEquals", ["a", "b"], [], False),
        ("ForAnyValue:StringEqualsIfExists", ["a", "b"], [], True),
        ("ForAllValues:StringNotEquals", ["a"], ["b", "c"], True),
        ("ForAllValues:StringNotEquals", ["a"], ["b", "a"], False),
        ("ForAnyValue:StringNotEquals", ["a"], ["b", "a"], True),
        ("ForAnyValue:StringNotEquals", ["a"], [], False),
    ],
)
def test_operators(operator: str, wanted: Any, given: list[str], holds: bool) -> None:
    assert allowed({operator: {"x:Key": wanted}}, keys={"x:key": given}) is holds


def test_all_conditions_must_hold() -> None:
    condition = {"StringEquals": {"x:a": "1", "x:b": "2"}, "Bool": {"x:c": "true"}}
    assert allowed(condition, keys={"x:a": ["1"], "x:b": ["2"], "x:c": ["true"]})
    for key in ("x:a", "x:b", "x:c"):
        assert not allowed(condition, keys={"x:a": ["1"], "x:b": ["2"], "x:c": ["true"], key: ["no"]})


@pytest.mark.parametrize(
    ("resource", "keys", "matches"),
    [
        ("arn:aws:bedrock:*::foundation-model/acme.*", {}, True),
        ("arn:aws:bedrock:us-east-?::foundation-model/*", {}, True),
        ("arn:aws:bedrock:*", {}, True),
        ("arn:aws:bedrock:*:foundation-model/*", {}, False),
        ("arn:aws:bedrock:us-east-1::*big*:0", {}, True),
        ("arn:aws:bedrock:us-east-1::foundation-model/acme.big-v1?0", {}, True),
        ("arn:aws:bedrock:us-east-1::FOUNDATION-MODEL/*", {}, False),
        ("arn:aws:bedrock:us-east-1::foundation-model/${aws:PrincipalTag/maker}.*", {"maker": "acme"}, True),
        ("arn:aws:bedrock:us-east-1::foundation-model/${aws:PrincipalTag/maker}.*", {"maker": "a*"}, False),
        ("arn:aws:bedrock:us-east-1::foundation-model/${aws:PrincipalTag/maker}.*", {}, False),
        ("arn:aws:bedrock:us-east-1::foundation-model/${aws:PrincipalTag/maker, 'acme'}.*", {}, True),
        ("arn:aws:bedrock:us-east-1::foundation-model/${*}", {}, False),
    ],
)
def test_resources(resource: str, keys: dict[str, str], matches: bool) -> None:
    known = {f"aws:principaltag/{name}": [value] for name, value in keys.items()}
    assert allowed(resource=resource, keys=known) is matches


def test_the_old_version_has_no_variables() -> None:
    condition = {"StringEquals": {"aws:username": "${aws:username}"}}
    assert allowed(condition, keys={"aws:username": ["ann"]})
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}
    request = Request("111122223333", ANN, None, "bedrock:InvokeModel", MODEL, None, {"aws:username": ["ann"]})
    old = policies(Documents([{"Version": "2008-10-17", "Statement": statement}]))
    assert not ask(request, old).allowed
    literally = Request(
        "111122223333", ANN, None, "bedrock:InvokeModel", MODEL, None, {"aws:username": ["${aws:username}"]}
    )
    assert ask(literally, old).allowed


def test_what_is_not_known_opens_nothing() -> None:
    """A variable without a value, in what is excluded."""
    excluded = "arn:aws:bedrock:us-east-1::foundation-model/${aws:PrincipalTag/secret}"
    assert not allowed({"StringNotEquals": {"aws:username": "${aws:PrincipalTag/x}"}}, keys={"aws:username": ["ann"]})
    statement = {"Effect": "Allow", "Action": "*", "NotResource": excluded}
    request = Request("111122223333", ANN, None, "bedrock:InvokeModel", MODEL, None, {})
    assert not ask(request, policies(Documents([{"Version": "2012-10-17", "Statement": statement}]))).allowed
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    deny = {**statement, "Effect": "Deny"}
    denied = ask(request, policies(Documents([{"Version": "2012-10-17", "Statement": [everything, deny]}])))
    assert denied.explicit


def test_asterisks_cannot_keep_the_matcher_busy() -> None:
    begun = time.monotonic()
    pattern = "*a" * 400 + "b"
    assert not allowed({"StringLike": {"x:key": pattern}}, keys={"x:key": ["a" * 20_000]})
    assert not allowed(resource="arn:aws:bedrock:us-east-1::" + "*o?" * 400 + "!", keys={})
    assert time.monotonic() - begun < 5
