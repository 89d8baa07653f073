"""POST messages, POST messages/count_tokens: the native body, with the model in it and the version in a header."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

import orjson

from outcrop.compatible import models
from outcrop.compatible.endpoint import Answered, Asking
from outcrop.context import Context
from outcrop.engines.engine import EngineError, Unsupported
from outcrop.errors import ValidationException
from outcrop.inference.failures import before_the_answer, unwrapped
from outcrop.inference.families import anthropic_messages, flow
from outcrop.inference.families.family import Asked
from outcrop.inference.wording import ANTHROPIC
from outcrop.models.model import Model

# What the body has here and InvokeModel's has not.
_ONLY_HERE = ("model", "stream", "service_tier")


async def create(ctx: Context, asking: Asking) -> Answered:
    begun = perf_counter()
    given = asking.body()
    models.enter_tier(given.get("service_tier"))
    model, asked = await _read(ctx, asking, given)
    if not isinstance(given.get("stream", False), bool | None):
        raise ValidationException("stream: Input should be a valid boolean")
    if given.get("stream"):
        return await flow.begun(anthropic_messages, ctx, model, asked, begun, metrics=False)
    answer, _ = await flow.completed(anthropic_messages, ctx, model, asked)
    return answer


async def count_tokens(ctx: Context, asking: Asking) -> Answered:
    given = asking.body()
    if "max_tokens" in given:
        raise ValidationException("max_tokens: Extra inputs are not permitted")
    model, asked = await _read(ctx, asking, {**given, "max_tokens": 1, "thinking": None})
    try:
        with unwrapped():
            return {"input_tokens": await ctx.engine(model.id).count_tokens(asked.request)}
    except Unsupported:
        raise ValidationException("This model doesn't support counting tokens.") from None
    except EngineError as problem:
        raise before_the_answer(problem, model.id, ANTHROPIC) from problem


async def _read(ctx: Context, asking: Asking, given: dict[str, Any]) -> tuple[Model, Asked]:
    model = models.found(ctx, given.get("model"))
    models.refuse_guardrails(asking.request)
    body = {name: value for name, value in given.items() if name not in _ONLY_HERE}
    body.setdefault("anthropic_version", "bedrock-2023-05-31")
    with unwrapped():
        asked = await anthropic_messages.read(ctx, model, orjson.dumps(body))
    return model, replace(asked, given={**asked.given, "model": given["model"]})
