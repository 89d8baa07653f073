"""Converse's request and response around one generation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from outcrop.context import Context
from outcrop.engines.engine import ChatRequest, Finish
from outcrop.errors import ValidationException
from outcrop.inference import fields
from outcrop.inference.answer import Answer, content
from outcrop.inference.conversation import Reader, turns_of
from outcrop.inference.reasoning import Signer
from outcrop.inference.sampling import sampling_of
from outcrop.inference.structured_output import native_schema_of, schema_of
from outcrop.inference.tools import tools_of
from outcrop.inference.usage import token_usage
from outcrop.inference.wording import CONVERSE
from outcrop.models.model import Model
from outcrop.shapes.bedrock_runtime import (
    ConverseRequest,
    ConverseResponse,
    ConverseStreamMetadataEvent,
    ConverseStreamRequest,
    ConverseTokensRequest,
    MessageStopEvent,
    OutputConfig,
    PerformanceConfiguration,
    ServiceTier,
)


async def chat_request(ctx: Context, model: Model, request: ConverseRequest | ConverseStreamRequest) -> ChatRequest:
    """ValidationException for whatever is wrong with it or cannot be done by this model."""
    _check_chat(model)
    config = request.get("inferenceConfig", {})
    extra = fields.extra_of(request.get("additionalModelRequestFields"), model, config.get("maxTokens"))
    fields.check_pointers(request.get("additionalModelResponseFieldPaths"))
    tools, choice = tools_of(request.get("toolConfig"), model)
    schema = _schema(request.get("outputConfig"), extra.output, model)
    sampling = sampling_of(config, extra, model, CONVERSE)
    turns = await turns_of(
        _reader(ctx, model), request.get("messages", []), request.get("system"), request.get("toolConfig")
    )
    return ChatRequest(turns, tools, choice, schema, sampling, extra.thinking)


async def counted_request(ctx: Context, model: Model, request: ConverseTokensRequest) -> ChatRequest:
    """The same, of what can change the number of tokens."""
    _check_chat(model)
    extra = fields.extra_of(request.get("additionalModelRequestFields"), model, None)
    tools, choice = tools_of(request.get("toolConfig"), model)
    turns = await turns_of(
        _reader(ctx, model), request.get("messages", []), request.get("system"), request.get("toolConfig")
    )
    return ChatRequest(turns, tools, choice, thinking=extra.thinking)


def _schema(config: OutputConfig | None, native: Mapping[str, Any], model: Model) -> Mapping[str, Any] | None:
    """Converse has a member for it, and clients that are older than that use Claude's own."""
    if config is not None and native:
        raise ValidationException("outputConfig and output_config are two names of one thing: give one of them.")
    return native_schema_of(native, model) if native else schema_of(config, model)


def _check_chat(model: Model) -> None:
    if not model.capabilities.chat:
        raise ValidationException("This model doesn't support the Converse API. Try again with a text model.")


def _reader(ctx: Context, model: Model) -> Reader:
    return Reader(model, CONVERSE, Signer(ctx.parts.vault))


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an answer, whole or streamed. `started` is when the request was taken up, by `perf_counter`.

    `invoked` is the model that a prompt router chose.
    """

    started: float
    paths: Sequence[str] | None
    latency: PerformanceConfiguration | None
    tier: ServiceTier | None
    invoked: str | None = None

    @classmethod
    def of(cls, request: ConverseRequest | ConverseStreamRequest) -> Ending:
        return cls(
            perf_counter(),
            request.get("additionalModelResponseFieldPaths"),
            request.get("performanceConfig"),
            request.get("serviceTier"),
        )

    def routed_to(self, invoked: str | None) -> Ending:
        return replace(self, invoked=invoked)

    def stop(self, finish: Finish, stop_reason: str) -> MessageStopEvent:
        event: MessageStopEvent = {"stopReason": stop_reason}
        if (extra := fields.response_fields(self.paths, finish, stop_reason)) is not None:
            event["additionalModelResponseFields"] = extra
        return event

    def metadata(self, finish: Finish) -> ConverseStreamMetadataEvent:
        metadata: ConverseStreamMetadataEvent = {
            "usage": token_usage(finish.usage),
            "metrics": {"latencyMs": milliseconds_since(self.started)},
        }
        if self.latency is not None:
            metadata["performanceConfig"] = self.latency
        if self.tier is not None:
            metadata["serviceTier"] = self.tier
        if self.invoked is not None:
            metadata["trace"] = {"promptRouter": {"invokedModelId": self.invoked}}
        return metadata


def response(answer: Answer, ending: Ending, signer: Signer) -> ConverseResponse:
    blocks = [
        content(block, signer.sign(block.text, block.signature) if block.kind == "reasoning" else None)
        for block in answer.blocks
    ]
    return {
        "output": {"message": {"role": "assistant", "content": blocks}},
        **ending.stop(answer.finish, answer.stop_reason),
        **ending.metadata(answer.finish),
    }


def milliseconds_since(started: float) -> int:
    return round((perf_counter() - started) * 1000)
