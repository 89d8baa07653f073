"""Anthropic's Messages API keeps the contract, spoken by a stand-in on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from outcrop.engines.engine import Engine
from outcrop.engines.upstream.anthropic import Anthropic
from outcrop.settings import ModelSpec
from tests.conformance.loopback import answering
from tests.contracts.engine import *  # noqa: F403 - the suite
from tests.contracts.engine import Subject
from tests.engines.upstream.anthropic_stand_in import KEY, StandIn


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with answering(StandIn(tmp_path_factory.mktemp("anthropic"))) as url:
        yield url


@pytest.fixture
def subject(url: str, monkeypatch: pytest.MonkeyPatch) -> Subject:
    monkeypatch.setenv("THEIR_KEY", KEY)
    spec = ModelSpec(
        id="ours", engine="anthropic", url=url, model="claude-x", api_key_env="THEIR_KEY", context_tokens=2000
    )

    @asynccontextmanager
    async def opened() -> AsyncIterator[Engine]:
        engine = Anthropic(spec)
        try:
            yield engine
        finally:
            await engine.close()

    return Subject(opened, completes=False, seeds=False)
