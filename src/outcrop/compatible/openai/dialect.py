"""OpenAI's words: errors, and server-sent events that end with `[DONE]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from outcrop.compatible.endpoint import Event
from outcrop.errors import AwsError
from outcrop.request import HttpRequest

# AWS's code -> status, type and code.
_ERRORS: Mapping[str, tuple[int, str, str | None]] = {
    "Unauthenticated": (401, "invalid_request_error", "invalid_api_key"),
    "ValidationException": (400, "invalid_request_error", None),
    "SerializationException": (400, "invalid_request_error", None),
    "ServiceQuotaExceededException": (400, "invalid_request_error", None),
    "AccessDeniedException": (403, "permission_error", None),
    "ResourceNotFoundException": (404, "invalid_request_error", "not_found"),
    "UnknownOperationException": (404, "invalid_request_error", "unknown_url"),
    "ConflictException": (409, "invalid_request_error", "conflict"),
    "ThrottlingException": (429, "rate_limit_error", "rate_limit_exceeded"),
    "ModelNotReadyException": (503, "server_error", "model_not_ready"),
    "ServiceUnavailableException": (503, "server_error", "service_unavailable"),
    "ModelTimeoutException": (504, "server_error", "model_timeout"),
    "NotImplementedException": (501, "server_error", "not_implemented"),
}


def identified(request: HttpRequest) -> HttpRequest:
    return request


def error(error: AwsError, request_id: str) -> tuple[int, dict[str, Any]]:
    status, kind, code = _ERRORS.get(error.code, (500, "server_error", error.code))
    param = error.members.get("param")
    if error.code == "ResourceNotFoundException" and param == "model":
        code = "model_not_found"
    return status, {"error": {"message": error.message, "type": kind, "param": param, "code": code}}


def frame(event: Event) -> bytes:
    """Responses' events have a type, and their name stands before them; chunks have none."""
    data = b"data: " + orjson.dumps(event) + b"\n\n"
    kind = event.get("type")
    return data if kind is None else b"event: " + str(kind).encode() + b"\n" + data


def failure(problem: AwsError, request_id: str) -> bytes:
    return b"data: " + orjson.dumps(error(problem, request_id)[1]) + b"\n\n"


def end(last: Event) -> bytes:
    """Only chunks need it: what has a type says itself that it is the last."""
    return b"" if "type" in last else b"data: [DONE]\n\n"


def request_id_header() -> str:
    return "x-request-id"
