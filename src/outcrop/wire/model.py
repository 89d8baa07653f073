"""Service models digested: what botocore ships for the four services of Bedrock is the law, read at start, never
retyped.

Only the JSON is taken from botocore; its session and client machinery is not imported. Everything an operation needs
per request (reader, checker, writers) is made of closures once, so that a request interprets nothing.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from outcrop.request import HttpRequest
from outcrop.shapes.names import NAMES
from outcrop.wire.check import Checker, Checkers, Violation, raise_violations
from outcrop.wire.events import EventWriters
from outcrop.wire.inputs import InputReader, decode_percent
from outcrop.wire.outputs import JsonWriters, OutputWriter
from outcrop.wire.read import JsonReaders, Mismatch, ShapeDict

SERVICES = tuple(NAMES)
_NOTHING: ShapeDict = {"type": "structure", "members": {}}


@dataclass(slots=True)
class Service:
    """One service model and what has been made of its shapes so far."""

    name: str
    shapes: Mapping[str, ShapeDict]
    readers: JsonReaders
    checkers: Checkers
    writers: JsonWriters
    errors: dict[str, OutputWriter] = field(default_factory=dict)

    def error_writer(self, code: str) -> OutputWriter | None:
        """The writer of a modelled exception, None if the service models none of that name."""
        shape = self.shapes.get(code)
        if shape is None or not shape.get("exception"):
            return None
        if code not in self.errors:
            self.errors[code] = OutputWriter(code, shape, self.shapes, self.writers)
        return self.errors[code]

    def error_status(self, code: str) -> int | None:
        """The HTTP status of a modelled exception."""
        shape = self.shapes.get(code)
        return _status(shape) if shape is not None and shape.get("exception") else None


@dataclass(eq=False)
class Operation:
    """One operation. `errors`: code → HTTP status, as its model says. `function` is the name it registers under.

    `output_event_stream` and `input_event_stream` name the member of the response and request that is a stream.
    """

    service: str
    name: str
    function: str
    method: str
    uri: str
    status: int
    errors: Mapping[str, int]
    model: Service = field(repr=False)
    input_shape: ShapeDict = field(repr=False)
    output_shape: ShapeDict = field(repr=False)
    output_name: str = field(repr=False)

    def read(self, request: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
        """The request as a dict with AWS's key names, or a SerializationException."""
        return self._reader(request, labels)

    def check(self, params: dict[str, Any]) -> None:
        """Every constraint of the model; a ValidationException that lists each violation."""
        raise_violations(self.violations(params))

    def violations(self, params: dict[str, Any]) -> list[Violation]:
        found: list[Violation] = []
        if self._checker is not None:
            self._checker(params, None, found)
        return found

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether the constraints on its labels hold; for routes that two services share."""
        try:
            params = {name: decode_percent(value) for name, value in labels.items()}
        except Mismatch:
            return False
        return not any(violation.path[0] in params for violation in self.violations(params))

    @cached_property
    def _reader(self) -> InputReader:
        return InputReader(self.input_shape, self.model.shapes, self.model.readers)

    @cached_property
    def _checker(self) -> Checker | None:
        return self.model.checkers.of_structure(self.input_shape)

    @cached_property
    def writer(self) -> OutputWriter:
        return OutputWriter(self.output_name, self.output_shape, self.model.shapes, self.model.writers)

    @cached_property
    def output_event_stream(self) -> str | None:
        return self._stream_of(self.output_shape)

    @cached_property
    def input_event_stream(self) -> str | None:
        return self._stream_of(self.input_shape)

    @cached_property
    def events(self) -> EventWriters:
        """The writers of the output stream's events."""
        stream = self.output_event_stream
        if stream is None:
            raise ValueError(f"{self.name} answers without an event stream")
        shapes = self.model.shapes
        return EventWriters(shapes[self.output_shape["members"][stream]["shape"]], shapes, self.model.writers)

    def _stream_of(self, shape: ShapeDict) -> str | None:
        members: Mapping[str, ShapeDict] = shape["members"]
        return next((k for k, m in members.items() if self.model.shapes[m["shape"]].get("eventstream")), None)

    def prepare(self) -> None:
        """Make now what would be made at the first request."""
        _ = self._reader, self._checker, self.writer
        if self.output_event_stream is not None:
            _ = self.events


@dataclass(frozen=True, slots=True)
class Services:
    """All operations, by (service, OperationName)."""

    operations: Mapping[tuple[str, str], Operation]


def load_services() -> Services:
    """The services of Bedrock from the installed botocore, each operation prepared."""
    operations: dict[tuple[str, str], Operation] = {}
    for service in SERVICES:
        operations |= digest(service, load_model(service))
    for operation in operations.values():
        operation.prepare()
    return Services(operations)


def load_model(service: str) -> dict[str, Any]:
    """The newest service model of that name as botocore ships it."""
    spec = find_spec("botocore")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("botocore, which holds the service models, is not installed")
    folder = Path(spec.origin).parent / "data" / service
    versions = sorted(folder.glob("*/service-2.json*"))
    if not versions:
        raise FileNotFoundError(f"the installed botocore has no model of {service}")
    data = versions[-1].read_bytes()
    model: dict[str, Any] = orjson.loads(gzip.decompress(data) if versions[-1].suffix == ".gz" else data)
    return model


def digest(service: str, model: Mapping[str, Any]) -> dict[tuple[str, str], Operation]:
    """The operations of a service model in botocore's form."""
    shapes: Mapping[str, ShapeDict] = model["shapes"]
    made = Service(service, shapes, JsonReaders(shapes), Checkers(shapes), JsonWriters(shapes))
    functions = {name: function for function, name in NAMES.get(service, {}).items()}
    return {
        (service, name): _operation(made, name, operation, functions.get(name, name))
        for name, operation in model["operations"].items()
    }


def _operation(service: Service, name: str, operation: Mapping[str, Any], function: str) -> Operation:
    http = operation["http"]
    output = operation.get("output", {}).get("shape")
    given = operation.get("input", {}).get("shape")
    return Operation(
        service=service.name,
        name=name,
        function=function,
        method=http["method"],
        uri=http["requestUri"],
        status=http.get("responseCode", 200),
        errors={e["shape"]: _status(service.shapes[e["shape"]]) for e in operation.get("errors", ())},
        model=service,
        input_shape=service.shapes[given] if given else _NOTHING,
        output_shape=service.shapes[output] if output else _NOTHING,
        output_name=output or name,
    )


def _status(shape: ShapeDict) -> int:
    status: int = shape.get("error", {}).get("httpStatusCode", 500 if shape.get("fault") else 400)
    return status
