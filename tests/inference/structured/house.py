"""The house model in llama.cpp, made as bad as can be: its tokens drawn nearly at random, so that only the grammar holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from outcrop.engines.engine import (
    ChatRequest,
    CompletionRequest,
    Delta,
    Finish,
    Json,
    Message,
    Sampling,
    Text,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    ToolChoice,
)
from outcrop.engines.llamacpp.engine import LlamaCpp
from outcrop.engines.openai.http import Http
from outcrop.models.specs import house_path
from outcrop.settings import EngineSettings, ModelSpec

T = TypeVar("T")

# Drawn at random a string would hardly ever end, and what is cut proves nothing.
CLOSING = [
    ['"', 6.0],
    ['"}', 6.0],
    ["}", 4.0],
    ["]", 4.0],
    ["</tool_call>", 4.0],
    ["<tool_call>", 4.0],
    ["e", 2.0],
    ["\\", 2.0],
]
PROMPTS = ("Hello", "Maria is 34 and lives in Rome.", 'Repeat: \\ud800 "quoted" 1e999 {}[] é 😀')


class House:
    """One engine process and the event loop that it lives in."""

    def __init__(self, runner: asyncio.Runner, engine: LlamaCpp) -> None:
        self._runner = runner
        self.engine = engine

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def deltas(self, request: ChatRequest | CompletionRequest) -> list[Delta]:
        async def collected() -> list[Delta]:
            deltas = self.engine.chat(request) if isinstance(request, ChatRequest) else self.engine.complete(request)
            return [delta async for delta in deltas]

        return self.run(collected())

    def chat(self, prompt: str, sampling: Sampling, **more: Any) -> list[Delta]:
        return self.deltas(ChatRequest((Message("user", (Text(prompt),)),), sampling=sampling, **more))

    def tame(self, prompt: str, tokens: int = 200, **more: Any) -> list[Delta]:
        """The model as it is."""
        return self.chat(prompt, Sampling(max_tokens=tokens, temperature=0), **more)

    def answer(
        self, schema: Json, *, seed: int = 0, tokens: int = 300, prompt: str = PROMPTS[0], temperature: float = 2.0
    ) -> list[Delta]:
        return self.chat(prompt, wild(seed, tokens, temperature), json_schema=schema)

    def call(
        self,
        tools: tuple[Tool, ...],
        choice: ToolChoice,
        *,
        seed: int = 0,
        tokens: int = 300,
        prompt: str = PROMPTS[0],
        temperature: float = 2.0,
    ) -> list[Delta]:
        return self.chat(prompt, wild(seed, tokens, temperature), tools=tools, tool_choice=choice)


def wild(seed: int, tokens: int, temperature: float) -> Sampling:
    return Sampling(max_tokens=tokens, temperature=temperature, top_p=1.0, top_k=0, seed=seed)


def finish_of(deltas: list[Delta]) -> Finish:
    assert isinstance(deltas[-1], Finish)
    return deltas[-1]


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def calls_of(deltas: list[Delta]) -> list[tuple[str, str]]:
    """Name and JSON text of each call."""
    calls: dict[int, tuple[str, str]] = {}
    for delta in deltas:
        if isinstance(delta, ToolCallStart):
            calls[delta.index] = delta.name, ""
        elif isinstance(delta, ToolCallDelta):
            name, text = calls[delta.index]
            calls[delta.index] = name, text + delta.fragment
    return list(calls.values())


@contextmanager
def opened(home: Path, engine: LlamaCpp | None = None, closing: Sequence[Sequence[Any]] = ()) -> Iterator[House]:
    """`closing`: further tokens that are made likely."""
    spec = ModelSpec(id="house", engine="llamacpp", path=str(house_path()), threads=1, context_tokens=4096, slots=1)
    engine = engine or LlamaCpp(spec, EngineSettings(), home)
    with asyncio.Runner() as runner:
        try:
            runner.run(engine.start())
            _make_wild(runner.run(engine._current.started()), [*CLOSING, *closing])
            yield House(runner, engine)
        finally:
            runner.run(engine.close())


def _make_wild(http: Http, bias: Sequence[Sequence[Any]]) -> None:
    """Every answer that is not greedy, and no probe, is drawn from all tokens."""
    ask = http.events

    async def events(path: str, body: Mapping[str, Any]) -> AsyncGenerator[list[dict[str, Any]], None]:
        more = {"min_p": 0, "logit_bias": bias} if body.get("top_k") == 0 else {}
        async for arrived in ask(path, {**body, **more}):
            yield arrived

    http.events = events  # type: ignore[method-assign]  # the sampling of a test, on the engine's own connection
