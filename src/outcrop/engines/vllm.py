"""vLLM as a process of ours: launched, supervised, and spoken to as any OpenAI-compatible server is."""

from __future__ import annotations

import contextlib
import secrets
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Delta,
    EngineError,
    Usage,
)
from outcrop.engines.openai.engine import OpenAi
from outcrop.engines.openai.http import Http
from outcrop.engines.supervisor import Launch, Supervisor
from outcrop.settings import EngineSettings, ModelSpec

# What each accelerator needs besides the model; vLLM finds GPUs by itself.
_ARGUMENTS = {
    "cuda": (),
    "cpu": ("--enforce-eager",),
    # Each batch shape is compiled: few of them (AWS's quick start for the vLLM Neuron plug-in, Neuron 2.31).
    "neuron": ("--max-num-seqs", "4"),
}
_ENVIRONMENT = {
    "cuda": {},
    "cpu": {"VLLM_CPU_KVCACHE_SPACE": "4", "CUDA_VISIBLE_DEVICES": ""},
    "neuron": {"VLLM_NEURON_COMPILATION_TIMEOUT": "3600", "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "3600"},
}
# Loading and compiling takes minutes, on Neuron up to an hour the first time.
START_SECONDS = {"cuda": 900.0, "cpu": 600.0, "neuron": 3600.0}


class Vllm:
    def __init__(self, spec: ModelSpec, settings: EngineSettings, home: Path) -> None:
        self.spec = spec
        self._settings = settings
        self._home = home
        self._port, self._key = _free_port(), secrets.token_urlsafe(24)
        headers = {"authorization": f"Bearer {self._key}"}
        self._client = OpenAi(spec, Http(f"http://127.0.0.1:{self._port}/v1", name=spec.id, headers=headers))
        self.process = Supervisor(spec.id, self._launch)
        if spec.path is None and spec.model is None:
            raise EngineError(f"The model {spec.id} needs a path (a Hugging Face folder) or a model name for vLLM.")

    @property
    def able(self) -> Capabilities:
        return self._client.able

    @property
    def memory_bytes(self) -> int:
        """vLLM's weights live where its accelerator is; its own budget is `--gpu-memory-utilization`."""
        return 0

    async def start(self) -> None:
        await self.process.start()

    async def capabilities(self) -> Capabilities:
        return self.able

    def ready(self) -> bool:
        return self.process.state == "ready"

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        await self.start()
        async with aclosing(self._client.chat(request)) as deltas:
            async for delta in deltas:
                yield delta

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        await self.start()
        async with aclosing(self._client.complete(request)) as deltas:
            async for delta in deltas:
                yield delta

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        await self.start()
        return await self._client.count_tokens(request)

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        await self.start()
        return await self._client.embed(texts)

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        await self.start()
        return await self._client.rerank(query, documents)

    async def close(self) -> None:
        await self.process.stop()
        await self._client.close()

    def _launch(self) -> Launch:
        client = self._client

        async def is_ready() -> bool:
            with contextlib.suppress(EngineError):
                await client.start()
                return True
            return False

        return Launch(
            self.arguments(self._port),
            {**_OFFLINE, **_ENVIRONMENT[self.spec.accelerator], **self.spec.environment, "VLLM_API_KEY": self._key},
            is_ready,
            self._home / "logs" / f"{self.spec.id.replace('/', '_')}.log",
            max(self._settings.start_seconds, START_SECONDS[self.spec.accelerator]),
        )

    def arguments(self, port: int) -> list[str]:
        """The command line. The module is run rather than `vllm serve`, which fails in vLLM's build for CPUs."""
        spec = self.spec
        given = ["--model", str(spec.path or spec.model), "--served-model-name", spec.model or spec.id]
        given += ["--host", "127.0.0.1", "--port", str(port)]
        if spec.context_tokens is not None:
            given += ["--max-model-len", str(spec.context_tokens)]
        interpreter = spec.python or sys.executable
        module = ["-m", "vllm.entrypoints.openai.api_server"]
        return [interpreter, *module, *given, *_ARGUMENTS[spec.accelerator], *spec.arguments]


# Nothing is fetched behind the operator's back; `environment` in the settings may say otherwise.
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
