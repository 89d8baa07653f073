"""vLLM as a process of ours: launched, supervised, and spoken to as any OpenAI-compatible server is."""

from __future__ import annotations

import contextlib
import secrets
import socket
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
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

NEURON_SEQUENCES, BLOCK = 4, 32

# What each accelerator needs besides the model; vLLM finds GPUs by itself, and its plug-in for Neuron finds Trainium.
# Sources: AWS's quick starts for the vLLM Neuron plug-in (Trn2 and Trn3, Neuron 2.32) and for vLLM on NxD Inference
# (Inf2 and Trn1, frozen at vLLM 0.16 with plug-in 0.5).
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "cuda": (),
    "cpu": ("--enforce-eager",),
    # A program is compiled for each power of two up to these, so both are kept small.
    "neuron": ("--max-num-seqs", str(NEURON_SEQUENCES), "--max-num-batched-tokens", "2048"),
    "inf2": ("--max-num-seqs", str(NEURON_SEQUENCES), "--no-enable-prefix-caching", "--block-size", str(BLOCK)),
}
_ENVIRONMENT: Mapping[str, Mapping[str, str]] = {
    "cuda": {},
    "cpu": {"VLLM_CPU_KVCACHE_SPACE": "4", "CUDA_VISIBLE_DEVICES": ""},
    "neuron": {"VLLM_NEURON_COMPILATION_TIMEOUT": "3600", "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "3600"},
    "inf2": {"VLLM_NEURON_FRAMEWORK": "neuronx-distributed-inference"},
}
# Loading and compiling takes minutes, on Neuron up to an hour the first time.
START_SECONDS = {"cuda": 900.0, "cpu": 600.0, "neuron": 3600.0, "inf2": 3600.0}


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
        if spec.accelerator == "inf2" and spec.context_tokens is None:
            raise EngineError(f"The model {spec.id} needs context_tokens: on Inf2 it is compiled for that length.")

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
        return [interpreter, *module, *given, *_ARGUMENTS[spec.accelerator], *self._blocks(), *spec.arguments]

    def _blocks(self) -> list[str]:
        """With fewer, NxD Inference writes beyond its cache (known issue 2 of the plug-in 0.5)."""
        if self.spec.accelerator != "inf2" or self.spec.context_tokens is None:
            return []
        return ["--num-gpu-blocks-override", str(-(-self.spec.context_tokens // BLOCK) * NEURON_SEQUENCES)]


# Nothing is fetched behind the operator's back; `environment` in the settings may say otherwise.
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
