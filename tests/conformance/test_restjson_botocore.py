"""botocore's rest-json cases, written for clients, run backwards: its requests are read, its results are written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import RestJSONParser

from outcrop.errors import AwsError
from outcrop.request import HttpRequest
from outcrop.wire.model import Operation, digest
from outcrop.wire.routes import Router
from outcrop.wire.write import write_error, write_response
from tests.conformance.shared import DATA, needs

FOLDER = DATA / "restjson" / "botocore"
pytestmark = needs("restjson/botocore")

# Cases that do not apply to a server, and why. A case that does apply after all fails here too.
NOT_APPLICABLE = {
    "RestJsonHostWithPath": "the path of the endpoint is a client's setting; no service of Bedrock has one",
    "SDKAppliedContentEncoding_restJson1": "the case has no body: what is to be sent is up to the client's compressor",
    "SDKAppendedGzipAfterProvidedEncoding_restJson1": "likewise; no operation of Bedrock takes compressed requests",
    "MediaTypeHeaderInputBase64": "a JSON header is handed to the operation as the value that its text spells",
    "RestJsonQueryParamsStringListMap": "says what a client sends; servers put all parameters into the map",
    "RestJsonQueryPrecedence": "says which of two values a client sends; the other one cannot arrive",
    "RestJsonNullAndEmptyHeaders": "a header without text cannot be told from an empty list by what arrives",
    # Other forms of the same error, which clients must take: Outcrop writes the header and nothing in the body.
    "RestJsonFooErrorUsingCode": "the code as a member of the body",
    "RestJsonFooErrorUsingCodeAndNamespace": "the code as a member of the body",
    "RestJsonFooErrorUsingCodeUriAndNamespace": "the code as a member of the body",
    "RestJsonFooErrorWithDunderType": "the code as a member of the body",
    "RestJsonFooErrorWithDunderTypeAndNamespace": "the code as a member of the body",
    "RestJsonFooErrorWithDunderTypeUriAndNamespace": "the code as a member of the body",
}


def cases(kind: str) -> Iterator[Any]:
    path = FOLDER / kind / "rest-json.json"
    for suite in json.loads(path.read_text()) if path.exists() else ():
        for case in suite["cases"]:
            yield pytest.param(suite, case, id=case["id"])


def service(suite: dict[str, Any], case: dict[str, Any]) -> tuple[Operation, OperationModel]:
    """The case's one operation, as Outcrop and as botocore digest it."""
    model = {
        "metadata": {**suite["metadata"], "endpointPrefix": "x", "serviceId": "x"},
        "shapes": suite["shapes"],
        "operations": {case["given"]["name"]: case["given"]},
    }
    name = case["given"]["name"]
    return digest("case", model)["case", name], ServiceModel(model).operation_model(name)


def native(shape: Any, value: Any) -> Any:
    """A case's JSON value as a client's user would write it: bytes, datetimes, numbers for NaN; nulls left out."""
    if shape is None or value is None:
        return value
    if shape.type_name == "structure" and not shape.is_document_type:
        return {k: native(shape.members[k], v) for k, v in value.items() if v is not None and k in shape.members}
    if shape.type_name == "list":
        return [native(shape.member, item) for item in value]
    if shape.type_name == "map":
        return {key: native(shape.value, item) for key, item in value.items()}
    if shape.type_name == "timestamp":
        return datetime.fromtimestamp(value, UTC)
    if shape.type_name == "blob":
        return value.encode()
    return float(value) if shape.type_name in ("float", "double") and isinstance(value, str) else value


def same(first: Any, second: Any) -> bool:
    """Equal, NaN included; empty and absent members are one."""
    if isinstance(first, dict) and isinstance(second, dict):
        return all(same(first.get(key), second.get(key)) for key in {*first, *second})
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, float) and isinstance(second, float):
        return first == second or (first != first and second != second)
    return bool(first == second) or (not first and not second and {type(first), type(second)} & {type(None)} != set())


@pytest.mark.parametrize(("suite", "case"), list(cases("input")))
def test_requests_are_read(suite: dict[str, Any], case: dict[str, Any]) -> None:
    operation, model = service(suite, case)
    sent = case["serialized"]
    path, _, query = sent["uri"].partition("?")
    headers = [(name.lower(), value) for name, value in sent.get("headers", {}).items()]
    request = HttpRequest(sent.get("method", "POST"), path, query, headers, sent.get("body", "").encode())
    expected = native(model.input_shape, case.get("params", {})) if model.input_shape else {}
    try:
        found, labels = Router([operation]).find(request.method, request.raw_path, request.query)
        read = found.read(request, labels)
        tokens = set(getattr(model, "idempotent_members", ())) - expected.keys()
        right = same({key: value for key, value in read.items() if key not in tokens}, expected)
    except AwsError as error:
        read, right = {"error": str(error)}, False
    assert right != (case["id"] in NOT_APPLICABLE), f"{read} for {expected}"


@pytest.mark.parametrize(("suite", "case"), list(cases("output")))
def test_responses_are_written(suite: dict[str, Any], case: dict[str, Any]) -> None:
    operation, model = service(suite, case)
    if "errorCode" in case:
        status, headers, body = errors_of(suite, case, operation)
        assert Headers(headers)["x-amzn-errortype"] == case["errorCode"]
        assert as_in_the_case(case, status, headers, body) != (case["id"] in NOT_APPLICABLE)
        return
    expected = native(model.output_shape, case["result"]) if model.output_shape is not None else {}
    status, headers, body = write_response(operation, expected)
    # Some of the dates and quoted lists that the cases hold botocore itself does not parse.
    right = as_in_the_case(case, status, headers, body) or same(parsed(model, status, headers, body), expected)
    assert right != (case["id"] in NOT_APPLICABLE), f"{status} {headers} {body!r} for {expected}"


def as_in_the_case(case: dict[str, Any], status: int, headers: list[tuple[str, str]], body: bytes) -> bool:
    """The same status, headers and content as in the case's own response."""
    wanted, written = case["response"], Headers(headers)
    ours = {"x-amzn-errortype", "content-length"}
    told = {name: value for name, value in wanted.get("headers", {}).items() if name.lower() not in ours}
    text = wanted.get("body", "")
    content = (
        body.decode() == text or (bool(text) and json_of(body) == json_of(text)) or (not text and body in (b"", b"{}"))
    )
    return status == wanted["status_code"] and content and all(written.get(name) == told[name] for name in told)


def json_of(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def parsed(model: OperationModel, status: int, headers: list[tuple[str, str]], body: bytes) -> Any:
    """What botocore's own parser makes of it."""
    received = {"status_code": status, "headers": Headers(headers), "body": body, "context": {"operation_name": "x"}}
    found = RestJSONParser().parse(received, model.output_shape)
    found.pop("ResponseMetadata")
    return found


def errors_of(suite: dict[str, Any], case: dict[str, Any], operation: Operation) -> tuple[int, Any, bytes]:
    shape = ServiceModel({"metadata": suite["metadata"], "shapes": suite["shapes"], "operations": {}}).shape_for(
        case["errorCode"]
    )
    members = native(shape, case["error"])
    message = next((members.pop(key) for key in ("message", "Message") if key in members), "")
    return write_error(operation, AwsError(message, code=case["errorCode"], members=members), "a-request-id")


class Headers(dict[str, str]):
    """Names without case, as botocore's HTTP layer has them."""

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        super().__init__((name.lower(), value) for name, value in headers)

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())


def test_the_list_names_cases_that_exist() -> None:
    ids = {case.id for kind in ("input", "output") for case in cases(kind)}
    assert set(NOT_APPLICABLE) <= ids
    assert len(list(cases("input"))) == 113
    assert len(list(cases("output"))) == 91
