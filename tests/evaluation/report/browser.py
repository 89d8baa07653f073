"""A page in Chromium, driven by its own protocol."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page:
    """`requested`: each address that the page asked for. `problems`: what its console said, and what it refused."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number = socket, 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.requested: list[str] = []
        self.problems: list[str] = []
        self.loaded = asyncio.Event()

    async def listen(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] == "Network.requestWillBeSent":
                self.requested.append(said["params"]["request"]["url"])
            elif said["method"] in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
                self.problems.append(json.dumps(said["params"]))
            elif said["method"] == "Page.loadEventFired":
                self.loaded.set()

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        said = await asyncio.wait_for(answer, 60)
        assert "error" not in said, said
        result: dict[str, Any] = said["result"]
        return result

    async def value(self, expression: str) -> Any:
        said = await self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def choose(self, **fields: str) -> str:
        """Set fields of the filter; gives the text of the count."""
        for name, value in fields.items():
            field = f"document.querySelector('#filters [name={name}]')"
            await self.value(
                f"{field}.value = {json.dumps(value)}; {field}.dispatchEvent(new Event('input', {{bubbles: true}})); "
                "new Promise((done) => setTimeout(done, 300))"
            )
        return str(await self.value("document.getElementById('count').textContent"))

    async def open(self, path: Path) -> None:
        self.loaded.clear()
        await self.command("Page.navigate", url=path.as_uri())
        await asyncio.wait_for(self.loaded.wait(), 60)

    async def window(self, width: int, height: int, scheme: str) -> None:
        await self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        await self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """A page of a browser that keeps nothing and knows nobody."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            port = await _port(Path(profile))
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{port}/json/list") as listed,
            ):
                pages = [one for one in await listed.json() if one["type"] == "page"]
                async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    listening = asyncio.create_task(page.listen())
                    for domain in ("Page", "Runtime", "Network", "Log"):
                        await page.command(f"{domain}.enable")
                    yield page
                    listening.cancel()
        finally:
            process.kill()
            await process.wait()


async def _port(profile: Path) -> int:
    for _ in range(600):
        try:
            return int((profile / "DevToolsActivePort").read_text().split()[0])
        except (OSError, IndexError):
            await asyncio.sleep(0.1)
    raise TimeoutError("Chromium did not start.")
