"""OpenTelemetry traces with the GenAI conventions, sent by OTLP over HTTP with the official packages.

One span for each generation, a child of the caller's own span where the request has a `traceparent`. What was said is
never in it. Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai
from opentelemetry.semconv.attributes import error_attributes
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from outcrop import __version__
from outcrop.engines.engine import ChatRequest, CompletionRequest, Finish, Sampling, Usage
from outcrop.telemetry.observer import Asked

PROVIDER = "aws.bedrock"
ACCOUNT, REQUEST = "aws.account.id", "aws.request_id"


class Traces:
    """`endpoint` is a collector's URL for traces, such as http://127.0.0.1:4318/v1/traces."""

    def __init__(self, endpoint: str) -> None:
        resource = Resource.create({"service.name": "outcrop", "service.version": __version__})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("outcrop", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def request(self, operation: str, status: int, error: str | None, seconds: float) -> None:
        """Spans are of generations."""

    def generation(self, asked: Asked) -> _Generation:
        carrier = {} if asked.traceparent is None else {"traceparent": asked.traceparent}
        kind = _operation(asked)
        span = self._tracer.start_span(
            f"{kind} {asked.model_id}",
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes=_asked(asked, kind),
        )
        return _Generation(span)

    def fallback(self, model_id: str, engine: str) -> None:
        """Of engines only the model is told."""

    def close(self) -> None:
        self._provider.shutdown()


class _Generation:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def first(self) -> None:
        self._span.add_event("gen_ai.first_token")

    def finished(self, usage: Usage, finish: Finish | None) -> None:
        self._span.set_attribute(gen_ai.GEN_AI_USAGE_INPUT_TOKENS, usage.input_tokens)
        self._span.set_attribute(gen_ai.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS, usage.cached_tokens)
        if finish is not None:
            self._span.set_attribute(gen_ai.GEN_AI_USAGE_OUTPUT_TOKENS, usage.output_tokens)
            self._span.set_attribute(gen_ai.GEN_AI_RESPONSE_FINISH_REASONS, [finish.reason])
        self._span.end()

    def failed(self, code: str, produced: int = 0) -> None:
        self._span.set_attribute(error_attributes.ERROR_TYPE, code)
        self._span.set_status(StatusCode.ERROR, code)
        self._span.end()


def _operation(asked: Asked) -> str:
    if asked.request is None:
        return "embeddings"
    return "chat" if isinstance(asked.request, ChatRequest) else "text_completion"


def _asked(asked: Asked, kind: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        gen_ai.GEN_AI_OPERATION_NAME: kind,
        gen_ai.GEN_AI_PROVIDER_NAME: PROVIDER,
        gen_ai.GEN_AI_REQUEST_MODEL: asked.model_id,
        gen_ai.GEN_AI_RESPONSE_MODEL: asked.model_id,
        ACCOUNT: asked.account,
        "cloud.region": asked.region,
        REQUEST: asked.request_id,
    }
    if isinstance(asked.request, ChatRequest | CompletionRequest):
        attributes |= _sampling(asked.request.sampling)
        attributes[gen_ai.GEN_AI_OUTPUT_TYPE] = "text" if asked.request.json_schema is None else "json"
    return attributes


def _sampling(sampling: Sampling) -> dict[str, Any]:
    given = {
        gen_ai.GEN_AI_REQUEST_MAX_TOKENS: sampling.max_tokens,
        gen_ai.GEN_AI_REQUEST_TEMPERATURE: sampling.temperature,
        gen_ai.GEN_AI_REQUEST_TOP_P: sampling.top_p,
        gen_ai.GEN_AI_REQUEST_TOP_K: sampling.top_k,
        gen_ai.GEN_AI_REQUEST_SEED: sampling.seed,
        gen_ai.GEN_AI_REQUEST_FREQUENCY_PENALTY: sampling.frequency_penalty,
        gen_ai.GEN_AI_REQUEST_PRESENCE_PENALTY: sampling.presence_penalty,
        gen_ai.GEN_AI_REQUEST_STOP_SEQUENCES: list(sampling.stop) or None,
    }
    return {name: value for name, value in given.items() if value is not None}
