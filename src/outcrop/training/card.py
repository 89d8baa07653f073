"""The model card: what the exported file answers to held-out examples, asked through the engine that will serve it."""

from __future__ import annotations

import asyncio
import json
import math
import tempfile
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from rich.progress import track

from outcrop.engines.engine import (
    ChatRequest,
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
from outcrop.training.generators import CLOSED, FAMILIES, Example, held_out_examples
from outcrop.training.generators.example import is_right
from outcrop.training.progress import Progress
from outcrop.training.recipe import Recipe

LONGEST_ANSWER = 200


def write(folder: Path, recipe: Recipe, progress: Progress, parameters: int) -> Mapping[str, tuple[int, int]]:
    """Measure the GGUF in `folder`; `MODEL_CARD.md` and `evaluation.json` beside it. Right answers and questions by family."""
    file = folder / f"{recipe.name}.gguf"
    scores = asyncio.run(measure(file, recipe.held_out))
    results = {family: {"right": right, "asked": asked} for family, (right, asked) in scores.items()}
    (folder / "evaluation.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    (folder / "MODEL_CARD.md").write_text(card(recipe, progress, parameters, file.stat().st_size, scores), "utf-8")
    return scores


async def measure(file: Path, count: int) -> dict[str, tuple[int, int]]:
    """Greedy answers of the GGUF file to `count` held-out examples of each family."""
    with tempfile.TemporaryDirectory() as home:
        spec = ModelSpec(id="measured", engine="llamacpp", path=str(file), context_tokens=2048)
        engine = LlamaCpp(spec, EngineSettings(), Path(home))
        try:
            return {family: await _score(engine, family, count) for family in FAMILIES}
        finally:
            await engine.close()


async def _score(engine: LlamaCpp, family: str, count: int) -> tuple[int, int]:
    examples = held_out_examples(family, count)
    right = 0
    for start in track(range(0, len(examples), 4), description=f"measuring {family}", transient=True):
        group = examples[start : start + 4]
        answers = await asyncio.gather(*(_answer(engine, example) for example in group))
        verdicts = [asyncio.to_thread(is_right, e, a) for e, a in zip(group, answers, strict=True)]
        right += sum(await asyncio.gather(*verdicts))
    return right, len(examples)


async def _answer(engine: LlamaCpp, example: Example) -> dict[str, Any]:
    """An assistant message in OpenAI's shape."""
    tools = tuple(_tool(tool["function"]) for tool in example.tools)
    request = ChatRequest(
        turns_of(example.messages[:-1]), tools, sampling=Sampling(max_tokens=LONGEST_ANSWER, temperature=0)
    )
    text: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    async with aclosing(engine.chat(request)) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                text.append(delta.text)
            elif isinstance(delta, ToolCallStart):
                calls[delta.index] = {"function": {"name": delta.name, "arguments": ""}}
            elif isinstance(delta, ToolCallDelta):
                calls[delta.index]["function"]["arguments"] += delta.fragment
    return {"content": "".join(text), "tool_calls": list(calls.values())}


def turns_of(messages: list[dict[str, Any]]) -> tuple[Message, ...]:
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


def card(
    recipe: Recipe, progress: Progress, parameters: int, file_bytes: int, scores: Mapping[str, tuple[int, int]]
) -> str:
    rows = "\n".join(_row(family, right, asked) for family, (right, asked) in scores.items())
    return f"""# {recipe.name}

{recipe.description} Trained by Outcrop from nothing but procedurally generated data: no text of any person or
company is in it, and anyone can make it again with `outcrop train`.

| | |
|---|---|
| parameters | {parameters:,} (Llama architecture, {recipe.model.layers} layers of width {recipe.model.hidden_size}) |
| vocabulary | {recipe.model.vocab_size} byte-level BPE tokens, every digit alone |
| context | {recipe.model.context} tokens; the examples it was trained on are shorter than a few hundred |
| trained on | {progress.tokens:,} tokens in {progress.step:,} steps, {progress.seconds / 60:.0f} minutes |
| file | {file_bytes / 1e6:.1f} MB, q8_0 |

## What it can do

Greedy answers to examples that were held out of training, asked of the exported file through the engine that serves
it. An answer counts if it is exactly right: the whole call with all its arguments, the whole JSON object, code that
passes its tests when run. The interval is Wilson's, 95 %.

| family | right | of | accuracy | interval |
|---|---|---|---|---|
{rows}

Held out means that no prompt was seen in training; the kinds of task were. `chat` is a closed list of phrases, which
cannot be held out: its figure is what the model remembers.

## What it cannot do

It knows nothing of the world and understands no wording far from its generators'. It is there so that everything
works at once, offline, with real tokens: for real work serve a real model.
"""


def _row(family: str, right: int, asked: int) -> str:
    low, high = wilson(right, asked)
    marked = f"{family} (closed)" if family in CLOSED else family
    return f"| {marked} | {right} | {asked} | {right / asked:.0%} | {low:.0%}-{high:.0%} |"


def wilson(right: int, asked: int, z: float = 1.96) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927)."""
    share, square = right / asked, z * z
    middle = (share + square / (2 * asked)) / (1 + square / asked)
    half = z * math.sqrt(share * (1 - share) / asked + square / (4 * asked * asked)) / (1 + square / asked)
    return max(0.0, middle - half), min(1.0, middle + half)
