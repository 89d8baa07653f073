"""Constraints, in AWS's words, all of them in one message."""

from __future__ import annotations

import re
from typing import Any

import pytest

from outcrop.errors import SerializationException, ValidationException
from outcrop.request import HttpRequest
from outcrop.wire.model import Operation, load_services

OPERATIONS = load_services().operations
CONVERSE = OPERATIONS["bedrock-runtime", "Converse"]


def refused(operation: Operation, params: dict[str, Any]) -> str:
    with pytest.raises(ValidationException) as caught:
        operation.check(params)
    return caught.value.message


def good(**changes: Any) -> dict[str, Any]:
    return {"modelId": "a.b-v1:0", "messages": [{"role": "user", "content": [{"text": "x"}]}], **changes}


def test_what_is_right_passes() -> None:
    CONVERSE.check(good())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            good(inferenceConfig={"temperature": 2.0}),
            "1 validation error detected: Value '2.0' at 'inferenceConfig.temperature' failed to satisfy constraint: "
            "Member must have value less than or equal to 1",
        ),
        (
            good(inferenceConfig={"maxTokens": 0}),
            "1 validation error detected: Value '0' at 'inferenceConfig.maxTokens' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1",
        ),
        (
            good(messages=[{"role": "robot", "content": [{"text": "x"}]}]),
            "1 validation error detected: Value 'robot' at 'messages.1.member.role' failed to satisfy constraint: "
            "Member must satisfy enum value set: ",
        ),
        (
            good(messages=[{"content": [{"text": "x"}]}]),
            "1 validation error detected: Value at 'messages.1.member.role' failed to satisfy constraint: Member must not be null",
        ),
        (
            good(modelId="a b"),
            "1 validation error detected: Value 'a b' at 'modelId' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: ",
        ),
        (
            good(modelId=""),
            "Member must have length greater than or equal to 1",
        ),
    ],
)
def test_one_violation(params: dict[str, Any], message: str) -> None:
    assert message in refused(CONVERSE, params)


def test_every_violation_is_listed() -> None:
    message = refused(
        CONVERSE,
        good(
            messages=[{"role": "robot", "content": [{"text": "x"}]}, {"content": [{"toolUse": {"toolUseId": "?"}}]}],
            inferenceConfig={"temperature": 9.0, "topP": -1.0, "stopSequences": [""]},
        ),
    )
    assert message.startswith("8 validation errors detected: ")
    places = re.findall(r"at '([^']*)' failed", message)
    assert sorted(places) == [
        "inferenceConfig.stopSequences.1.member", "inferenceConfig.temperature", "inferenceConfig.topP",
        "messages.1.member.role", "messages.2.member.content.1.member.toolUse.input",
        "messages.2.member.content.1.member.toolUse.name", "messages.2.member.content.1.member.toolUse.toolUseId",
        "messages.2.member.role",
    ]  # fmt: skip


def test_a_flood_of_violations_is_not_echoed_whole() -> None:
    message = refused(CONVERSE, good(inferenceConfig={"stopSequences": [""] * 2500}))
    assert re.match(r"250[01] validation errors detected: ", message)
    assert message.endswith("; ...")
    assert len(message) < 40_000


def read(body: bytes) -> dict[str, Any]:
    headers = [("content-type", "application/json")]
    return CONVERSE.read(HttpRequest("POST", "/model/m/converse", "", headers, body), {"modelId": "m"})


def test_unknown_members_are_ignored() -> None:
    assert read(b'{"messages": [], "futureMember": {"x": 1}}') == {"modelId": "m", "messages": []}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"messages": {}}', "at 'messages'"),
        (b'{"messages": "x"}', "STRING_VALUE"),
        (b'{"inferenceConfig": {"maxTokens": "3"}}', "at 'inferenceConfig.maxTokens'"),
        (b'{"inferenceConfig": {"maxTokens": 1.5}}', "at 'inferenceConfig.maxTokens'"),
        (b'{"messages": [{"role": "user", "content": [{"text": "a", "image": {}}]}]}', "exactly one member"),
        (b'{"messages": [{"role": "user", "content": [{}]}]}', "exactly one member"),
        (b'{"messages": [{"role": "user", "content": [{"hologram": {}}]}]}', "Unknown union member"),
        (b'{"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "!"}}}]}]}', "base64"),
        (b'{"messages": [null]}', "NULL_VALUE"),
        (b'{"a": "\xff"}', ""),
    ],
)  # fmt: skip
def test_what_does_not_fit_its_shape_cannot_be_read(body: bytes, text: str) -> None:
    with pytest.raises(SerializationException) as caught:
        read(body)
    assert text in caught.value.message
