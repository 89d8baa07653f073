"""llama.cpp, embedded by the wheel `xllamacpp`, in a process of its own for each model."""

from __future__ import annotations

import math
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
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
    EngineError,
    Unsupported,
    Usage,
)
from outcrop.engines.judge import Judge, conforming
from outcrop.engines.llamacpp.answers import Answers
from outcrop.engines.llamacpp.calls import must_call
from outcrop.engines.openai.engine import has_images, scores_of, vectors_of
from outcrop.engines.openai.http import Http
from outcrop.engines.supervisor import Launch, Supervisor
from outcrop.engines.weights import WeightsError, servable
from outcrop.engines.weights.gguf import RANKING, GgufFile, inspect
from outcrop.settings import EngineSettings, ModelSpec

# Architectures whose scores llama.cpp makes probabilities of; others' are logits.
_SCORES = frozenset({"qwen3"})
# The context a model is loaded with unless its settings say more: all slots' caches are allocated at the start.
LONGEST_DEFAULT_CONTEXT = 8192


class LlamaCpp:
    def __init__(self, spec: ModelSpec, settings: EngineSettings, home: Path) -> None:
        self.spec = spec
        self._settings = settings
        self._home = home
        self._folder: Path | None = None
        self._key = secrets.token_urlsafe(24)
        self._http: Http | None = None
        self._first_token: str | None = None
        self._proven: set[bytes] = set()
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
        judge = Judge(request)
        answers = self._answers(await self._started())
        async with aclosing(conforming(answers.of(request, judge), judge)) as deltas:
            async for delta in deltas:
                yield delta

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        if not self.able.chat:
            raise Unsupported("text generation")
        judge = Judge(request)
        http = await self._started()
        request = replace(request, prompt=await self._begun_once(http, request.prompt))
        async with aclosing(conforming(self._answers(http).continued(request), judge)) as deltas:
            async for delta in deltas:
                yield delta

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        if isinstance(request, ChatRequest):
            self._check(request)
        http = await self._started()
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
        answer = await (await self._started()).post("/embeddings", {"input": list(texts)})
        return vectors_of(answer, len(texts), self.spec.id)

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        if not self.able.rerank:
            raise Unsupported("reranking")
        answer = await (await self._started()).post("/rerank", {"query": query, "documents": list(documents)})
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

    async def _started(self) -> Http:
        await self.process.start()
        assert self._http is not None
        return self._http

    def _answers(self, http: Http) -> Answers:
        return Answers(http, self.file.chat_template or "", self._proven)

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
