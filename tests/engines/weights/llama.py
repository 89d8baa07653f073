"""llama.cpp itself as the judge of a GGUF file: its tokens and its logits, over its own HTTP interface."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from outcrop.engines.llamacpp.engine import LlamaCpp
from outcrop.settings import EngineSettings, ModelSpec

# Bytes that are no characters: llama.cpp keeps to itself what it thought of a token that leaves one unfinished.
UNFINISHED = range(3 + 0x80, 3 + 0x100)
# What llama.cpp takes for ends, and is asked to ignore.
ENDS = (0, 1)


def ask(file: Path, home: Path, *questions: tuple[str, dict[str, Any]], adapter: Path | None = None) -> list[Any]:
    """Answers of one llama.cpp process, with an adapter if there is one, to (path, body) requests, one after the other."""

    async def asked() -> list[Any]:
        spec = ModelSpec(id="judged", engine="llamacpp", path=str(file), context_tokens=256, slots=1, threads=1)
        engine = LlamaCpp(spec, EngineSettings(), home)
        if adapter is not None:
            engine.adapt("adapter", adapter)
        try:
            async with engine._using(None if adapter is None else "adapter") as (http, lora):
                chosen = {} if lora is None else {"lora": lora}
                return [await http.post(path, {**body, **chosen}) for path, body in questions]
        finally:
            await engine.close()

    return asyncio.run(asked())


def tokenize(text: str) -> tuple[str, dict[str, Any]]:
    return "//tokenize", {"content": text, "add_special": False, "parse_special": True}


def greedy(prompt: Sequence[int], count: int, unfinished: Iterable[int] = UNFINISHED) -> tuple[str, dict[str, Any]]:
    """A question for `count` greedy tokens, none of them `unfinished`, each with the 5 most probable tokens' log-probabilities."""
    body = {"prompt": list(prompt), "n_predict": count, "temperature": 0, "n_probs": 5, "ignore_eos": True}
    body |= {"cache_prompt": False, "return_tokens": True, "logit_bias": [[token, False] for token in unfinished]}
    return "//completion", body


def assert_computes(answer: Any, expected: Any, within: float, barred: Iterable[int] = (*ENDS, *UNFINISHED)) -> None:
    """`expected` are log-probabilities (step, token). Every step's token is as good as the best that may be, its odds equal."""
    never = set(barred)
    for row, token, step in zip(expected, answer["tokens"], answer["completion_probabilities"], strict=True):
        assert step["id"] == token
        best = max(float(odds) for i, odds in enumerate(row) if i not in never)
        assert float(row[token]) >= best - within
        for top in step["top_logprobs"]:
            assert abs(top["logprob"] - float(row[top["id"]])) < within
