"""llama.cpp with a model that embeds, and with one that scores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from outcrop.engines.engine import CompletionRequest, ContextOverflow, Engine, Unsupported, Usage
from outcrop.engines.pool import Engines
from outcrop.settings import EngineSettings, ModelSpec
from tests.engines.encoder import CONTEXT, DIMENSIONS, made


@asynccontextmanager
async def _opened(file: Path, home: Path) -> AsyncIterator[Engine]:
    engines = Engines([ModelSpec(id="e", engine="llamacpp", path=str(file), threads=1)], EngineSettings(), home=home)
    try:
        yield engines.get("e")
    finally:
        await engines.close()


async def _embedded(engine: Engine, *texts: str) -> tuple[list[list[float]], Usage] | ContextOverflow:
    try:
        return await engine.embed(texts)
    except ContextOverflow as problem:
        return problem


def test_texts_up_to_the_context_are_embedded_and_longer_ones_refused(tmp_path: Path) -> None:
    """llama.cpp by itself takes 512 tokens, and calls a longer text an error of its own."""

    async def run() -> None:
        async with _opened(made(tmp_path), tmp_path) as engine:
            able = await engine.capabilities()
            assert (able.embeddings, able.rerank, able.chat, able.context_tokens) == (True, False, False, CONTEXT)
            short = await _embedded(engine, "one two", "three", "one two")
            assert not isinstance(short, ContextOverflow)
            first, other, again = short[0]
            assert len(first) == DIMENSIONS
            assert first == pytest.approx(again, abs=1e-5)
            assert first != pytest.approx(other, abs=1e-2)
            long = await _embedded(engine, "word " * 240)
            assert not isinstance(long, ContextOverflow)
            assert 900 <= long[1].input_tokens <= CONTEXT
            refusal = await _embedded(engine, "short", "word " * 300)
            assert isinstance(refusal, ContextOverflow)
            assert (refusal.tokens or 0) > CONTEXT
            assert refusal.limit == CONTEXT
            with pytest.raises(Unsupported):
                await anext(aiter(engine.complete(CompletionRequest("Hi"))))
            with pytest.raises(Unsupported):
                await engine.rerank("one", ["two"])

    asyncio.run(run())


def test_documents_are_scored(tmp_path: Path) -> None:
    """What the scores are means nothing in this model; the same document has the same, wherever it stands."""

    async def run() -> None:
        async with _opened(made(tmp_path, scores=True), tmp_path) as engine:
            able = await engine.capabilities()
            assert (able.embeddings, able.rerank, able.chat) == (False, True, False)
            (first, other, again), usage = await engine.rerank("cold sky", ["the sea", "a cold sky", "the sea"])
            assert first == pytest.approx(again, abs=1e-4)
            assert first != pytest.approx(other, abs=1e-3)
            assert 0 < min(first, other) < max(first, other) < 1
            assert usage.input_tokens > 10
            with pytest.raises(ContextOverflow):
                await engine.rerank("cold sky", ["word " * 300])
            with pytest.raises(Unsupported):
                await engine.embed(["one"])

    asyncio.run(run())
