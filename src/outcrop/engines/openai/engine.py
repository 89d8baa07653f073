"""Any OpenAI-compatible server as an engine: vLLM, SGLang, Ollama, LM Studio, llama-server, a cloud."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Delta,
    EngineError,
    EngineFailed,
    Image,
    InvalidRequest,
    Unsupported,
    Usage,
)
from outcrop.engines.judge import Judge, conforming
from outcrop.engines.keys import key_of
from outcrop.engines.openai.bodies import chat_body, completion_body, messages_of, tool_body
from outcrop.engines.openai.chunks import Chunks
from outcrop.engines.openai.cloud import OPENAI, cloud_body, is_cloud
from outcrop.engines.openai.http import Http
from outcrop.settings import ModelSpec

# What is assumed of a server that does not say how long its context is and whose settings do not say it either.
UNKNOWN_CONTEXT_TOKENS = 131_072


class OpenAi:
    """`http` has the base URL, with its `/v1`."""

    def __init__(self, spec: ModelSpec, http: Http | None = None) -> None:
        self.spec = spec
        self._model = spec.model or spec.id
        self._http = http or _http(spec)
        self._cloud = spec.cloud if spec.cloud is not None else is_cloud(self._http.base)
        self._context: int | None = spec.context_tokens
        self._counts = not self._cloud

    async def start(self) -> None:
        """Asks the server what it serves: it must be there, and may tell the length of its context."""
        listed = await self._http.get("/models")
        models = [model for model in listed.get("data") or () if isinstance(model, dict)]
        for model in models:
            if self.spec.context_tokens is None and model.get("id") == self._model:
                self._context = model.get("max_model_len") or self._context

    async def capabilities(self) -> Capabilities:
        return self.able

    @property
    def able(self) -> Capabilities:
        spec = self.spec
        if spec.embeddings or spec.rerank:
            return Capabilities(
                self._context or UNKNOWN_CONTEXT_TOKENS,
                chat=False,
                streaming=False,
                embeddings=spec.embeddings,
                rerank=spec.rerank,
                count_tokens=False,
            )
        return Capabilities(
            self._context or UNKNOWN_CONTEXT_TOKENS,
            tools=spec.tools is not False,
            json_schema=spec.json_schema,
            images=spec.images,
            reasoning=spec.reasoning,
            count_tokens=self._counts,
        )

    def ready(self) -> bool:
        return True

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        self.check(request)
        body = {**self._chat_body(request), "model": self._model}
        names = [tool.name for tool in request.tools]
        answer = self._streamed("/chat/completions", body, Chunks(tools=names, max_tokens=_most(request)))
        async with aclosing(conforming(answer, Judge(request))) as deltas:
            async for delta in deltas:
                yield delta

    def _chat_body(self, request: ChatRequest) -> dict[str, Any]:
        body = chat_body(request)
        return cloud_body(body, request) if self._cloud else {**body, **continued(request)}

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        body = {**completion_body(request), "model": self._model}
        answer = self._streamed("/completions", body, Chunks(max_tokens=_most(request)))
        async with aclosing(conforming(answer, Judge(request))) as deltas:
            async for delta in deltas:
                yield delta

    def check(self, request: ChatRequest) -> None:
        """Unsupported for what this model cannot do."""
        able = self.able
        if not able.chat:
            raise Unsupported("chat")
        if request.tools and not able.tools:
            raise Unsupported("tool use")
        if request.json_schema is not None and not able.json_schema:
            raise Unsupported("structured output")
        if not able.images and has_images(request):
            raise Unsupported("images")

    async def _streamed(self, path: str, body: Mapping[str, Any], chunks: Chunks) -> AsyncGenerator[Delta, None]:
        body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        async with aclosing(self._http.events(path, body)) as arrived:
            async for events in arrived:
                for delta in chunks.read(events):
                    yield delta
        for delta in chunks.finish():
            yield delta

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        """vLLM's and SGLang's `/tokenize`. Unsupported where the server has none."""
        if not self._counts:
            raise Unsupported("counting tokens")
        if isinstance(request, CompletionRequest):
            body: dict[str, Any] = {"model": self._model, "prompt": request.prompt}
        else:
            body = {"model": self._model, "messages": messages_of(request.messages), **continued(request)}
            if request.tools and request.tool_choice.mode != "none":
                body["tools"] = [tool_body(tool) for tool in request.tools]
        try:
            answer = await self._http.post("//tokenize", body)
        except (EngineFailed, InvalidRequest) as problem:
            if isinstance(problem, InvalidRequest) or problem.status in (404, 405, 501):
                self._counts = False
                raise Unsupported("counting tokens") from None
            raise
        if not isinstance(answer.get("count"), int):
            raise Unsupported("counting tokens")
        return int(answer["count"])

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        if not self.able.embeddings:
            raise Unsupported("embeddings")
        answer = await self._http.post("/embeddings", {"model": self._model, "input": list(texts)})
        return vectors_of(answer, len(texts), self.spec.id)

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        """By the `/rerank` that vLLM, llama-server, SGLang and others share; the scores are those of the server."""
        if not self.able.rerank:
            raise Unsupported("reranking")
        body = {"model": self._model, "query": query, "documents": list(documents)}
        return scores_of(await self._http.post("/rerank", body), len(documents), self.spec.id)

    async def close(self) -> None:
        await self._http.close()


def vectors_of(answer: Mapping[str, Any], count: int, name: str) -> tuple[list[list[float]], Usage]:
    """The vectors of an embeddings answer in the order of the texts."""
    rows = sorted(answer.get("data") or (), key=lambda row: row.get("index", 0))
    if len(rows) != count:
        raise EngineFailed(f"{name} answered {len(rows)} vectors for {count} texts.")
    usage = answer.get("usage") or {}
    return [list(map(float, row["embedding"])) for row in rows], Usage(usage.get("prompt_tokens") or 0, 0)


def scores_of(answer: Mapping[str, Any], count: int, name: str) -> tuple[list[float], Usage]:
    """The scores of a rerank answer in the order of the documents."""
    rows = sorted(answer.get("results") or (), key=lambda row: row.get("index", 0))
    if [row.get("index") for row in rows] != list(range(count)):
        raise EngineFailed(f"{name} answered {len(rows)} scores for {count} documents.")
    usage = answer.get("usage") or {}
    tokens = usage.get("prompt_tokens") or usage.get("total_tokens") or 0
    return [float(row["relevance_score"]) for row in rows], Usage(tokens, 0)


def has_images(request: ChatRequest) -> bool:
    parts = [part for turn in request.messages for part in turn.parts]
    inner = [part for result in parts for part in getattr(result, "parts", ())]
    return any(isinstance(part, Image) for part in (*parts, *inner))


def continued(request: ChatRequest) -> dict[str, Any]:
    """vLLM's and SGLang's words for a prefill; other servers continue a last assistant message by themselves."""
    if request.messages and request.messages[-1].role == "assistant":
        return {"continue_final_message": True, "add_generation_prompt": False}
    return {}


def _most(request: ChatRequest | CompletionRequest) -> int | None:
    return request.sampling.max_tokens


def _http(spec: ModelSpec) -> Http:
    """EngineError where it is not clear which server is meant: without a URL, only who has set a key means OpenAI."""
    key = key_of(spec)
    if spec.url is None and key is None:
        raise EngineError(
            f"The model {spec.id} needs a url: an OpenAI-compatible one such as http://127.0.0.1:8000/v1; or, for "
            "OpenAI itself, an api_key_env."
        )
    url = spec.url or OPENAI
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return Http(url, name=spec.id, headers=headers, key=key, silence_seconds=spec.silence_seconds)
