"""Signed HTTP to a Bedrock runtime: whole answers and event streams, without a client that blocks the loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

import aiohttp
from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError
from yarl import URL

from outcrop.engines.engine import EngineFailed, EngineTimeout
from outcrop.engines.loopback import is_loopback
from outcrop.engines.openai.http import CONNECT_SECONDS
from outcrop.engines.upstream import aws_errors
from outcrop.engines.upstream.identity import Identity


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by their lower-case names."""

    headers: Mapping[str, str]
    body: bytes


class Aws:
    """`base` is the endpoint; `name` the model's, for the sentences about it."""

    def __init__(self, base: str, identity: Identity, *, name: str, silence_seconds: float) -> None:
        self._base = base.rstrip("/")
        self._identity = identity
        self._name = name
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """`path` is escaped already. EngineError for every answer that is an error."""
        try:
            async with await self._asked(path, body, headers) as response:
                return Answer(_lowered(response.headers), await response.read())
        except (TimeoutError, aiohttp.ClientError) as problem:
            raise self._broken(problem) from None

    async def events(
        self, path: str, body: bytes, headers: Mapping[str, str]
    ) -> AsyncGenerator[EventStreamMessage, None]:
        """The events of a stream; an exception among them is raised. Closing it closes the connection."""
        buffer = EventStreamBuffer()
        try:
            async with await self._asked(path, body, headers) as response:
                async for piece in response.content.iter_any():
                    buffer.add_data(piece)
                    for message in buffer:
                        if message.headers.get(":message-type") != "event":
                            payload = self._identity.blotted(message.payload)
                            raise aws_errors.of_frame(message.headers, payload, self._name)
                        yield message
        except (TimeoutError, aiohttp.ClientError) as problem:
            raise self._broken(problem) from None
        except ParserError as problem:
            raise EngineFailed(f"The upstream of {self._name} sent a damaged event stream: {problem}") from None

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _asked(self, path: str, body: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """The head of an answer that is none of an error. A kept connection that was closed just now is tried once more."""
        try:
            response = await self._sent(path, body, headers)
        except aiohttp.ServerDisconnectedError:
            response = await self._sent(path, body, headers)
        if response.status < 400:
            return response
        async with response:
            raise aws_errors.of_response(
                response.status, self._identity.blotted(await response.read()), _lowered(response.headers), self._name
            )

    async def _sent(self, path: str, body: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        url = self._base + path
        signed = await asyncio.to_thread(self._identity.headers, url, body, headers)
        # What was signed is sent as it is: yarl would unescape colons.
        return await self._opened().post(URL(url, encoded=True), data=body, headers=signed)

    def _broken(self, problem: Exception) -> EngineFailed | EngineTimeout:
        if isinstance(problem, TimeoutError):
            return EngineTimeout(f"The upstream of {self._name} was silent for too long.")
        if isinstance(problem, aiohttp.ClientConnectorError):
            return EngineFailed(f"The upstream of {self._name} cannot be reached.")
        return EngineFailed(f"The connection to the upstream of {self._name} broke off.")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            proxied = not is_loopback(self._base)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, trust_env=proxied)
        return self._session


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
