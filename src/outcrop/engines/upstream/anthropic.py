"""Anthropic's Messages API as a model's engine, with the operator's own key."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Delta,
    EngineError,
    EngineFailed,
    Unsupported,
    Usage,
)
from outcrop.engines.keys import key_of
from outcrop.engines.openai.engine import has_images
from outcrop.engines.openai.http import Errors, Http
from outcrop.engines.upstream.anthropic_answer import Events, error_in_stream, error_of
from outcrop.engines.upstream.anthropic_body import counted_body, messages_body
from outcrop.settings import ModelSpec

ANTHROPIC = "https://api.anthropic.com"
VERSION = "2023-06-01"
# What Claude models take where the settings do not say.
CONTEXT_TOKENS = 200_000
# The API wants a limit with every request: this is it where neither the caller nor the settings have one.
MOST_TOKENS = 8192


class Anthropic:
    def __init__(self, spec: ModelSpec) -> None:
        """EngineError where there is no key."""
        key = key_of(spec)
        if key is None and spec.url is None:
            raise EngineError(f"The model {spec.id} needs an api_key_env: the variable that holds Anthropic's key.")
        self.spec = spec
        self._model = spec.model or spec.id
        headers = {"anthropic-version": VERSION} | ({} if key is None else {"x-api-key": key})
        self._http = Http(
            spec.url or ANTHROPIC, name=spec.id, headers=headers, key=key,
            errors=Errors(error_of, error_in_stream), silence_seconds=spec.silence_seconds,
        )  # fmt: skip

    @property
    def able(self) -> Capabilities:
        spec = self.spec
        return Capabilities(
            spec.context_tokens or CONTEXT_TOKENS,
            tools=spec.tools is not False,
            json_schema=spec.json_schema,
            images=spec.images,
            reasoning=spec.reasoning,
            cache_points=True,
        )

    async def start(self) -> None:
        """There is nothing to load."""

    async def capabilities(self) -> Capabilities:
        return self.able

    def ready(self) -> bool:
        return True

    async def close(self) -> None:
        await self._http.close()

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        self._check(request)
        most = self.spec.max_output_tokens or MOST_TOKENS
        body = {**messages_body(request, most_tokens=most), "model": self._model, "stream": True}
        reader = Events()
        async with aclosing(self._http.events("/v1/messages", body)) as arrived:
            async for events in arrived:
                for event in events:
                    for delta in reader.read(event):
                        yield delta
        yield reader.finish()

    def _check(self, request: ChatRequest) -> None:
        able = self.able
        if request.tools and not able.tools:
            raise Unsupported("tool use")
        if request.json_schema is not None and not able.json_schema:
            raise Unsupported("structured output")
        if not able.images and has_images(request):
            raise Unsupported("images")

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        raise Unsupported("raw completion")
        yield  # makes this a generator

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        if isinstance(request, CompletionRequest):
            raise Unsupported("counting tokens")
        answer = await self._http.post("/v1/messages/count_tokens", {**counted_body(request), "model": self._model})
        if not isinstance(answer, dict) or not isinstance(answer.get("input_tokens"), int):
            raise EngineFailed(f"The upstream of {self.spec.id} answered no number of tokens.")
        return int(answer["input_tokens"])

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        raise Unsupported("embeddings")

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        raise Unsupported("reranking")
