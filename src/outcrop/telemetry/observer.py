"""What is told to whoever watches: requests as a whole, and generations within them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from outcrop.engines.engine import ChatRequest, CompletionRequest, Finish, Usage


@dataclass(frozen=True, slots=True)
class Asked:
    """A generation that begins. `request` is None for embeddings; `traceparent` is the caller's W3C trace context."""

    account: str
    region: str
    model_id: str
    request: ChatRequest | CompletionRequest | None
    request_id: str
    traceparent: str | None


class Generation(Protocol):
    """One answer under way; `finished` or `failed` is called once, and nothing after it."""

    def first(self) -> None:
        """Its first delta is there."""

    def finished(self, usage: Usage, finish: Finish | None) -> None: ...

    def failed(self, code: str, produced: int = 0) -> None:
        """`code` is an AWS error's, or `ClientDisconnected`; `produced` is how many deltas came before it."""


class Observer(Protocol):
    def request(self, operation: str, status: int, error: str | None, seconds: float) -> None: ...

    def generation(self, asked: Asked) -> Generation: ...

    def fallback(self, model_id: str, engine: str) -> None:
        """An engine of several did not answer, and another was tried."""

    def close(self) -> None: ...


class Several:
    """Tells each of `observers` everything."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def request(self, operation: str, status: int, error: str | None, seconds: float) -> None:
        for observer in self._observers:
            observer.request(operation, status, error, seconds)

    def generation(self, asked: Asked) -> Generation:
        return _Several([observer.generation(asked) for observer in self._observers])

    def fallback(self, model_id: str, engine: str) -> None:
        for observer in self._observers:
            observer.fallback(model_id, engine)

    def close(self) -> None:
        for observer in self._observers:
            observer.close()


def together(generations: Sequence[Generation]) -> Generation | None:
    """One that tells all; None for none."""
    return _Several(generations) if generations else None


class _Several:
    def __init__(self, generations: Sequence[Generation]) -> None:
        self._generations = generations

    def first(self) -> None:
        for generation in self._generations:
            generation.first()

    def finished(self, usage: Usage, finish: Finish | None) -> None:
        for generation in self._generations:
            generation.finished(usage, finish)

    def failed(self, code: str, produced: int = 0) -> None:
        for generation in self._generations:
            generation.failed(code, produced)
