"""POST chat/completions."""

from __future__ import annotations

from time import perf_counter

from outcrop.compatible import models
from outcrop.compatible.endpoint import Answered, Asking
from outcrop.context import Context
from outcrop.inference.families import flow, openai_chat


async def create(ctx: Context, asking: Asking) -> Answered:
    begun = perf_counter()
    given = asking.body()
    model = models.found(ctx, given.get("model"))
    models.refuse_guardrails(asking.request)
    tier = models.enter_tier(given.get("service_tier"))
    if given.get("stream"):
        return await flow.streamed(openai_chat, ctx, model, asking.request.body, begun, metrics=False)
    answer, _ = await flow.answered(openai_chat, ctx, model, asking.request.body)
    return {**answer, "service_tier": tier} if "service_tier" in given else answer
