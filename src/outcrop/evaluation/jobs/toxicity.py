"""How toxic a text is, by a local classifier of the operator's. Without one there is no figure."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import orjson

from outcrop.settings import EvaluationSettings

WORKER = Path(__file__).parents[1] / "metrics" / "toxicity_worker.py"
NO_MODEL = (
    "Toxicity needs a local classifier. The operator names a Hugging Face text-classification folder in the settings: "
    "[evaluation] toxicity_model."
)
# Loading torch and a model on a slow disk.
START_SECONDS = 300.0
# A line of its answers.
LONGEST_LINE = 1024 * 1024


class Toxicity:
    """One process for a job, started when it is first needed. Its texts go one after the other."""

    def __init__(self, settings: EvaluationSettings) -> None:
        self._settings = settings
        self._folder = None if settings.toxicity_model is None else str(Path(settings.toxicity_model).expanduser())
        self._process: asyncio.subprocess.Process | None = None
        self._one = asyncio.Lock()
        self._problem: str | None = None

    async def of(self, text: str) -> float | str:
        if self._folder is None:
            return NO_MODEL
        async with self._one:
            if self._problem is None and self._process is None:
                await self._start(self._folder)
            if self._problem is not None:
                return self._problem
            return await self._asked(text)

    async def close(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _start(self, folder: str) -> None:
        self._process = await asyncio.create_subprocess_exec(
            self._settings.toxicity_python or sys.executable, str(WORKER), folder,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            limit=LONGEST_LINE, env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
        )  # fmt: skip
        said = await self._heard(START_SECONDS)
        if "problem" in said:
            self._problem = f"The toxicity classifier cannot be used: {said['problem']}"

    async def _asked(self, text: str) -> float | str:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(orjson.dumps({"text": text}) + b"\n")
            await self._process.stdin.drain()
        said = await self._heard(START_SECONDS)
        if "toxicity" in said:
            return float(said["toxicity"])
        self._problem = f"The toxicity classifier cannot be used: {said['problem']}"
        return self._problem

    async def _heard(self, seconds: float) -> dict[str, str]:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
            said = orjson.loads(line)
        except TimeoutError:
            return {"problem": f"it says nothing for {seconds:.0f} seconds."}
        except orjson.JSONDecodeError:
            return {"problem": "its process ended."}
        return dict(said)
