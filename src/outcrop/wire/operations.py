"""The registry of built operations: a function's name is its registration.

bedrock = Operations("bedrock")

@bedrock
def create_guardrail(ctx: Context, request: CreateGuardrailRequest) -> CreateGuardrailResponse: ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from outcrop.shapes.names import NAMES

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)

_registered: dict[tuple[str, str], Handler] = {}


class Operations:
    """A decorator for the operations of one service (`bedrock`, `bedrock-runtime`, ...)."""

    def __init__(self, service: str) -> None:
        if service not in NAMES:
            raise ValueError(f"There is no service {service!r}; the services are {', '.join(NAMES)}.")
        self.service = service

    def __call__(self, handler: H) -> H:
        function = handler.__name__
        name = NAMES[self.service].get(function)
        if name is None:
            raise ValueError(f"{handler.__module__}.{function}: {self.service} has no operation of that name.")
        earlier = _registered.get((self.service, name))
        if earlier is not None:
            places = f"{earlier.__module__} and {handler.__module__}"
            raise ValueError(f"{self.service} {name} is registered twice, in {places}.")
        _registered[self.service, name] = handler
        return handler


def registered() -> Mapping[tuple[str, str], Handler]:
    """Every operation registered so far: (service, OperationName) → its function."""
    return MappingProxyType(_registered)
