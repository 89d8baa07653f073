"""Several engines for one model keep the contract together: here the first cannot be reached, and its fallback answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from outcrop.engines.engine import Engine
from outcrop.engines.pool import Engines
from outcrop.settings import ChoiceSpec, EngineSettings, ModelSpec
from tests.contracts.engine import *  # noqa: F403 - the suite
from tests.contracts.engine import Subject

# Nobody listens there.
AWAY = ChoiceSpec(name="away", engine="openai", url="http://127.0.0.1:9/v1", context_tokens=2000)
HERE = ChoiceSpec(name="here", engine="scripted", context_tokens=2000)
FALLBACK = ChoiceSpec(name="here", engine="scripted", context_tokens=2000, fallback=True)


@pytest.fixture(params=[(HERE,), (AWAY, FALLBACK)], ids=["one", "fallback"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Engine]:
        engines = Engines([ModelSpec(id="several", engines=request.param)], EngineSettings(), home=tmp_path)
        try:
            yield engines.get("several")
        finally:
            await engines.close()

    return Subject(opened)
