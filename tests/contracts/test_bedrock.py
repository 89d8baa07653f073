"""A Bedrock elsewhere keeps the contract: another Outcrop, which holds our signatures to be those of a stranger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from outcrop.engines.engine import Engine
from outcrop.engines.upstream.bedrock import Bedrock
from outcrop.settings import ModelSpec
from tests.contracts.engine import *  # noqa: F403 - the suite
from tests.contracts.engine import Subject
from tests.live import Server, serve

THEIRS = "test.scripted-v1:0"
SETTINGS = f"""
house_model = false
[[models]]
id = "{THEIRS}"
engine = "scripted"
context_tokens = 2000
"""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("upstream"), settings=SETTINGS) as server:
        yield server


@pytest.fixture(params=[True, False], ids=["streamed", "whole"])
def subject(
    request: pytest.FixtureRequest, upstream: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Subject:
    for name, value in upstream.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    spec = ModelSpec(
        id="ours", engine="bedrock", url=upstream.url, model=THEIRS, context_tokens=2000, streaming=request.param
    )

    @asynccontextmanager
    async def opened() -> AsyncIterator[Engine]:
        engine = Bedrock(spec)
        try:
            yield engine
        finally:
            await engine.close()

    return Subject(opened, completes=False)
