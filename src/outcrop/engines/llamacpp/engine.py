"""llama.cpp, embedded by the wheel `xllamacpp`, in a process of its own for each model."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from outcrop.engines.adapters import check
from outcrop.engines.cores import usable_cores
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
from outcrop.engines.judge import Judge, conforming
from outcrop.engines.llamacpp.answers import Answers
from outcrop.engines.llamacpp.calls import must_call
from outcrop.engines.llamacpp.process import Process
from outcrop.engines.openai.engine import has_images, scores_of, vectors_of
from outcrop.engines.openai.http import Http
from outcrop.engines.supervisor import Supervisor
from outcrop.engines.weights import WeightsError, servable
from outcrop.engines.weights.gguf import RANKING, GgufFile, inspect
from outcrop.settings import EngineSettings, ModelSpec

Lora: TypeAlias = list[dict[str, float]] | None

# Architectures whose scores llama.cpp makes probabilities of; others' are logits.
_SCORES = frozenset({"qwen3"})
# The context a model is loaded with unless its settings say more: all slots' caches are allocated at the start.
LONGEST_DEFAULT_CONTEXT = 8192
# So many tokens of prompts are computed at once where answers must be reproducible.
REPRODUCIBLE_TOKENS = 32


class LlamaCpp:
    """A model and its adapters (`adapt`), which are asked for with each request, by their ids."""

    def __init__(self, spec: ModelSpec, settings: EngineSettings, home: Path) -> None:
        self.spec = spec
        self._settings = settings
        self._home = home
        self._first_token: str | None = None
        self._proven: set[bytes] = set()
        self._adapters: dict[str, Path] = {}
        self._switching = asyncio.Lock()
        self._switches: set[asyncio.Task[None]] = set()
        self._number = 0
        self._current = self._process()

    @property
    def process(self) -> Supervisor:
        return self._current.supervisor

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
        if file.is_embedding or file.is_reranker:
            return Capabilities(
                self.context_tokens,
                chat=False,
                streaming=False,
                embeddings=file.is_embedding,
                rerank=file.is_reranker,
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

    def adapt(self, name: str, path: Path) -> None:
        """From now on the model has this adapter; the first request for it has it loaded. From any thread."""
        self._adapters = {**self._adapters, name: path}

    def unadapt(self, name: str) -> None:
        """From now on nobody asks for it; the process may have it a while longer. From any thread."""
        self._adapters = {other: path for other, path in self._adapters.items() if other != name}

    async def start(self, adapter: str | None = None) -> None:
        async with self._using(adapter):
            pass

    async def capabilities(self) -> Capabilities:
        return self.able

    def ready(self, adapter: str | None = None) -> bool:
        return self.process.state == "ready" and adapter in (None, *self._current.adapters)

    async def close(self) -> None:
        for task in self._switches:
            task.cancel()
        await asyncio.gather(*self._switches, return_exceptions=True)
        await self._current.close()

    async def chat(self, request: ChatRequest, adapter: str | None = None) -> AsyncGenerator[Delta, None]:
        self._check(request)
        judge = Judge(request)
        async with self._using(adapter) as (http, lora):
            answers = self._answers(http, lora)
            async with aclosing(conforming(answers.of(request, judge), judge)) as deltas:
                async for delta in deltas:
                    yield delta

    async def complete(self, request: CompletionRequest, adapter: str | None = None) -> AsyncGenerator[Delta, None]:
        if not self.able.chat:
            raise Unsupported("text generation")
        judge = Judge(request)
        async with self._using(adapter) as (http, lora):
            request = replace(request, prompt=await self._begun_once(http, request.prompt))
            async with aclosing(conforming(self._answers(http, lora).continued(request), judge)) as deltas:
                async for delta in deltas:
                    yield delta

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        """An adapter changes nothing of it."""
        if isinstance(request, ChatRequest):
            self._check(request)
        async with self._using(None) as (http, _):
            if isinstance(request, CompletionRequest):
                prompt = await self._begun_once(http, request.prompt)
            elif must_call(request):
                prompt = await self._answers(http).call_prompt(request)
            else:
                prompt = await self._answers(http).prompt(request)
            answer = await http.post("//tokenize", {"content": prompt, "add_special": True, "parse_special": True})
            return len(answer["tokens"])

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        if not self.able.embeddings:
            raise Unsupported("embeddings")
        async with self._using(None) as (http, _):
            answer = await http.post("/embeddings", {"input": list(texts)})
        return vectors_of(answer, len(texts), self.spec.id)

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        if not self.able.rerank:
            raise Unsupported("reranking")
        async with self._using(None) as (http, _):
            answer = await http.post("/rerank", {"query": query, "documents": list(documents)})
        scores, usage = scores_of(answer, len(documents), self.spec.id)
        return (scores if self.file.architecture in _SCORES else [_share(logit) for logit in scores]), usage

    def _check(self, request: ChatRequest) -> None:
        able = self.able
        if not able.chat:
            raise Unsupported("chat")
        if request.tools and not able.tools:
            raise Unsupported("tool use")
        if not able.images and has_images(request):
            raise Unsupported("images")

    async def _begun_once(self, http: Http, prompt: str) -> str:
        """A raw prompt without the token that llama.cpp itself puts in front, such as `<|begin_of_text|>`.

        Those who write raw prompts write that token too, and having it twice makes answers worse.
        """
        if self._first_token is None:
            tokens = (await http.post("//tokenize", {"content": "", "add_special": True}))["tokens"]
            shown = await http.post("//detokenize", {"tokens": tokens[:1]}) if tokens else {"content": ""}
            self._first_token = str(shown["content"])
        return prompt.removeprefix(self._first_token)

    @asynccontextmanager
    async def _using(self, adapter: str | None) -> AsyncIterator[tuple[Http, Lora]]:
        """A process that runs and has the adapter, and what it is told of adapters."""
        while True:
            process = self._current
            with process.used():
                http = await process.started()
                if adapter is None or adapter in process.adapters:
                    yield http, process.lora(adapter)
                    return
            await self._switched(process, adapter)

    async def _switched(self, process: Process, adapter: str) -> None:
        """Put one with all adapters of now in the place of a process that lacks this one. EngineFailed if it cannot be."""
        async with self._switching:
            if self._current is not process:
                return
            if adapter not in self._adapters:
                raise EngineFailed(f"{adapter} is not served any more.")
            if (problem := self._problem(self._adapters[adapter])) is not None:
                raise EngineFailed(problem)
            task = asyncio.create_task(self._switch(process))
            self._switches.add(task)
            task.add_done_callback(self._switches.discard)
            # Shielded: others wait for it too.
            await asyncio.shield(task)

    async def _switch(self, before: Process) -> None:
        """The new one starts beside it, on the same pages of the file in memory; requests go on meanwhile."""
        self._number += 1
        new = self._process()
        try:
            await new.started()
        except BaseException:
            await new.close()
            raise
        self._current = new
        retiring = asyncio.create_task(before.retire())
        self._switches.add(retiring)
        retiring.add_done_callback(self._switches.discard)

    def _process(self) -> Process:
        return Process(self.spec, self._settings, self._log, self._parameters, self._sound)

    def _sound(self) -> dict[str, Path]:
        """One that does not fit must not keep the model from starting."""
        return {name: path for name, path in self._adapters.items() if self._problem(path) is None}

    def _problem(self, path: Path) -> str | None:
        try:
            check(path, self.file.path)
        except WeightsError as problem:
            return str(problem)
        return None

    @property
    def _log(self) -> Path:
        """Two processes at once have two files."""
        number = f".{self._number % 2}" if self._number else ""
        return self._home / "logs" / f"{self.spec.id.replace('/', '_')}{number}.log"

    def _answers(self, http: Http, lora: Lora = None) -> Answers:
        return Answers(http, self.file.chat_template or "", self._proven, lora)

    def _parameters(self) -> dict[str, Any]:
        spec = self.spec
        threads = spec.threads or self._settings.threads or default_threads()
        parameters: dict[str, Any] = {
            "model.path": str(self.file.path),
            "model_alias": [spec.id],
            "n_ctx": self.context_tokens * spec.slots,
            "n_parallel": spec.slots,
            "cpuparams.n_threads": threads,
            "cpuparams_batch.n_threads": threads,
            "n_threads_http": max(4, 2 * spec.slots),
            "ui": False,
            "verbosity": 1,
        }
        if spec.reproducible:
            # Flash attention adds up in another order where more of a prompt is computed at once, which depends on what
            # other slots do and on what the prompt cache holds.
            parameters["n_ubatch"] = REPRODUCIBLE_TOKENS
        if self.file.is_embedding or self.file.is_reranker:
            parameters["embedding"] = True
            # A text is embedded in one go, and must fit into one batch.
            parameters["n_batch"] = parameters["n_ubatch"] = self.context_tokens
        if self.file.is_reranker:
            # llama.cpp offers its interface for it only to whoever asks.
            parameters["pooling_type"] = RANKING
        if spec.projector is not None:
            parameters["mmproj.path"] = str(Path(spec.projector).expanduser())
        return parameters


def _share(logit: float) -> float:
    """The logit as a probability. What is out of a float's reach is 0."""
    return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0


def default_threads() -> int:
    """One less than there are cores: at as many threads as free cores, llama.cpp's speed falls off a cliff."""
    return max(1, usable_cores() - 1)


def _resident(pid: int | None) -> int | None:
    """Bytes of the process in memory, where the system tells."""
    if pid is None:
        return None
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
