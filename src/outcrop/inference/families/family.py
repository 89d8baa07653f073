"""What a family of native bodies is: a module that reads a body, and writes the answer whole and in chunks.

A family that generates has `read`, `write` and `chunks`; one that computes (embeddings, reranking) has `compute`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from outcrop.context import Context
from outcrop.engines.engine import ChatRequest, CompletionRequest
from outcrop.inference.answer import Answer, tool_use_id
from outcrop.inference.blocks import Piece
from outcrop.inference.usage import Counts
from outcrop.inference.wording import NATIVE, Wording
from outcrop.models.model import Model

if TYPE_CHECKING:
    from typing_extensions import TypeIs


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks for. `given` is the body itself, where the form of the answer depends on it.

    `new_tool_id` makes the ids of the answer's tool calls; `one_tool`: no more than one may be called.
    """

    request: ChatRequest | CompletionRequest
    given: Mapping[str, Any] = field(default_factory=dict)
    words: Wording = NATIVE
    new_tool_id: Callable[[], str] = tool_use_id
    one_tool: bool = False


@dataclass(frozen=True, slots=True)
class Answering:
    """One answer under way. `prompt_tokens` counts the prompt ahead of the engine's own count, for formats that open
    with it; 0 where the engine cannot.
    """

    ctx: Context
    model: Model
    asked: Asked
    prompt_tokens: Callable[[], Awaitable[int]]


class Writing(Protocol):
    """How an answer is told. `chunks` are JSON objects; the last gets the invocation's metrics from `flow`."""

    def write(self, answering: Answering, answer: Answer) -> dict[str, Any]: ...

    def chunks(
        self, answering: Answering, pieces: AsyncGenerator[Piece, None]
    ) -> AsyncGenerator[dict[str, Any], None]: ...


class Generating(Writing, Protocol):
    """A module that reads bodies too."""

    async def read(self, ctx: Context, model: Model, body: bytes) -> Asked: ...


class Computing(Protocol):
    """A module whose answers come at once."""

    async def compute(self, ctx: Context, model: Model, body: bytes) -> tuple[dict[str, Any], Counts]: ...


Family = Generating | Computing


def computes(family: Family) -> TypeIs[Computing]:
    """Which of the two a family is. Not `isinstance`: that looks a protocol's members up anew each time."""
    return hasattr(family, "compute")
