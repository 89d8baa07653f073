"""Anything at all as a body: what comes of it is a request or an AWS error, never a failure."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from outcrop.errors import AwsError
from outcrop.request import HttpRequest
from outcrop.wire.model import Operation, load_services

OPERATIONS = sorted(load_services().operations.values(), key=lambda operation: (operation.service, operation.name))
WORDS = st.sampled_from(
    ["messages", "content", "text", "role", "name", "image", "source", "bytes", "tags", "key", "value", "", "x"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def handle(operation: Operation, body: bytes, label: str) -> None:
    labels = {part.strip("{}+"): label for part in operation.uri.partition("?")[0].split("/") if part.startswith("{")}
    request = HttpRequest(operation.method, "/", "a=b&a=%ff", [("content-type", "application/json")], body)
    with contextlib.suppress(AwsError):
        operation.check(operation.read(request, labels))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(OPERATIONS), st.binary(max_size=200), st.text(st.characters(max_codepoint=255), max_size=20))
def test_bytes(operation: Operation, body: bytes, label: str) -> None:
    handle(operation, body, label)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(OPERATIONS), VALUES)
def test_json(operation: Operation, value: object) -> None:
    handle(operation, json.dumps(value).encode(), "x")


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(OPERATIONS), st.data())
def test_json_under_the_operations_own_names(operation: Operation, data: st.DataObject) -> None:
    names = list(operation.input_shape["members"]) or ["x"]
    handle(operation, json.dumps(data.draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=4))).encode(), "x")
