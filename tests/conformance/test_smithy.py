"""Smithy's restJson1 protocol tests, run as a server: requests, responses, malformed requests, validation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from outcrop.errors import AwsError
from outcrop.wire.write import status_of, write_error, write_response
from tests.conformance.shared import needs
from tests.conformance.smithy.not_applicable import NEVER_RUN, REASONS
from tests.conformance.smithy.protocol_cases import Case, cases, http_request, native, operations, router, same, shapes

REQUESTS, RESPONSES = cases("httpRequestTests"), cases("httpResponseTests")
MALFORMED = cases("httpMalformedRequestTests")
pytestmark = needs("restjson/smithy-restJson1")


def name(case: Case) -> str:
    """Without the number of its parameters."""
    return case.id.partition("[")[0]


def judged(case: Case, holds: Callable[[Case], tuple[bool, object]]) -> None:
    """Of several parameters of a listed case some may hold; the list's own test looks at the whole case."""
    if name(case) not in REASONS:
        right, what = holds(case)
        assert right, what


def request_holds(case: Case) -> tuple[bool, object]:
    request = http_request(case.test)
    expected = native(operations()[case.owner].input_shape, case.test.get("params", {}))
    try:
        found, labels = router().find(request.method, request.raw_path, request.query)
        read = found.read(request, labels)
        found.check(read)
    except AwsError as error:
        return False, f"{error.code}: {error}"
    return found.name == case.owner and same(read, expected), f"{found.name}: {read} for {expected}"


def response_holds(case: Case) -> tuple[bool, object]:
    test = case.test
    if shapes()[case.owner].kind == "structure":
        operation = next(iter(operations().values()))
        members = native(operation.model.shapes[case.owner], test.get("params", {}))
        message = next((members.pop(key) for key in ("message", "Message") if key in members), "")
        status, headers, body = write_error(operation, AwsError(message, code=case.owner, members=members), "id")
    else:
        operation = operations()[case.owner]
        status, headers, body = write_response(operation, native(operation.output_shape, test.get("params", {})))
    written = {header.lower(): value for header, value in headers}
    told = {header.lower(): value for header, value in test.get("headers", {}).items()}
    told.pop("content-length", None)  # the HTTP server's to write
    body_right = "body" not in test or _same_body(body, test["body"])
    right = status == test["code"] and body_right and all(written.get(header) == told[header] for header in told)
    return right, f"{status} {headers} {body!r}"


def _same_body(body: bytes, text: str) -> bool:
    try:
        return bool(json.loads(body) == json.loads(text))
    except ValueError:
        # A payload of its own, or nothing where Smithy's servers write nothing and AWS's an empty object.
        return body.decode("utf-8", "replace") == text or (not text and body == b"{}")


def malformed_holds(case: Case) -> tuple[bool, object]:
    """The status and the kind of error; of a validation error the number of violations and where they are, too."""
    request, wanted = http_request(case.test["request"]), case.test["response"]
    operation = None
    try:
        operation, labels = router().find(request.method, request.raw_path, request.query)
        params = operation.read(request, labels)
        operation.check(params)
    except AwsError as error:
        status = status_of(operation, error)
        code = wanted.get("headers", {}).get("x-amzn-errortype", error.code)
        right = status == wanted["code"] and error.code == code
        if right and error.code == "ValidationException" and "body" in wanted:
            right = _places(error.message) == _wanted_places(wanted["body"]["assertion"].get("contents", "{}"))
        return right, f"{status} {error.code}: {error.message}"
    return False, f"accepted: {params}"


def _places(message: str) -> list[str]:
    """`messages.1.member.role` as Smithy's `/messages/0/role`, for each violation."""
    paths = re.findall(r"at '([^']*)' failed to satisfy", message)
    return sorted("/" + "/".join(_steps(path)) for path in paths)


def _steps(path: str) -> list[str]:
    steps = path.replace(".member", "").split(".")
    return [str(int(step) - 1) if step.isdigit() else step for step in steps]


def _wanted_places(contents: str) -> list[str]:
    fields: list[dict[str, Any]] = json.loads(contents).get("fieldList", [])
    return sorted(entry["path"] for entry in fields)


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.id)
def test_requests(case: Case) -> None:
    judged(case, request_holds)


@pytest.mark.parametrize("case", RESPONSES, ids=lambda case: case.id)
def test_responses(case: Case) -> None:
    judged(case, response_holds)


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case.id)
def test_malformed_requests(case: Case) -> None:
    judged(case, malformed_holds)


def test_the_list_of_exceptions_is_exact() -> None:
    every = [(REQUESTS, request_holds), (RESPONSES, response_holds), (MALFORMED, malformed_holds)]
    cases = [(name(case), holds, case) for group, holds in every for case in group]
    failing = {name for name, holds, case in cases if name not in NEVER_RUN and not holds(case)[0]}
    assert set(REASONS) - NEVER_RUN == failing


def test_the_suite_is_complete() -> None:
    assert len({name(case) for case in MALFORMED}) == 191
    assert (len(REQUESTS), len(RESPONSES), len(MALFORMED)) == (137, 92, 655)
