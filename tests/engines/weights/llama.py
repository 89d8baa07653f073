"""llama.cpp itself as the judge of a GGUF file: its tokens and its logits, over its own HTTP interface."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from outcrop.engines.llamacpp.engine import LlamaCpp
from outcrop.settings import EngineSettings, ModelSpec


def ask(file: Path, home: Path, *questions: tuple[str, dict[str, Any]]) -> list[Any]:
    """Answers of one llama.cpp process to (path, body) requests, one after the other."""

    async def asked() -> list[Any]:
        spec = ModelSpec(id="judged", engine="llamacpp", path=str(file), context_tokens=256, slots=1, threads=1)
        engine = LlamaCpp(spec, EngineSettings(), home)
        try:
            http = await engine._started()
            return [await http.post(path, body) for path, body in questions]
        finally:
            await engine.close()

    return asyncio.run(asked())


def tokenize(text: str) -> tuple[str, dict[str, Any]]:
    return "//tokenize", {"content": text, "add_special": False, "parse_special": True}


def greedy(prompt: Sequence[int], count: int) -> tuple[str, dict[str, Any]]:
    """A question for `count` greedy tokens, each with the 5 most probable tokens' log-probabilities."""
    body = {"prompt": list(prompt), "n_predict": count, "temperature": 0, "n_probs": 5, "ignore_eos": True}
    return "//completion", body | {"cache_prompt": False, "return_tokens": True}


def assert_computes(answer: Any, expected: Any, within: float) -> None:
    """`expected` are log-probabilities (step, token). Every step's token is as good as the best, and its odds are equal."""
    reported = iter([*answer["completion_probabilities"], {"id": None}])
    step, compared = next(reported), 0
    for row, token in zip(expected, answer["tokens"], strict=True):
        assert float(row[token]) >= float(row.max()) - within
        # llama.cpp keeps to itself what it thought of a token that leaves a character unfinished.
        if step["id"] == token:
            for top in step["top_logprobs"]:
                assert abs(top["logprob"] - float(row[top["id"]])) < within
            step, compared = next(reported), compared + 1
    assert step["id"] is None
    assert compared > len(expected) // 2
