"""Amazon Bedrock, or another Outcrop, as a model's engine, with the operator's own credentials."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import orjson

from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Delta,
    EngineError,
    EngineFailed,
    NativeAnswer,
    Unsupported,
    Upstream,
    Usage,
)
from outcrop.engines.keys import key_of
from outcrop.engines.openai.engine import UNKNOWN_CONTEXT_TOKENS, has_images
from outcrop.engines.upstream import vectors
from outcrop.engines.upstream.aws import Answer, Aws
from outcrop.engines.upstream.converse import converse_body, counted_body
from outcrop.engines.upstream.converse_answer import Events, deltas_of
from outcrop.engines.upstream.identity import Identity
from outcrop.settings import ModelSpec

_JSON = {"content-type": "application/json", "accept": "application/json"}
_PROFILE = re.compile(
    r"(?:arn:[^:]+:bedrock:[^/]+:inference-profile/)?(?:us|eu|apac|jp|au|us-gov|global)\.(?P<model>.+)"
)
# Requests for vectors that are under way at once for one call.
_VECTORS_AT_ONCE = 8


class Bedrock:
    """Speaks Converse for chats and hands native bodies through as they are."""

    def __init__(self, spec: ModelSpec, *, offline: bool = False) -> None:
        """EngineError with a sentence for settings that cannot be used."""
        self.spec = spec
        self._model = spec.model or spec.id
        self._path = _path(self._model)
        self._kind = vectors.kind_of(self._model)
        if spec.embeddings and self._kind not in vectors.TEXTS_AT_ONCE:
            raise EngineError(
                f"The model {spec.id}: vectors come from Titan and Cohere models, not from {self._model}."
            )
        key = key_of(spec)
        identity = Identity(spec.id, profile=spec.profile, region=spec.region, key=key, offline=offline)
        self._aws = Aws(spec.url or identity.endpoint(), identity, name=spec.id, silence_seconds=spec.silence_seconds)
        self._counts = True

    @property
    def able(self) -> Capabilities:
        spec = self.spec
        context = spec.context_tokens or UNKNOWN_CONTEXT_TOKENS
        if self._kind is not None:
            embeds = self._kind in vectors.TEXTS_AT_ONCE
            return Capabilities(
                context, chat=False, streaming=False, embeddings=embeds, rerank=not embeds, count_tokens=False
            )
        return Capabilities(
            context,
            streaming=spec.streaming,
            tools=spec.tools is not False,
            json_schema=spec.json_schema,
            images=spec.images,
            reasoning=spec.reasoning,
            count_tokens=self._counts,
            cache_points=True,
        )

    async def start(self) -> None:
        """There is nothing to load, and nothing to ask that costs nothing."""

    async def capabilities(self) -> Capabilities:
        return self.able

    def ready(self) -> bool:
        return True

    async def close(self) -> None:
        await self._aws.close()

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        self._check(request)
        body = orjson.dumps(converse_body(request, self._model))
        if not self.spec.streaming:
            for delta in await self._whole(body):
                yield delta
            return
        events = Events()
        async with aclosing(self._aws.events(f"{self._path}/converse-stream", body, _JSON)) as messages:
            async for message in messages:
                for delta in events.read(message.headers[":event-type"], _parsed(message.payload)):
                    yield delta
        yield events.finish()

    async def _whole(self, body: bytes) -> list[Delta]:
        answer = await self._aws.post(f"{self._path}/converse", body, _JSON)
        try:
            return list(deltas_of(_parsed(answer.body)))
        except (KeyError, TypeError, AttributeError):
            raise EngineFailed(f"The upstream of {self.spec.id} answered something that is no message.") from None

    def _check(self, request: ChatRequest) -> None:
        able = self.able
        if not able.chat:
            raise Unsupported("chat")
        if request.tools and not able.tools:
            raise Unsupported("tool use")
        if request.json_schema is not None and not able.json_schema:
            raise Unsupported("structured output")
        if not able.images and has_images(request):
            raise Unsupported("images")

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        """Bedrock has no completion that is the same for all models; native bodies are what speaks to those that have one."""
        raise Unsupported("raw completion")
        yield  # makes this a generator

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        if isinstance(request, CompletionRequest) or not self.able.count_tokens:
            raise Unsupported("counting tokens")
        body = orjson.dumps({"input": {"converse": counted_body(request)}})
        try:
            answer = _parsed((await self._aws.post(f"{_path(_base(self._model))}/count-tokens", body, _JSON)).body)
        except Upstream as problem:
            if problem.kind == "missing" or (problem.kind == "invalid" and "support counting tokens" in str(problem)):
                self._counts = False
                raise Unsupported("counting tokens") from None
            raise
        if not isinstance(answer.get("inputTokens"), int):
            raise EngineFailed(f"The upstream of {self.spec.id} answered no number of tokens.")
        return int(answer["inputTokens"])

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        kind = self._kind
        if kind is None or not self.able.embeddings:
            raise Unsupported("embeddings")
        size = vectors.TEXTS_AT_ONCE[kind]
        batches = [texts[start : start + size] for start in range(0, len(texts), size)]
        at_once = asyncio.Semaphore(_VECTORS_AT_ONCE)

        async def one(batch: Sequence[str]) -> tuple[list[list[float]], int]:
            async with at_once:
                answer = await self._invoked(vectors.embed_body(kind, batch))
            return vectors.vectors_in(kind, answer.body, len(batch)), vectors.tokens_in(answer.body, answer.headers)

        tasks = [asyncio.ensure_future(one(batch)) for batch in batches]
        try:
            found = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            raise
        return [vector for part, _ in found for vector in part], Usage(sum(tokens for _, tokens in found), 0)

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        if self._kind is None or not self.able.rerank:
            raise Unsupported("reranking")
        answer = await self._invoked(vectors.rerank_body(self._kind, query, documents))
        scores = vectors.scores_in(answer.body, len(documents))
        return scores, Usage(vectors.tokens_in(answer.body, answer.headers), 0)

    async def _invoked(self, body: bytes) -> Answer:
        return await self._aws.post(f"{self._path}/invoke", body, _JSON)

    @property
    def models(self) -> tuple[str, ...]:
        return (self._model,)

    async def invoke(
        self,
        body: bytes,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> NativeAnswer:
        given = {**headers, "content-type": content_type, "accept": accept}
        answer = await self._aws.post(f"{self._path}/invoke", body, given)
        told = {name: value for name, value in answer.headers.items() if name.startswith("x-amzn-bedrock-")}
        return NativeAnswer(answer.body, answer.headers.get("content-type", content_type), told)

    async def invoke_streamed(
        self,
        body: bytes,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> AsyncGenerator[bytes, None]:
        given = {**headers, "content-type": content_type, "x-amzn-bedrock-accept": accept}
        async with aclosing(self._aws.events(f"{self._path}/invoke-with-response-stream", body, given)) as messages:
            async for message in messages:
                yield _inner_bytes(message.payload)


def _path(model: str) -> str:
    return f"/model/{quote(model, safe='')}"


def _base(model: str) -> str:
    """Counting is by the ids of models, not by those of system-defined inference profiles."""
    profile = _PROFILE.fullmatch(model)
    return profile["model"] if profile else model


def _inner_bytes(payload: bytes) -> bytes:
    try:
        return base64.b64decode(_parsed(payload)["bytes"], validate=True)
    except (KeyError, TypeError, binascii.Error):
        raise EngineFailed("The upstream sent a chunk without bytes.") from None


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise EngineFailed("The upstream answered something that is not JSON.") from None
    if not isinstance(parsed, dict):
        raise EngineFailed("The upstream answered something that is not an object.")
    return parsed
