"""Which operation answers a method and a path."""

from __future__ import annotations

import pytest

from outcrop.errors import UnknownOperationException
from outcrop.wire.model import load_services
from outcrop.wire.routes import Router

OPERATIONS = load_services().operations
ROUTER = Router(OPERATIONS.values())
PROFILE = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abcdefghijkl"


@pytest.mark.parametrize(
    ("method", "path", "name", "labels"),
    [
        ("POST", "/agents/ABCDEFGHIJ/", "PrepareAgent", {"agentId": "ABCDEFGHIJ"}),
        ("POST", "/agents/ABCDEFGHIJ", "InvokeInlineAgent", {"sessionId": "ABCDEFGHIJ"}),
        ("POST", "/model/a.b-v1%3A0/converse", "Converse", {"modelId": "a.b-v1%3A0"}),
        ("POST", "/model/a.b-v1:0/converse-stream", "ConverseStream", {"modelId": "a.b-v1:0"}),
        ("POST", f"/model/{PROFILE.replace(':', '%3A').replace('/', '%2F')}/invoke", "InvokeModel", None),
        ("POST", f"/model/{PROFILE}/invoke", "InvokeModel", {"modelId": PROFILE}),
        ("GET", "/foundation-models", "ListFoundationModels", {}),
        ("GET", "/foundation-models/a.b-v1%3A0", "GetFoundationModel", {"modelIdentifier": "a.b-v1%3A0"}),
        ("GET", "/inference-profiles", "ListInferenceProfiles", {}),
        ("PUT", "/agents/", "CreateAgent", {}),
    ],
)
def test_found(method: str, path: str, name: str, labels: dict[str, str] | None) -> None:
    operation, found = ROUTER.find(method, path, "")
    assert operation.name == name
    if labels is not None:
        assert found == labels


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("PATCH", "/foundation-models"),
        ("POST", "/model//converse"),
        ("GET", "/foundation-models/a/b"),
    ],
)
def test_not_found(method: str, path: str) -> None:
    with pytest.raises(UnknownOperationException, match=f"No operation answers {method} "):
        ROUTER.find(method, path, "")


def test_every_operation_is_found_by_its_own_template() -> None:
    shared = []
    for (service, name), operation in OPERATIONS.items():
        path, _, query = operation.uri.partition("?")
        filled = "/".join("x" if segment.startswith("{") else segment for segment in path.split("/"))
        found, _ = ROUTER.find(operation.method, filled, query)
        if found is not operation:
            shared.append((service, name, found.name))
    # Two services have the tag operations on the same paths; the ARN decides between them.
    assert {name for _, name, _ in shared} <= {"TagResource", "UntagResource", "ListTagsForResource"}
