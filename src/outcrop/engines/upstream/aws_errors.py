"""What an AWS error of an upstream Bedrock means here: its class is kept, and whose fault it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from outcrop.engines.engine import (
    ContextOverflow,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    InvalidRequest,
    Upstream,
)

MODELS_WORDS = "The model returned the following errors: "
_TOO_LONG = re.compile(
    r"Input is too long for requested model"
    r"|prompt is too long: (?P<tokens>\d+) tokens > (?P<limit>\d+) maximum"
    r"|Too many input tokens\. Max input tokens: (?P<most>\d+), request input token count: (?P<given>\d+)"
)
_NO_MODEL = re.compile(
    r"The provided model identifier is invalid|Invocation of model ID .* with on-demand throughput isn.t supported"
)
_DENIED = frozenset({
    "AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException",
    "IncompleteSignature", "IncompleteSignatureException", "ExpiredTokenException", "MissingAuthenticationToken",
    "MissingAuthenticationTokenException", "RequestExpired",
})  # fmt: skip
_BUSY = frozenset({"ThrottlingException", "ServiceQuotaExceededException", "TooManyRequestsException"})


def of_response(status: int, body: bytes, headers: Mapping[str, str], name: str) -> EngineError:
    """An error that is the whole response. `name` is the model's, for the sentences that are ours."""
    members = _parsed(body)
    code = headers.get("x-amzn-errortype") or members.get("__type") or members.get("code") or ""
    return _error(str(code).partition(":")[0].rpartition("#")[2], status, members, headers, name)


def of_frame(headers: Mapping[str, Any], payload: bytes, name: str) -> EngineError:
    """An exception or error frame within a stream."""
    members = _parsed(payload)
    code = str(headers.get(":exception-type") or headers.get(":error-code") or "")
    if ":error-message" in headers:
        members["message"] = headers[":error-message"]
    return _error(code[:1].upper() + code[1:], None, members, {}, name)


def _error(
    code: str, status: int | None, members: Mapping[str, Any], headers: Mapping[str, str], name: str
) -> EngineError:
    text = str(members.get("message") or members.get("Message") or f"The upstream answered {code or status}.")
    if code in _DENIED or status in (401, 403):
        # What AWS says here names the operator's account and user.
        return Upstream(
            "denied",
            f"The upstream of {name} refused Outcrop's own credentials.",
            status=status,
            detail=f"{code}: {text}",
        )
    if code == "ValidationException":
        return _invalid(text, status, name)
    if code == "ModelNotReadyException":
        return Upstream("not_ready", text, status=status)
    if code in _BUSY or status == 429:
        return EngineBusy(text, _retry_after(headers))
    if code == "ModelTimeoutException" or status in (408, 504):
        return EngineTimeout(f"The upstream of {name} timed out: {text}")
    if code == "ResourceNotFoundException" or status == 404:
        return _missing(text, status, name)
    if code == "ServiceUnavailableException" or status == 503:
        return Upstream("unavailable", text, status=status)
    if code == "InternalServerException" or status in (500, 502):
        return Upstream("internal", text, status=status)
    original = members.get("originalStatusCode")
    return EngineFailed(text, original if isinstance(original, int) else status)


def _invalid(text: str, status: int | None, name: str) -> EngineError:
    words = text.removeprefix(MODELS_WORDS)
    if (long := _TOO_LONG.search(words)) is not None:
        tokens, limit = long["tokens"] or long["given"], long["limit"] or long["most"]
        return ContextOverflow(int(tokens) if tokens else None, int(limit) if limit else None)
    if _NO_MODEL.search(words):
        return _missing(text, status, name)
    # Converse puts its own words before the model's again; what Bedrock itself says stays as it is.
    return InvalidRequest(words) if words != text else Upstream("invalid", text, status=status)


def _missing(text: str, status: int | None, name: str) -> Upstream:
    # What it says may name an ARN of the operator's.
    return Upstream("missing", f"The upstream of {name} does not have the model.", status=status, detail=text)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds; AWS's own header is in milliseconds."""
    for header, unit in (("x-amz-retry-after", 1000), ("retry-after", 1)):
        try:
            return max(0.1, float(headers[header]) / unit)
        except (KeyError, ValueError):
            continue
    return 1.0
