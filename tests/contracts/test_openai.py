"""A server by URL keeps the contract: llama.cpp's own OpenAI-compatible server, on TCP and with a key."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from outcrop.engines.engine import Engine
from outcrop.engines.openai.engine import OpenAi
from outcrop.models.specs import house_path
from outcrop.settings import ModelSpec
from tests.contracts.engine import *  # noqa: F403 - the suite
from tests.contracts.engine import Subject
from tests.live import clean_environment, free_port, get


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    given = {
        "model.path": str(house_path()), "model_alias": ["theirs"], "hostnames": ["127.0.0.1"], "port": port,
        "api_keys": ["a-key"], "n_ctx": 8192, "n_parallel": 4, "cpuparams.n_threads": 1, "ui": False, "verbosity": 1,
    }  # fmt: skip
    environment = {**clean_environment(tmp_path_factory.mktemp("home")), "OUTCROP_WORKER": json.dumps(given)}
    process = subprocess.Popen(
        [sys.executable, "-m", "outcrop.engines.llamacpp.worker"], env=environment, stdin=subprocess.PIPE
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        with suppress(OSError):
            if get(f"{address}/health")[0] == 200:
                break
        time.sleep(0.05)
    yield address
    process.terminate()
    process.wait()


@pytest.fixture
def subject(url: str, monkeypatch: pytest.MonkeyPatch) -> Subject:
    monkeypatch.setenv("THEIR_KEY", "a-key")

    @asynccontextmanager
    async def opened() -> AsyncIterator[Engine]:
        spec = ModelSpec(
            id="by-url", engine="openai", url=f"{url}/v1", model="theirs", api_key_env="THEIR_KEY", context_tokens=2048
        )
        engine = OpenAi(spec)
        try:
            yield engine
        finally:
            await engine.close()

    # llama.cpp's server does not say which stop string it met, leaves a forced call unconstrained, and its /tokenize is another one.
    return Subject(opened, says_which_stop=False, counts=False, forces_tools=False)
