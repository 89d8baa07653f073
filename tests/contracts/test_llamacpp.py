"""llama.cpp with the house model keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from outcrop.engines.engine import Engine
from outcrop.engines.pool import Engines
from outcrop.models.specs import house_path
from outcrop.settings import EngineSettings, ModelSpec
from tests.contracts.engine import *  # noqa: F403 - the suite
from tests.contracts.engine import Subject


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Engine]:
        spec = ModelSpec(id="house", engine="llamacpp", path=str(house_path()), threads=1)
        engines = Engines([spec], EngineSettings(), home=tmp_path)
        try:
            yield engines.get("house")
        finally:
            await engines.close()

    return Subject(opened)
