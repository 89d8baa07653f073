"""Anthropic's words: errors, and server-sent events under the name of their type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from outcrop.compatible.endpoint import Event
from outcrop.errors import AwsError
from outcrop.request import HttpRequest

# AWS's code -> status and type.
_ERRORS: Mapping[str, tuple[int, str]] = {
    "Unauthenticated": (401, "authentication_error"),
    "ValidationException": (400, "invalid_request_error"),
    "SerializationException": (400, "invalid_request_error"),
    "ServiceQuotaExceededException": (400, "invalid_request_error"),
    "AccessDeniedException": (403, "permission_error"),
    "ResourceNotFoundException": (404, "not_found_error"),
    "UnknownOperationException": (404, "not_found_error"),
    "ThrottlingException": (429, "rate_limit_error"),
    "ModelTimeoutException": (504, "timeout_error"),
    "ModelNotReadyException": (529, "overloaded_error"),
    "ServiceUnavailableException": (529, "overloaded_error"),
    "NotImplementedException": (501, "api_error"),
}
# What Bedrock's validator says, and what Anthropic's own does.
_PHRASES = (
    (re.compile(r"required key \[(\w+)\] not found"), "Field required"),
    (re.compile(r"extraneous key \[(\w+)\] is not permitted"), "Extra inputs are not permitted"),
)


def identified(request: HttpRequest) -> HttpRequest:
    """`x-api-key` holds what other clients send as a bearer token."""
    key = request.header("x-api-key")
    if key is None or request.header("authorization") is not None:
        return request
    return replace(request, headers=[*request.headers, ("authorization", f"Bearer {key}")], _index=None)


def error(error: AwsError, request_id: str) -> tuple[int, dict[str, Any]]:
    status, kind = _ERRORS.get(error.code, (500, "api_error"))
    told = {"type": kind, "message": _worded(error.message)}
    return status, {"type": "error", "error": told, "request_id": request_id}


def _worded(text: str) -> str:
    """A single violation of the body's schema as `messages.0.role: Field required`."""
    pointer, _, problem = text.removeprefix("Malformed input request: ").partition(": ")
    if not pointer.startswith("#"):
        return text
    path = pointer.removeprefix("#").strip("/").replace("/", ".")
    for pattern, phrase in _PHRASES:
        if (found := pattern.match(problem)) is not None:
            return f"{path}.{found[1]}: {phrase}" if path else f"{found[1]}: {phrase}"
    return f"{path}: {problem.partition(', please reformat')[0]}"


def frame(event: Event) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"


def failure(problem: AwsError, request_id: str) -> bytes:
    return frame(error(problem, request_id)[1])


def end(last: Event) -> bytes:
    return b""


def request_id_header() -> str:
    return "request-id"
