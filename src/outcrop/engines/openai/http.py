"""HTTP to an engine: one session, server-sent events, and its errors as engine errors."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from outcrop.engines.engine import (
    ContextOverflow,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    InvalidRequest,
    Upstream,
)
from outcrop.engines.loopback import is_loopback

CONNECT_SECONDS = 10.0
# Between two bytes of an answer; a long prompt is silent while it is read.
SILENCE_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Errors:
    """How a server's errors are read: one that is a whole answer, by status, body, headers and name, and one in a stream."""

    whole: Callable[[int, bytes, Mapping[str, str], str], EngineError]
    streamed: Callable[[Any, str], EngineError]


class Http:
    """`base` is a URL; with `socket`, requests go to that Unix socket instead of the URL's host.

    `key` is never repeated, should the server repeat it in an error.
    """

    def __init__(
        self,
        base: str,
        *,
        name: str,
        socket: Path | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        errors: Errors | None = None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self.base = base.rstrip("/")
        self._name = name
        self._socket = socket
        self._headers = dict(headers or {})
        self._key = (key or "").encode()
        self._errors = errors or Errors(error_of, error_in_stream)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str) -> Any:
        return await self._call("GET", path, None)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The parsed answer."""
        return await self._call("POST", path, orjson.dumps(body))

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[list[dict[str, Any]], None]:
        """The JSON of server-sent events, as many at once as have arrived. Closing it closes the connection."""
        try:
            async with await self._asked("POST", path, orjson.dumps(body)) as response:
                if response.status >= 400:
                    raise self._error(response, await response.read())
                async for events in self._events(response):
                    yield events
        except TimeoutError:
            raise EngineTimeout(f"{self._name} was silent for too long.") from None
        except aiohttp.ClientError as problem:
            raise self._broken(problem) from None

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _call(self, method: str, path: str, data: bytes | None) -> Any:
        try:
            async with await self._asked(method, path, data) as response:
                body = await response.read()
                if response.status >= 400:
                    raise self._error(response, body)
        except TimeoutError:
            raise EngineTimeout(f"{self._name} was silent for too long.") from None
        except aiohttp.ClientError as problem:
            raise self._broken(problem) from None
        return _parsed(body, self._name)

    async def _asked(self, method: str, path: str, data: bytes | None) -> aiohttp.ClientResponse:
        """The answer's head. A kept connection that the server closed just now is no reason to fail: one more is tried."""
        try:
            return await self._opened().request(method, self._url(path), data=data)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # Noticed while waiting for the answer, or while writing the request.
            return await self._opened().request(method, self._url(path), data=data)

    def _error(self, response: aiohttp.ClientResponse, body: bytes) -> EngineError:
        return self._errors.whole(response.status, self._blotted(body), response.headers, self._name)

    def _blotted(self, data: bytes) -> bytes:
        return data.replace(self._key, b"***") if self._key else data

    async def _events(self, response: aiohttp.ClientResponse) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Parsed by lines: what engines send has one `data:` line an event. `[DONE]`, comments and pings are passed over."""
        held = b""
        async for piece in response.content.iter_any():
            lines = (held + piece).split(b"\n")
            held = lines.pop()
            events = [self._event(line) for line in lines if _is_event(line)]
            if events:
                yield events
        if _is_event(held):
            yield [self._event(held)]

    def _event(self, line: bytes) -> dict[str, Any]:
        event = _parsed(line.partition(b":")[2], self._name)
        if line.startswith(b"error:") or "error" in event:
            event = _parsed(self._blotted(line).partition(b":")[2], self._name)
            raise self._errors.streamed(event.get("error", event), self._name)
        found: dict[str, Any] = event
        return found

    def _broken(self, problem: aiohttp.ClientError) -> EngineFailed:
        if isinstance(problem, aiohttp.ClientConnectorError):
            return EngineFailed(f"{self._name} cannot be reached: {problem.os_error.strerror or problem}")
        return EngineFailed(f"The connection to {self._name} broke off.")

    def _url(self, path: str) -> str:
        # An absolute path leaves the base's own path ("/v1") aside: engines have their native endpoints at the root.
        if path.startswith("//"):
            return self.base.removesuffix("/v1") + path[1:]
        return self.base + path

    @property
    def _proxied(self) -> bool:
        """Whether the proxies of the environment are obeyed: what is on this machine is reached from here."""
        return self._socket is None and not is_loopback(self.base)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            if self._socket is None:
                connector: aiohttp.BaseConnector = aiohttp.TCPConnector(limit=0)
            else:
                # llama.cpp closes a connection after a stream, and a new one over a Unix socket costs next to nothing.
                connector = aiohttp.UnixConnector(str(self._socket), limit=0, force_close=True)
            headers = {"content-type": "application/json", **self._headers}
            self._session = aiohttp.ClientSession(
                connector=connector, headers=headers, timeout=self._timeout, trust_env=self._proxied
            )
        return self._session


def _is_event(line: bytes) -> bool:
    return (line.startswith(b"data:") and not line.startswith(b"data: [DONE]")) or line.startswith(b"error:")


def _parsed(body: bytes, name: str) -> Any:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise EngineFailed(f"{name} answered something that is not JSON.") from None
    if not isinstance(parsed, dict | list):
        raise EngineFailed(f"{name} answered something that is not an object.")
    return parsed


_OVERFLOWS = (
    re.compile(r"maximum context length is (?P<limit>\d+) tokens.*?(?P<tokens>\d+)", re.DOTALL),
    re.compile(r"request \((?P<tokens>\d+) tokens\) exceeds the available context size \((?P<limit>\d+) tokens\)"),
    # llama.cpp's embeddings, whose batch is as large as their context.
    re.compile(r"input \((?P<tokens>\d+) tokens\) is too large to process.*batch size: (?P<limit>\d+)", re.DOTALL),
)


def error_of(status: int, body: bytes, headers: Mapping[str, str], name: str) -> EngineError:
    """What an HTTP error means; the engine's own sentence is kept where the caller can act on it."""
    error = _described(body)
    message = str(error.get("message") or body[:500].decode("utf-8", "replace") or f"HTTP {status}")
    if (overflow := _overflow(error, message)) is not None:
        return overflow
    if status in (429, 503):
        return EngineBusy(message, retry_after(headers))
    if status in (408, 504):
        return EngineTimeout(f"{name} timed out: {message}")
    if status in (400, 413, 422):
        return InvalidRequest(message)
    if status in (401, 403):
        # What it says of the key is for the operator.
        return Upstream("denied", f"The server of {name} refused its key.", status=status, detail=message)
    if status == 404:
        return Upstream("missing", f"The server of {name} does not have the model: {message}", status=status)
    return EngineFailed(f"{name} answered {status}: {message}", status)


def error_in_stream(error: Any, name: str) -> EngineError:
    described = error if isinstance(error, dict) else {"message": str(error)}
    message = str(described.get("message", ""))
    if (overflow := _overflow(described, message)) is not None:
        return overflow
    code = described.get("code")
    return EngineFailed(f"{name} broke off: {message}", code if isinstance(code, int) else None)


def _described(body: bytes) -> dict[str, Any]:
    """OpenAI's `{"error": {...}}`, vLLM's bare object, or nothing that can be read."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(parsed, dict):
        return {}
    error = parsed.get("error", parsed)
    return error if isinstance(error, dict) else {"message": str(error)}


def _overflow(error: Mapping[str, Any], message: str) -> ContextOverflow | None:
    if error.get("type") == "exceed_context_size_error":
        return ContextOverflow(error.get("n_prompt_tokens"), error.get("n_ctx"))
    for pattern in _OVERFLOWS:
        if (found := pattern.search(message)) is not None:
            return ContextOverflow(int(found["tokens"]), int(found["limit"]))
    if error.get("code") == "context_length_exceeded":
        return ContextOverflow(None, None)
    return None


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds; 1 where the server says nothing that can be read."""
    try:
        return max(0.1, float(headers.get("retry-after", "1")))
    except ValueError:
        return 1.0
