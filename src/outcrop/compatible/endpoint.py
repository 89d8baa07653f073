"""What an endpoint of a foreign interface is: a route, a function, and the dialect its errors are told in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from outcrop.context import Context
from outcrop.errors import AwsError, ValidationException
from outcrop.request import HttpRequest

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asking:
    """One call: the labels of its path, its headers and its body."""

    labels: Mapping[str, str]
    request: HttpRequest

    def body(self) -> dict[str, Any]:
        """The body's JSON object. ValidationException if it is none."""
        try:
            value = orjson.loads(self.request.body)
        except orjson.JSONDecodeError as problem:
            raise ValidationException(f"The body is not valid JSON: {problem}") from None
        if not isinstance(value, dict):
            raise ValidationException("The body must be a JSON object.")
        return value


Answered = dict[str, Any] | AsyncGenerator[Event, None]
Handler = Callable[[Context, Asking], Awaitable[Answered]]


class Dialect(Protocol):
    """How an interface tells errors and streams. A module."""

    def identified(self, request: HttpRequest) -> HttpRequest:
        """The request with its credentials where the authenticator looks for them."""

    def error(self, error: AwsError, request_id: str) -> tuple[int, dict[str, Any]]:
        """Status and body."""

    def frame(self, event: Event) -> bytes:
        """One server-sent event."""

    def failure(self, error: AwsError, request_id: str) -> bytes:
        """The last server-sent event of a stream that failed."""

    def end(self, last: Event) -> bytes:
        """What follows the last event of a stream that did not."""

    def request_id_header(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`name` is what the log calls it; `path` has `{labels}`."""

    name: str
    method: str
    path: str
    handler: Handler
    dialect: Dialect


def unauthenticated(error: AwsError) -> AwsError:
    """Whatever is wrong with the credentials is 401 in these interfaces."""
    return AwsError(error.message, code="Unauthenticated", status=401)
