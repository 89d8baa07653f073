"""Amazon Nova's messages-v1: Converse's shapes as a body of its own.

Source: https://docs.aws.amazon.com/nova/latest/userguide/complete-request-schema.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

import orjson

from outcrop.context import Context
from outcrop.engines.engine import Finish, Usage
from outcrop.errors import SerializationException, ValidationException
from outcrop.inference import converse
from outcrop.inference.answer import Answer, content
from outcrop.inference.blocks import Piece
from outcrop.inference.families.body import array, check, integer, mapping, number, opened, string
from outcrop.inference.families.family import Answering, Asked
from outcrop.inference.malformed import Violations
from outcrop.inference.reasoning import Signer
from outcrop.inference.stream import events_of
from outcrop.inference.usage import counts
from outcrop.inference.wording import CONVERSE
from outcrop.models.model import Model
from outcrop.request import HttpRequest
from outcrop.shapes.bedrock_runtime import ConverseStreamMetadataEvent, MessageStopEvent
from outcrop.wire.model import load_services

SCHEMA_VERSION = "messages-v1"

_MEMBERS = {
    "schemaVersion": string(),
    "messages": array(required=True),
    "system": array(),
    "inferenceConfig": mapping(),
    "toolConfig": mapping(),
}
_CONFIG = {
    "maxTokens": integer(1), "max_new_tokens": integer(1),
    "temperature": number(0, 1),
    "topP": number(0, 1), "top_p": number(0, 1),
    "topK": integer(0, 500), "top_k": integer(0, 500),
    "stopSequences": array(),
}  # fmt: skip
# Both spellings of what Converse has a member for.
_SPELLINGS = {"max_new_tokens": "maxTokens", "top_p": "topP"}


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    given = opened(body, _MEMBERS)
    if given.get("schemaVersion", SCHEMA_VERSION) != SCHEMA_VERSION:
        raise ValidationException(
            f"Malformed input request: #/schemaVersion: {given['schemaVersion']} is not a valid enum value, please "
            "reformat your input and try again."
        )
    config = given.get("inferenceConfig", {})
    found = Violations()
    check(found, "#/inferenceConfig", config, _CONFIG)
    found.raise_any()
    request = _converse({**given, **_configured(config)}, model)
    return Asked(await converse.chat_request(ctx, model, cast(Any, request)), given, CONVERSE)


def _configured(config: Mapping[str, Any]) -> dict[str, Any]:
    top_k = config.get("topK", config.get("top_k"))
    rest = {_SPELLINGS.get(name, name): value for name, value in config.items() if name not in ("topK", "top_k")}
    return {"inferenceConfig": rest, **({} if top_k is None else {"additionalModelRequestFields": {"top_k": top_k}})}


def _converse(given: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """The body read and checked as Converse's: bytes from base64, unions, lengths and patterns."""
    operation = load_services().operations["bedrock-runtime", "Converse"]
    members = {name: value for name, value in given.items() if name != "schemaVersion"}
    try:
        params = operation.read(HttpRequest("POST", "/", "", [], orjson.dumps(members)), {"modelId": model.id})
    except SerializationException as problem:
        raise ValidationException(
            f"Malformed input request: {problem.message}, please reformat your input and try again."
        ) from None
    operation.check(params)
    return params


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    signer = Signer(answering.ctx.parts.vault)
    blocks = [
        content(block, signer.sign(block.text, block.signature) if block.kind == "reasoning" else None)
        for block in answer.blocks
    ]
    return {
        "output": {"message": {"role": "assistant", "content": blocks}},
        "stopReason": answer.stop_reason,
        "usage": _usage(answer.finish.usage),
    }


async def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    sign = Signer(answering.ctx.parts.vault).sign
    async for event in events_of(pieces, _stop, _metadata, sign):
        yield dict(event)


def _stop(finish: Finish, stop_reason: str) -> MessageStopEvent:
    return {"stopReason": stop_reason}


def _metadata(finish: Finish) -> ConverseStreamMetadataEvent:
    return cast("ConverseStreamMetadataEvent", {"usage": _usage(finish.usage), "metrics": {}, "trace": {}})


def _usage(used: Usage) -> dict[str, int]:
    count = counts(used)
    return {
        "inputTokens": count.fresh,
        "outputTokens": count.output,
        "totalTokens": count.total,
        "cacheReadInputTokenCount": count.cached,
        "cacheWriteInputTokenCount": count.written,
    }
