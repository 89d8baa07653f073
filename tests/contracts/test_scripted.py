"""The scripted engine keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from outcrop.engines.engine import Engine
from outcrop.engines.scripted import Scripted
from outcrop.settings import ModelSpec
from tests.contracts.engine import *  # noqa: F403 - the suite
from tests.contracts.engine import Subject


@asynccontextmanager
async def scripted() -> AsyncIterator[Engine]:
    yield Scripted(ModelSpec(id="scripted", engine="scripted", context_tokens=2000))


@pytest.fixture
def subject() -> Subject:
    return Subject(scripted)
