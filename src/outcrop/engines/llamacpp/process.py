"""One process of a llama.cpp model: its socket, its key, and the adapters that it was started with."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from outcrop.engines.engine import EngineError
from outcrop.engines.openai.http import Http
from outcrop.engines.supervisor import Launch, Supervisor
from outcrop.settings import EngineSettings, ModelSpec


class Process:
    """`parameters` gives llama.cpp's own, but for the socket, the key and the adapters; `wanted` the ids and files of these.

    Both are asked at each start. `adapters` are those that it was started with: none of them applies to a request that does
    not name it.
    """

    def __init__(
        self,
        spec: ModelSpec,
        settings: EngineSettings,
        log: Path,
        parameters: Callable[[], Mapping[str, Any]],
        wanted: Callable[[], Mapping[str, Path]],
    ) -> None:
        self._spec = spec
        self._settings = settings
        self._log = log
        self._parameters = parameters
        self._wanted = wanted
        self._folder: Path | None = None
        self._key = secrets.token_urlsafe(24)
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self.adapters: list[str] = []
        self.http: Http | None = None
        self.supervisor = Supervisor(spec.id, self._launch)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Nobody takes it away meanwhile."""
        self._users += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def started(self) -> Http:
        await self.supervisor.start()
        assert self.http is not None
        return self.http

    def lora(self, adapter: str | None) -> list[dict[str, float]] | None:
        """What a request says of adapters; None where the process has none.

        Whoever wants none has to say so: to a request without the field llama.cpp gives the cache of whoever had the slot
        before, other adapter or not.
        """
        if not self.adapters:
            return None
        if adapter is None:
            return [{"id": 0, "scale": 0.0}]
        return [{"id": self.adapters.index(adapter), "scale": 1.0}]

    async def retire(self) -> None:
        """End it when nobody uses it any more."""
        await self._unused.wait()
        await self.close()

    async def close(self) -> None:
        await self.supervisor.stop()
        if self.http is not None:
            await self.http.close()
            self.http = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _launch(self) -> Launch:
        # Not in the data folder: the path of a Unix socket may have some hundred characters only.
        self._folder = self._folder or Path(tempfile.mkdtemp(prefix="outcrop-"))
        socket = self._folder / "engine.sock"
        socket.unlink(missing_ok=True)
        headers = {"authorization": f"Bearer {self._key}"}
        http = self.http = self.http or Http("http://engine/v1", name=self._spec.id, socket=socket, headers=headers)

        async def is_ready() -> bool:
            try:
                return socket.exists() and (await http.get("//health")).get("status") == "ok"
            except EngineError:
                return False

        parameters = {**self._parameters(), "hostnames": [str(socket)], "api_keys": [self._key]}
        wanted = self._wanted()
        self.adapters = list(wanted)
        if wanted:
            parameters["lora_adapters"] = [str(path) for path in wanted.values()]
            # Prompts that it keeps in memory aside from the slots are taken for those of any adapter.
            parameters["cache_ram_mib"] = 0
        return Launch(
            [sys.executable, "-m", "outcrop.engines.llamacpp.worker"],
            {**self._spec.environment, "OUTCROP_WORKER": orjson.dumps(parameters).decode()},
            is_ready,
            self._log,
            self._settings.start_seconds,
        )
