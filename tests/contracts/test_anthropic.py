"""Anthropic's Messages API keeps the contract, spoken by a stand-in on loopback, and by another Outcrop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from outcrop.engines.engine import Engine
from outcrop.engines.upstream.anthropic import Anthropic
from outcrop.settings import ModelSpec
from tests.conformance.loopback import answering
from tests.contracts.engine import *  # noqa: F403 - the suite
from tests.contracts.engine import Subject
from tests.engines.upstream.anthropic_stand_in import KEY, StandIn
from tests.engines.upstream.server import new_api_key
from tests.live import serve

THEIRS = "test.scripted-v1:0"
SETTINGS = f"""
house_model = false
[[models]]
id = "{THEIRS}"
engine = "scripted"
context_tokens = 2000
"""


@dataclass(frozen=True)
class Upstream:
    url: str
    key: str
    model: str


@pytest.fixture(scope="module", params=["stand-in", "outcrop"])
def upstream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    home = tmp_path_factory.mktemp("anthropic")
    if request.param == "stand-in":
        with answering(StandIn(home)) as url:
            yield Upstream(url, KEY, "claude-x")
        return
    with serve(home, settings=SETTINGS) as server:
        yield Upstream(f"{server.url}/anthropic", new_api_key(server), THEIRS)


@pytest.fixture
def subject(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Subject:
    monkeypatch.setenv("THEIR_KEY", upstream.key)
    spec = ModelSpec(
        id="ours",
        engine="anthropic",
        url=upstream.url,
        model=upstream.model,
        api_key_env="THEIR_KEY",
        context_tokens=2000,
    )

    @asynccontextmanager
    async def opened() -> AsyncIterator[Engine]:
        engine = Anthropic(spec)
        try:
            yield engine
        finally:
            await engine.close()

    return Subject(opened, completes=False, seeds=False)
