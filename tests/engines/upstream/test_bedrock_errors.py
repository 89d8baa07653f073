"""What an upstream's AWS errors become: their class, and whose fault it is."""

from __future__ import annotations

from typing import Any

import pytest

from outcrop.engines.engine import (
    ContextOverflow,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    InvalidRequest,
    TextDelta,
)
from outcrop.engines.engine import Upstream as UpstreamError
from outcrop.engines.upstream.bedrock import Bedrock
from tests.engines.upstream.server import HELLO, Upstream, ask, exception, spec, text

SUFFIX = ":http://internal.amazon.com/coral/com.amazon.bedrock/"
WRAPPED = "The model returned the following errors: "


def shown(problem: EngineError) -> tuple[Any, ...]:
    return type(problem), getattr(problem, "kind", None), str(problem)


V = "ValidationException"
NO_TOOLS = "This model doesn't support tool use."
NO_MODEL = "The provided model identifier is invalid."
DENIED = (UpstreamError, "denied", "The upstream of ours refused Outcrop's own credentials.")
MISSING = (UpstreamError, "missing", "The upstream of ours does not have the model.")

TOO_LONG = (ContextOverflow, None, str(ContextOverflow(9, 8)))

CASES = [
    (400, V, WRAPPED + "top_k: bad", (InvalidRequest, None, "top_k: bad")),
    (400, V, NO_TOOLS, (UpstreamError, "invalid", NO_TOOLS)),
    (400, V, "Input is too long for requested model.", (ContextOverflow, None, str(ContextOverflow(None, None)))),
    (400, V, "prompt is too long: 9 tokens > 8 maximum", TOO_LONG),
    (400, V, WRAPPED + "prompt is too long: 9 tokens > 8 maximum", TOO_LONG),
    (400, V, NO_MODEL, MISSING),
    (400, V, "Too many input tokens. Max input tokens: 8, request input token count: 9", TOO_LONG),
    (404, "ResourceNotFoundException", "No such", MISSING),
    (403, "AccessDeniedException", "User: arn:aws:iam::1:user/op is not authorized", DENIED),
    (403, "UnrecognizedClientException", "The security token is invalid.", DENIED),
    (429, "ThrottlingException", "Too many tokens", (EngineBusy, None, "Too many tokens")),
    (400, "ServiceQuotaExceededException", "Quota", (EngineBusy, None, "Quota")),
    (429, "ModelNotReadyException", "Not ready", (UpstreamError, "not_ready", "Not ready")),
    (408, "ModelTimeoutException", "too slow", (EngineTimeout, None, "The upstream of ours timed out: too slow")),
    (424, "ModelErrorException", "it failed", (EngineFailed, None, "it failed")),
    (503, "ServiceUnavailableException", "full", (UpstreamError, "unavailable", "full")),
    (500, "InternalServerException", "oops", (UpstreamError, "internal", "oops")),
]


cases = pytest.mark.parametrize(
    ("status", "code", "message", "expected"), CASES, ids=[f"{case[1]}-{i}" for i, case in enumerate(CASES)]
)


@cases
@pytest.mark.parametrize("streaming", [True, False])
def test_before_the_answer(
    upstream: Upstream, status: int, code: str, message: str, expected: tuple[Any, ...], streaming: bool
) -> None:
    upstream.says(status, {"message": message}, x_amzn_errortype=code + SUFFIX)
    with pytest.raises(EngineError) as caught:
        ask(upstream, streaming=streaming)
    assert shown(caught.value) == expected
    # Without the header, the code is in the body.
    upstream.says(status, {"Message": message, "__type": f"com.amazon#{code}"})
    with pytest.raises(EngineError) as caught:
        ask(upstream, streaming=streaming)
    assert shown(caught.value) == expected


@cases
def test_within_the_answer(upstream: Upstream, status: int, code: str, message: str, expected: tuple[Any, ...]) -> None:
    upstream.streams(text("Hi"), exception(code[0].lower() + code[1:], {"message": message}))
    with pytest.raises(EngineError) as caught:
        ask(upstream)
    assert shown(caught.value) == expected


def test_the_answer_before_it_is_given(upstream: Upstream) -> None:
    import asyncio

    upstream.streams(text("Hi"), exception("modelStreamErrorException", {"message": "x", "originalStatusCode": 529}))

    async def run() -> tuple[Any, int | None]:
        engine = Bedrock(spec(upstream))
        deltas = engine.chat(HELLO)
        first = await anext(deltas)
        with pytest.raises(EngineFailed) as caught:
            await anext(deltas)
        await engine.close()
        return first, caught.value.status

    assert asyncio.run(run()) == (TextDelta("Hi"), 529)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (502, b"<html>bad gateway</html>", (UpstreamError, "internal", "The upstream answered 502.")),
        (504, b"", (EngineTimeout, None, "The upstream of ours timed out: The upstream answered 504.")),
        (418, b"[1]", (EngineFailed, None, "The upstream answered 418.")),
        (403, b"", (UpstreamError, "denied", "The upstream of ours refused Outcrop's own credentials.")),
    ],
)
def test_what_a_proxy_says(upstream: Upstream, status: int, body: bytes, expected: tuple[Any, ...]) -> None:
    upstream.says(status, body)
    with pytest.raises(EngineError) as caught:
        ask(upstream)
    assert shown(caught.value) == expected


@pytest.mark.parametrize(
    ("header", "seconds"),
    [({"x_amz_retry_after": "2500"}, 2.5), ({"retry_after": "7"}, 7), ({"retry_after": "soon"}, 1), ({}, 1)],
)
def test_when_to_come_again(upstream: Upstream, header: dict[str, str], seconds: float) -> None:
    upstream.says(429, {"message": "slow down"}, x_amzn_errortype="ThrottlingException", **header)
    with pytest.raises(EngineBusy) as caught:
        ask(upstream)
    assert caught.value.retry_after == seconds


def test_an_error_frame(upstream: Upstream) -> None:
    from outcrop.wire.eventstream import Message, encode

    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "It broke."}
    upstream.streams(text("Hi"), encode(Message(headers)))
    with pytest.raises(EngineFailed, match="It broke"):
        ask(upstream)


def test_what_is_said_of_the_operator_is_kept_apart(upstream: Upstream) -> None:
    upstream.says(403, {"message": "User: op"}, x_amzn_errortype="AccessDeniedException")
    with pytest.raises(UpstreamError) as caught:
        ask(upstream)
    assert caught.value.detail == "AccessDeniedException: User: op"
