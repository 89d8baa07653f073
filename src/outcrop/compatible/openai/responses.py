"""POST responses, GET and DELETE responses/{id}, GET responses/{id}/input_items."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import perf_counter
from typing import Any

from outcrop.compatible import models
from outcrop.compatible.endpoint import Answered, Asking, Event
from outcrop.compatible.openai import response_request as requests
from outcrop.compatible.openai import response_store as store
from outcrop.compatible.openai.response_object import Events, new_id, opening, whole
from outcrop.context import Context
from outcrop.engines.engine import CompletionRequest, EngineError
from outcrop.errors import ValidationException
from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.failures import unwrapped
from outcrop.inference.families import flow, openai_request
from outcrop.inference.families.body import opened
from outcrop.inference.families.family import Answering
from outcrop.models.model import Model


async def create(ctx: Context, asking: Asking) -> Answered:
    begun = perf_counter()
    given = opened(asking.request.body, requests.MEMBERS)
    model = models.found(ctx, given["model"])
    models.refuse_guardrails(asking.request)
    requests.check(given)
    keep = await asyncio.to_thread(store.wanted, ctx, given.get("store"))
    given = {**given, "store": keep, "service_tier": models.enter_tier(given.get("service_tier"))}
    items = _identified(requests.items_of(given["input"]))
    earlier = await asyncio.to_thread(store.history, ctx, given.get("previous_response_id"))
    if not model.capabilities.chat:
        raise ValidationException("This model doesn't support the Responses API.")
    with unwrapped():
        asked = await openai_request.asked(ctx, model, requests.chat_body(given, [*earlier, *items]))
    family = _Response(opening(given, int(ctx.now().timestamp())))
    if given.get("stream"):
        events = await flow.begun(family, ctx, model, asked, begun, metrics=False)
        return _kept(ctx, items, events) if keep else events
    response, _ = await flow.completed(family, ctx, model, asked)
    response["usage"]["output_tokens_details"]["reasoning_tokens"] = await _tokens(ctx, model, _reasoning(response))
    if keep:
        await asyncio.to_thread(store.save, ctx, items, response)
    return response


async def get(ctx: Context, asking: Asking) -> Answered:
    return (await asyncio.to_thread(store.find, ctx, asking.labels["id"])).response


async def delete(ctx: Context, asking: Asking) -> Answered:
    await asyncio.to_thread(store.remove, ctx, asking.labels["id"])
    return {"id": asking.labels["id"], "object": "response.deleted", "deleted": True}


async def input_items(ctx: Context, asking: Asking) -> Answered:
    items = (await asyncio.to_thread(store.find, ctx, asking.labels["id"])).items
    ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {"first_id": None, "last_id": None}
    return {"object": "list", "data": items, "has_more": False, **ends}


class _Response:
    """What `flow` needs of a family, for one response."""

    def __init__(self, opened: dict[str, Any]) -> None:
        self._opened = opened

    def write(self, answering: Answering, answer: Answer) -> dict[str, Any]:
        return whole(self._opened, answer, 0)

    def chunks(self, answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
        async def count(text: str) -> int:
            return await _tokens(answering.ctx, answering.model, text)

        return Events(self._opened).of(pieces, count)


def _identified(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kinds = {"function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
    return [{"id": new_id(kinds.get(item["type"], "msg")), **item} for item in items]


def _reasoning(response: dict[str, Any]) -> str:
    items = (item for item in response["output"] if item["type"] == "reasoning")
    return "".join(part["text"] for item in items for part in item["content"])


async def _tokens(ctx: Context, model: Model, text: str) -> int:
    """Of what the model thought aloud, by its own tokenizer; 0 where the engine cannot count."""
    if not text:
        return 0
    try:
        return await ctx.engine(model.id).count_tokens(CompletionRequest(text))
    except EngineError:
        return 0


async def _kept(
    ctx: Context, items: list[dict[str, Any]], events: AsyncGenerator[Event, None]
) -> AsyncGenerator[Event, None]:
    """The same events; the response is on disk before its last one is sent."""
    async with aclosing(events):
        async for event in events:
            if event["type"] in ("response.completed", "response.incomplete"):
                await asyncio.to_thread(store.save, ctx, items, event["response"])
            yield event
