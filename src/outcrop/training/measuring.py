"""What model files answer to held-out examples, and how fast, asked through the engine that serves them, in turns."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from outcrop.engines.engine import (
    ChatRequest,
    Finish,
    Message,
    Part,
    Sampling,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    ToolResult,
)
from outcrop.engines.llamacpp.engine import LlamaCpp
from outcrop.settings import EngineSettings, ModelSpec
from outcrop.training.generators import FAMILIES, Example, held_out_examples
from outcrop.training.generators.example import is_right

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LONGEST_ANSWER = 200
# Answers that are timed one by one, of each model; their family is one with long ones. Few tokens say nothing of the pace.
TIMED, TIMED_FAMILY, FEWEST_TOKENS = 40, "extraction", 8


@dataclass(frozen=True, slots=True)
class Measured:
    """`right`: for each family, whether each example was answered rightly, in the same order for all models.

    `speed`: tokens of a greedy answer by the seconds from its question to its end; the median. None: all were too short.
    """

    name: str
    file_bytes: int
    right: Mapping[str, Sequence[bool]]
    speed: float | None

    @property
    def scores(self) -> dict[str, tuple[int, int]]:
        """family -> right answers, questions"""
        return {family: (sum(right), len(right)) for family, right in self.right.items()}


@dataclass(frozen=True, slots=True)
class _Answer:
    """`message` is an assistant's in OpenAI's shape."""

    message: dict[str, Any]
    tokens: int
    seconds: float

    @property
    def speed(self) -> float | None:
        return self.tokens / self.seconds if self.tokens >= FEWEST_TOKENS else None


def measure(files: Sequence[Path], count: int) -> list[Measured]:
    """`count` held-out examples of each family, asked of each file, whose stem is its name. All are loaded at once."""
    return asyncio.run(_measured(files, count))


async def _measured(files: Sequence[Path], count: int) -> list[Measured]:
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(_engine(file)) for file in files]
        bar = stack.enter_context(Progress(transient=True))
        task = bar.add_task("measuring", total=len(FAMILIES) + 1)
        right: list[dict[str, list[bool]]] = [{} for _ in files]
        for family in FAMILIES:
            bar.update(task, description=f"measuring {family}")
            examples = held_out_examples(family, count)
            for found, engine in zip(right, engines, strict=True):
                found[family] = await _verdicts(engine, examples)
            bar.advance(task)
        bar.update(task, description="measuring speed")
        speeds = await _speeds(engines)
    return [
        Measured(file.stem, file.stat().st_size, found, speed)
        for file, found, speed in zip(files, right, speeds, strict=True)
    ]


@asynccontextmanager
async def _engine(file: Path) -> AsyncIterator[LlamaCpp]:
    with tempfile.TemporaryDirectory() as home:
        spec = ModelSpec(id="measured", engine="llamacpp", path=str(file), context_tokens=2048, reproducible=True)
        engine = LlamaCpp(spec, EngineSettings(), Path(home))
        try:
            yield engine
        finally:
            await engine.close()


async def _verdicts(engine: LlamaCpp, examples: Sequence[Example]) -> list[bool]:
    right: list[bool] = []
    for start in range(0, len(examples), 4):
        group = examples[start : start + 4]
        answers = await asyncio.gather(*(_answer(engine, example) for example in group))
        verdicts = [asyncio.to_thread(is_right, e, a.message) for e, a in zip(group, answers, strict=True)]
        right += await asyncio.gather(*verdicts)
    return right


async def _speeds(engines: Sequence[LlamaCpp]) -> list[float | None]:
    """The models take turns, and who begins changes, so that whatever else the machine does slows all alike."""
    found: list[list[float]] = [[] for _ in engines]
    order = list(range(len(engines)))
    for example in held_out_examples(TIMED_FAMILY, TIMED):
        for place in order:
            speed = (await _answer(engines[place], example)).speed
            if speed is not None:
                found[place].append(speed)
        order = [*order[1:], order[0]]
    return [statistics.median(speeds) if speeds else None for speeds in found]


async def _answer(engine: LlamaCpp, example: Example) -> _Answer:
    tools = tuple(_tool(tool["function"]) for tool in example.tools)
    request = ChatRequest(
        _turns_of(example.messages[:-1]), tools, sampling=Sampling(max_tokens=LONGEST_ANSWER, temperature=0)
    )
    text: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    tokens, begun = 0, time.perf_counter()
    async with aclosing(engine.chat(request)) as deltas:
        async for delta in deltas:
            if isinstance(delta, Finish):
                tokens = delta.usage.output_tokens
            elif isinstance(delta, TextDelta):
                text.append(delta.text)
            elif isinstance(delta, ToolCallStart):
                calls[delta.index] = {"function": {"name": delta.name, "arguments": ""}}
            elif isinstance(delta, ToolCallDelta):
                calls[delta.index]["function"]["arguments"] += delta.fragment
    message = {"content": "".join(text), "tool_calls": list(calls.values())}
    return _Answer(message, tokens, time.perf_counter() - begun)


def _turns_of(messages: list[dict[str, Any]]) -> tuple[Message, ...]:
    """OpenAI-shaped messages as an engine's."""
    return tuple(Message("user" if m["role"] == "tool" else m["role"], _parts(m)) for m in messages)


def _parts(message: Mapping[str, Any]) -> tuple[Part, ...]:
    text = Text(message["content"] or "")
    if message["role"] == "tool":
        return (ToolResult(message["tool_call_id"], (text,)),)
    calls = message.get("tool_calls") or ()
    said: tuple[Part, ...] = (text,) if text.text or not calls else ()
    return (*said, *(ToolCall(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in calls))


def _tool(function: Mapping[str, Any]) -> Tool:
    return Tool(function["name"], function["description"], function["parameters"])
