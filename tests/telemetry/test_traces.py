"""OpenTelemetry traces of a real server, received by a collector that speaks OTLP's own protocol."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.compatible.test_doors import ask
from tests.live import Server, serve
from tests.serve.calls import CONVERSE, MODEL, SCRIPT, STREAM, call, opened, said, settings

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.raw = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.raw += body
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"

    def wait(self, number: int) -> list[Span]:
        for _ in range(300):
            if len(self.spans) >= number:
                break
            time.sleep(0.05)
        return self.spans


def attributes(span: Span) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in span.attributes:
        kind = pair.value.WhichOneof("value")
        found[pair.key] = (
            [item.string_value for item in pair.value.array_value.values]
            if kind == "array_value"
            else getattr(pair.value, str(kind))
        )
    return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("traces")
    script = home / "script.json"
    script.write_text(json.dumps(SCRIPT))
    more = f'[telemetry]\ntraces = "{collector.url}"\n'
    with serve(home, settings=settings(str(script)) + more) as running:
        yield running


def test_a_span_for_each_generation(server: Server, collector: Collector) -> None:
    secret = "tell nobody of Xanadu"
    body = json.loads(said(secret))
    body["inferenceConfig"] = {"maxTokens": 50, "temperature": 0.5, "stopSequences": ["END"]}
    assert call(server, CONVERSE, json.dumps(body).encode()).status == 200
    assert call(server, STREAM, said("hello there")).status == 200
    assert call(server, CONVERSE, said("busy")).status == 429
    gone = opened(server, STREAM, said("slowly"))
    gone.getresponse().read(1)
    gone.close()
    spans = collector.wait(4)
    assert [span.name for span in spans] == [f"chat {MODEL}"] * 4
    first, second, third, fourth = (attributes(span) for span in spans)
    assert first["gen_ai.operation.name"] == "chat"
    assert first["gen_ai.provider.name"] == "aws.bedrock"
    assert first["gen_ai.request.model"] == MODEL
    assert (first["gen_ai.request.max_tokens"], first["gen_ai.request.temperature"]) == (50, 0.5)
    assert first["gen_ai.request.stop_sequences"] == ["END"]
    assert first["gen_ai.response.finish_reasons"] == ["stop"]
    assert (first["gen_ai.usage.input_tokens"], first["gen_ai.usage.output_tokens"]) == (5, 4)
    assert len(first["aws.account.id"]) == 12
    assert [event.name for event in spans[1].events] == ["gen_ai.first_token"]
    assert second["gen_ai.usage.output_tokens"] == 4
    assert third["error.type"] == "ThrottlingException"
    assert spans[2].status.code == 2
    assert fourth["error.type"] == "ClientDisconnected"
    assert b"Xanadu" not in collector.raw


def test_it_is_a_child_of_the_callers_span(server: Server, collector: Collector) -> None:
    """Unsigned headers of a signed request are allowed, and a trace context is one."""
    from datetime import UTC, datetime

    from outcrop.identity.bearer import new_short_term_key

    environment = server.environment
    key = new_short_term_key(
        environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], "us-east-1", datetime.now(UTC)
    )
    headers = {"authorization": f"Bearer {key}", "traceparent": f"00-{TRACE}-{PARENT}-01"}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
    status, _, _ = ask(server, "POST", "/v1/chat/completions", body, headers)
    assert status == 200
    (span,) = collector.wait(1)
    assert span.trace_id.hex() == TRACE
    assert span.parent_span_id.hex() == PARENT
