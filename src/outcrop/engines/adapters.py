"""LoRA adapters: small files that change a model for those requests that ask for it, in the model's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from outcrop.engines.engine import Capabilities, ChatRequest, CompletionRequest, Delta, Engine, Unsupported, Usage
from outcrop.engines.weights import WeightsError
from outcrop.engines.weights.gguf import inspect_adapter, shapes

A, B = ".lora_a", ".lora_b"


@dataclass(frozen=True, slots=True)
class Adapter:
    """A model of its own to its callers: `base` is the id of the model that it changes, `path` a GGUF file."""

    id: str
    base: str
    path: Path


class Adaptable(Engine, Protocol):
    """An engine that applies adapters to the requests that ask for them."""

    def adapt(self, name: str, path: Path) -> None: ...

    def unadapt(self, name: str) -> None: ...

    async def start(self, adapter: str | None = None) -> None: ...

    def chat(self, request: ChatRequest, adapter: str | None = None) -> AsyncIterator[Delta]: ...

    def complete(self, request: CompletionRequest, adapter: str | None = None) -> AsyncIterator[Delta]: ...

    def ready(self, adapter: str | None = None) -> bool: ...


class Adapted:
    """The engine of a model as those have it who call an adapter of it."""

    def __init__(self, engine: Adaptable, name: str) -> None:
        self._engine = engine
        self._name = name

    async def start(self) -> None:
        await self._engine.start(self._name)

    async def capabilities(self) -> Capabilities:
        return await self._engine.capabilities()

    def chat(self, request: ChatRequest) -> AsyncIterator[Delta]:
        return self._engine.chat(request, self._name)

    def complete(self, request: CompletionRequest) -> AsyncIterator[Delta]:
        return self._engine.complete(request, self._name)

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        return await self._engine.count_tokens(request)

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        raise Unsupported("embeddings")

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        raise Unsupported("reranking")

    def ready(self) -> bool:
        return self._engine.ready(self._name)

    async def close(self) -> None:
        """The engine is not its own."""


def adaptable(engine: Engine) -> Adaptable | None:
    return engine if hasattr(engine, "adapt") else None  # type: ignore[return-value]  # by its mark


def check(adapter: Path, model: Path) -> None:
    """WeightsError if the adapter is not one of this model: llama.cpp would not start with it, for nobody."""
    architecture, found = inspect_adapter(adapter)
    theirs, weights = shapes(model)
    if architecture != theirs:
        raise WeightsError(f"{adapter} is an adapter for the architecture {architecture}, and the model is {theirs}.")
    for name, shape in found.items():
        stem = name.removesuffix(A).removesuffix(B)
        if stem == name or stem not in weights:
            raise WeightsError(f"{adapter} has the tensor {name[:80]!r}, and the model has no such weights.")
        pair = found.get(stem + A), found.get(stem + B)
        if not _fits(pair, weights[stem]):
            raise WeightsError(f"The adapter's tensor {name[:80]!r} has the shape {shape}, which does not fit.")


def _fits(pair: tuple[tuple[int, ...] | None, tuple[int, ...] | None], weights: tuple[int, ...]) -> bool:
    """Shapes in GGUF's order, the input's length first: A is (input, rank), B is (rank, output)."""
    a, b = pair
    return (
        a is not None
        and b is not None
        and len(a) == len(b) == len(weights) == 2
        and (a[0], b[1]) == weights
        and a[1] == b[0]
    )
