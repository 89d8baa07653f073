"""Stands in for api.anthropic.com: its paths, headers, streaming events and errors, with a scripted engine behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from outcrop.engines.scripted import Scripted
from outcrop.errors import AwsError
from outcrop.inference.operations import count_tokens, invoke_model_with_response_stream
from outcrop.request import HttpRequest
from outcrop.settings import ModelSpec
from tests.conformance.loopback import Answer
from tests.inference.bench import MODEL, Bench, bench, settings

KEY = "sk-ant-a-key"
_ERRORS = {"ValidationException": (400, "invalid_request_error"), "ThrottlingException": (429, "rate_limit_error")}


class StandIn:
    def __init__(self, folder: Path) -> None:
        spec = ModelSpec(id=MODEL, engine="scripted", context_tokens=2000)
        engine: Any = Scripted(spec)
        self._bench: Bench = bench(folder, engine=engine, chosen=settings(models=(spec,)))

    def __call__(self, request: HttpRequest) -> Answer:
        if request.header("x-api-key") != KEY:
            return _error(401, "authentication_error", "invalid x-api-key")
        if request.header("anthropic-version") != "2023-06-01":
            return _error(400, "invalid_request_error", "anthropic-version: header is required")
        body = orjson.loads(request.body)
        if body.pop("model") != "claude-x":
            return _error(404, "not_found_error", "model: ?")
        try:
            if request.raw_path == "/v1/messages" and body.pop("stream"):
                return 200, [("content-type", "text/event-stream")], self._streamed(body)
            if request.raw_path == "/v1/messages/count_tokens":
                return 200, [], orjson.dumps({"input_tokens": self._counted(body)})
        except AwsError as error:
            status, kind = _ERRORS[error.code]
            return _error(status, kind, error.message)
        return _error(404, "not_found_error", "Not found")

    def _streamed(self, body: dict[str, Any]) -> bytes:
        chunks = self._bench.stream(invoke_model_with_response_stream, body=_native(body))
        events = [orjson.loads(chunk["chunk"]["bytes"]) for chunk in chunks]
        for event in events:
            event.pop("amazon-bedrock-invocationMetrics", None)
        ping = b'event: ping\ndata: {"type": "ping"}\n\n'
        return ping + b"".join(b"event: %s\ndata: %s\n\n" % (e["type"].encode(), orjson.dumps(e)) for e in events)

    def _counted(self, body: dict[str, Any]) -> int:
        given = {"invokeModel": {"body": _native({**body, "max_tokens": 1})}}
        return int(self._bench.call(count_tokens, input=given)["inputTokens"])


def _native(body: dict[str, Any]) -> bytes:
    return orjson.dumps({**body, "anthropic_version": "bedrock-2023-05-31"})


def _error(status: int, kind: str, message: str) -> Answer:
    return status, [], orjson.dumps({"type": "error", "error": {"type": kind, "message": message}})
