"""llama.cpp, embedded by the wheel `xllamacpp`, in a process of its own for each model."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from outcrop.engines.cores import usable_cores
from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Delta,
    EngineBusy,
    EngineError,
    EngineFailed,
    Finish,
    InvalidRequest,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Unsupported,
    Usage,
)
from outcrop.engines.llamacpp.calls import CallReader, call_in, call_schema
from outcrop.engines.openai.bodies import chat_body, messages_of, sampling_body, tool_body
from outcrop.engines.openai.chunks import Chunks
from outcrop.engines.openai.engine import has_images, vectors_of
from outcrop.engines.openai.http import Http
from outcrop.engines.supervisor import Launch, Supervisor
from outcrop.engines.weights import WeightsError, servable
from outcrop.engines.weights.gguf import GgufFile, inspect
from outcrop.settings import EngineSettings, ModelSpec

# The context a model is loaded with unless its settings say more: all slots' caches are allocated at the start.
LONGEST_DEFAULT_CONTEXT = 8192
# Requests that may wait for each slot; more are turned away.
WAITING_PER_SLOT = 32


class LlamaCpp:
    def __init__(self, spec: ModelSpec, settings: EngineSettings, home: Path) -> None:
        self.spec = spec
        self._settings = settings
        self._home = home
        self._folder: Path | None = None
        self._key = secrets.token_urlsafe(24)
        self._http: Http | None = None
        self._running = 0
        self.process = Supervisor(spec.id, self._launch)

    @cached_property
    def file(self) -> GgufFile:
        """The model's file, checked. EngineError with a sentence if it cannot be served."""
        if self.spec.path is None:
            raise EngineError(f"The model {self.spec.id} needs a path: a GGUF file or a Hugging Face folder.")
        try:
            return inspect(servable(Path(self.spec.path).expanduser(), self._home / "converted"))
        except WeightsError as problem:
            raise EngineError(str(problem)) from None

    @cached_property
    def able(self) -> Capabilities:
        file, spec = self.file, self.spec
        if file.is_embedding:
            return Capabilities(
                self.context_tokens,
                chat=False,
                streaming=False,
                embeddings=True,
                count_tokens=False,
                parameters=file.parameters,
            )
        template = file.chat_template or ""
        return Capabilities(
            self.context_tokens,
            tools="tools" in template if spec.tools is None else spec.tools,
            json_schema=True,
            images=spec.projector is not None,
            reasoning="<think>" in template,
            parameters=file.parameters,
        )

    @property
    def context_tokens(self) -> int:
        return self.spec.context_tokens or min(self.file.context_length or 2048, LONGEST_DEFAULT_CONTEXT)

    @property
    def memory_bytes(self) -> int:
        """What the process takes: measured where it runs, else guessed from the size of its file."""
        return _resident(self.process.pid) or self.file.path.stat().st_size + 64 * 1024 * 1024

    async def start(self) -> None:
        await self.process.start()

    async def capabilities(self) -> Capabilities:
        return self.able

    def ready(self) -> bool:
        return self.process.state == "ready"

    async def close(self) -> None:
        await self.process.stop()
        if self._http is not None:
            await self._http.close()
            self._http = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        self._check(request)
        with self._admitted():
            http = await self._started()
            if _must_call(request):
                answer = self._called(http, request)
            elif request.tools and request.json_schema is not None and request.tool_choice.mode == "auto":
                answer = self._called_or_answered(http, request)
            else:
                answer = self._chatted(http, request)
            async with aclosing(answer) as deltas:
                async for delta in deltas:
                    yield delta

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        body = {"prompt": request.prompt, **_native(request)}
        if request.json_schema is not None:
            body["json_schema"] = request.json_schema
        with self._admitted():
            async with aclosing(self._completed(await self._started(), body)) as deltas:
                async for delta in deltas:
                    yield delta

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        if isinstance(request, ChatRequest):
            self._check(request)
        http = await self._started()
        if isinstance(request, CompletionRequest):
            prompt = request.prompt
        elif _must_call(request):
            prompt = await self._call_prompt(http, request)
        else:
            prompt = await _prompt(http, request)
        answer = await http.post("//tokenize", {"content": prompt, "add_special": True, "parse_special": True})
        return len(answer["tokens"])

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        if not self.able.embeddings:
            raise Unsupported("embeddings")
        with self._admitted():
            answer = await (await self._started()).post("/embeddings", {"input": list(texts)})
            return vectors_of(answer, len(texts), self.spec.id)

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        raise Unsupported("reranking")

    def _check(self, request: ChatRequest) -> None:
        able = self.able
        if not able.chat:
            raise Unsupported("chat")
        if request.tools and not able.tools:
            raise Unsupported("tool use")
        if not able.images and has_images(request):
            raise Unsupported("images")

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        if self._running >= self.spec.slots * (1 + WAITING_PER_SLOT):
            raise EngineBusy(f"{self.spec.id} has {self._running} requests under way.")
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    async def _started(self) -> Http:
        await self.process.start()
        assert self._http is not None
        return self._http

    async def _chatted(self, http: Http, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """llama.cpp's own chat: its template, its reading of tool calls and of reasoning."""
        sampling = request.sampling
        body = {
            **chat_body(request),
            "stream": True,
            "stream_options": {"include_usage": True},
            "cache_prompt": True,
            "parallel_tool_calls": True,
        }
        if body.pop("stop", None):
            # A stop string is looked for here, because the chat interface does not say whether it met one; cutting the
            # answer there means that the counts must come with each chunk.
            body["timings_per_token"] = True
        names = [tool.name for tool in request.tools]
        chunks = Chunks(stops=sampling.stop, tools=names, max_tokens=sampling.max_tokens)
        async with aclosing(http.events("/chat/completions", body)) as arrived:
            async for events in arrived:
                for delta in chunks.read(events):
                    yield delta
                if chunks.done:
                    break
        for delta in chunks.finish():
            yield delta

    async def _called(self, http: Http, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """One call of a tool, whatever the model's quality: decoding is held to the call's schema."""
        prompt = await self._call_prompt(http, request)
        body = {"prompt": prompt, **_native(request), "json_schema": call_schema(request.tools, request.tool_choice)}
        # A stop sequence is for what the model says; a call is not said.
        body.pop("stop", None)
        reader = CallReader()
        async with aclosing(self._completed(http, body)) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    for piece in reader.feed(delta.text):
                        yield piece
                elif isinstance(delta, Finish):
                    whole = delta.reason == "stop"
                    for piece in reader.end(whole=whole):
                        yield piece
                    yield Finish("tool_calls", delta.usage) if whole else delta

    async def _called_or_answered(self, http: Http, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """A call of a tool or an answer that fits the schema, as the model likes; which it is, the end shows."""
        prompt = await _prompt(http, request, thinking=False)
        schema = call_schema(request.tools, request.tool_choice, request.json_schema)
        text = ""
        async with aclosing(
            self._completed(http, {"prompt": prompt, **_native(request), "json_schema": schema})
        ) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    text += delta.text
                elif isinstance(delta, Finish):
                    call = call_in(text, request.tools) if delta.reason == "stop" else None
                    if call is None:
                        if text:
                            yield TextDelta(text)
                        yield delta
                    else:
                        yield ToolCallStart(0, "call_0", call[0])
                        yield ToolCallDelta(0, call[1])
                        yield Finish("tool_calls", delta.usage)

    async def _call_prompt(self, http: Http, request: ChatRequest) -> str:
        """The conversation up to where a call's JSON begins."""
        prompt = await _prompt(http, request, thinking=False)
        return f"{prompt}<tool_call>\n" if "<tool_call>" in (self.file.chat_template or "") else prompt

    async def _completed(self, http: Http, body: Mapping[str, Any]) -> AsyncGenerator[Delta, None]:
        """llama.cpp's native completion, which says exactly why it ended."""
        most = body.get("n_predict", -1)
        async with aclosing(http.events("//completion", {**body, "stream": True, "cache_prompt": True})) as arrived:
            async for events in arrived:
                for event in events:
                    if text := event.get("content"):
                        yield TextDelta(text)
                    if event.get("stop"):
                        yield _finish(event, most)
                        return
        raise EngineFailed("The model's answer broke off.")

    def _launch(self) -> Launch:
        # Not in the data folder: the path of a Unix socket may have some hundred characters only.
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="outcrop-"))
        socket = self._folder / "engine.sock"
        socket.unlink(missing_ok=True)
        headers = {"authorization": f"Bearer {self._key}"}
        http = self._http = self._http or Http("http://engine/v1", name=self.spec.id, socket=socket, headers=headers)

        async def is_ready() -> bool:
            try:
                return socket.exists() and (await http.get("//health")).get("status") == "ok"
            except EngineError:
                return False

        return Launch(
            [sys.executable, "-m", "outcrop.engines.llamacpp.worker"],
            {**self.spec.environment, "OUTCROP_WORKER": orjson.dumps(self._parameters(socket)).decode()},
            is_ready,
            self._home / "logs" / f"{self.spec.id.replace('/', '_')}.log",
            self._settings.start_seconds,
        )

    def _parameters(self, socket: Path) -> dict[str, Any]:
        spec = self.spec
        threads = spec.threads or self._settings.threads or default_threads()
        parameters: dict[str, Any] = {
            "model.path": str(self.file.path),
            "model_alias": [spec.id],
            "hostnames": [str(socket)],
            "api_keys": [self._key],
            "n_ctx": self.context_tokens * spec.slots,
            "n_parallel": spec.slots,
            "cpuparams.n_threads": threads,
            "cpuparams_batch.n_threads": threads,
            "n_threads_http": max(4, 2 * spec.slots),
            "ui": False,
            "verbosity": 1,
        }
        if self.file.is_embedding:
            parameters["embedding"] = True
        if spec.projector is not None:
            parameters["mmproj.path"] = str(Path(spec.projector).expanduser())
        return parameters


def default_threads() -> int:
    """One less than there are cores: at as many threads as free cores, llama.cpp's speed falls off a cliff."""
    return max(1, usable_cores() - 1)


def _must_call(request: ChatRequest) -> bool:
    return bool(request.tools) and request.tool_choice.mode in ("any", "tool")


async def _prompt(http: Http, request: ChatRequest, *, thinking: bool = True) -> str:
    """The conversation in the model's own template."""
    body: dict[str, Any] = {"messages": messages_of(request.messages)}
    if request.tools and request.tool_choice.mode != "none":
        body["tools"] = [tool_body(tool) for tool in request.tools]
    if not thinking:
        body["chat_template_kwargs"] = {"enable_thinking": False}
    answer = await http.post("//apply-template", body)
    if not isinstance(answer.get("prompt"), str):
        raise InvalidRequest("The model's chat template cannot render this conversation.")
    return str(answer["prompt"])


def _native(request: ChatRequest | CompletionRequest) -> dict[str, Any]:
    body = sampling_body(request.sampling)
    body["n_predict"] = body.pop("max_tokens", -1)
    return body


def _finish(event: Mapping[str, Any], most: int) -> Finish:
    timings = event.get("timings") or {}
    cached = max(0, timings.get("cache_n") or 0)
    output = event.get("tokens_predicted") or 0
    usage = Usage(event.get("tokens_evaluated") or cached + (timings.get("prompt_n") or 0), output, cached)
    kind = event.get("stop_type")
    if kind == "word":
        return Finish("stop_sequence", usage, event.get("stopping_word"))
    if kind == "limit":
        return Finish("length" if 0 <= most <= output else "context", usage)
    return Finish("stop", usage)


def _resident(pid: int | None) -> int | None:
    """Bytes of the process in memory, where the system tells."""
    if pid is None:
        return None
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
