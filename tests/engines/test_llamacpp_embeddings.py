"""llama.cpp with a model that embeds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from outcrop.engines.engine import CompletionRequest, ContextOverflow, Engine, Unsupported, Usage
from outcrop.engines.pool import Engines
from outcrop.settings import EngineSettings, ModelSpec
from tests.engines.embedding_model import CONTEXT, DIMENSIONS, made


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("embedding"))


async def _embedded(engine: Engine, *texts: str) -> tuple[list[list[float]], Usage] | ContextOverflow:
    try:
        return await engine.embed(texts)
    except ContextOverflow as problem:
        return problem


def test_texts_up_to_the_context_are_embedded_and_longer_ones_refused(file: Path, tmp_path: Path) -> None:
    """llama.cpp by itself takes 512 tokens, and calls a longer text an error of its own."""

    async def run() -> None:
        engines = Engines(
            [ModelSpec(id="e", engine="llamacpp", path=str(file), threads=1)], EngineSettings(), home=tmp_path
        )
        engine = engines.get("e")
        try:
            able = await engine.capabilities()
            assert (able.embeddings, able.chat, able.context_tokens) == (True, False, CONTEXT)
            short = await _embedded(engine, "one two", "three", "one two")
            assert not isinstance(short, ContextOverflow)
            first, other, again = short[0]
            assert len(first) == DIMENSIONS
            assert first == pytest.approx(again, abs=1e-5)
            assert first != pytest.approx(other, abs=1e-2)
            long = await _embedded(engine, "word " * 1800)
            assert not isinstance(long, ContextOverflow)
            assert 1800 <= long[1].input_tokens <= CONTEXT
            refusal = await _embedded(engine, "short", "word " * 3000)
            assert isinstance(refusal, ContextOverflow)
            assert (refusal.tokens or 0) > 3000
            assert refusal.limit == CONTEXT
            with pytest.raises(Unsupported):
                await anext(aiter(engine.complete(CompletionRequest("Hi"))))
        finally:
            await engines.close()

    asyncio.run(run())
