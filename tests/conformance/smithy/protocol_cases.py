"""The protocol's test cases: found in the model, their parameters filled in, their values made native."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from outcrop.request import HttpRequest
from outcrop.wire.model import Operation, digest
from outcrop.wire.routes import Router
from tests.conformance.shared import DATA
from tests.conformance.smithy import idl
from tests.conformance.smithy.service_model import service_model

FOLDER = DATA / "restjson" / "smithy-restJson1"
_SLOT = re.compile(r"\$(?:\$|(\w+):([SL]))")
_FLOATS = ("NaN", "Infinity", "-Infinity")


@dataclass(frozen=True)
class Case:
    """One test. `owner` is its operation, or the error that a response test writes."""

    id: str
    owner: str
    test: Mapping[str, Any]


@cache
def shapes() -> dict[str, idl.Shape]:
    """The model's shapes, or none where it is absent."""
    return idl.read(Path(__file__).parent) | idl.read(FOLDER) if FOLDER.is_dir() else {}


@cache
def operations() -> dict[str, Operation]:
    model = service_model(shapes())
    return {name: operation for (_, name), operation in digest("smithy", model).items()}


@cache
def router() -> Router:
    return Router(operations().values())


def cases(trait: str) -> list[Case]:
    """All cases of a trait that servers have to pass; ids of parameterized ones end in `[0]`, `[1]`, ..."""
    found: list[Case] = []
    for owner, shape in shapes().items():
        for test in shape.traits.get(trait, ()):
            if test.get("appliesTo") != "client":
                found += (Case(name, owner, filled) for name, filled in _expanded(test))
    return found


def of_clients(trait: str) -> int:
    return sum(t.get("appliesTo") == "client" for shape in shapes().values() for t in shape.traits.get(trait, ()))


def _expanded(test: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    parameters = test.get("testParameters")
    if parameters is None:
        yield test["id"], test
        return
    for at, values in enumerate(zip(*parameters.values(), strict=True)):
        yield f"{test['id']}[{at}]", fill(test, dict(zip(parameters, values, strict=True)))


def fill(node: Any, values: Mapping[str, str]) -> Any:
    """`$name:L` becomes the value as it is, `$name:S` the value as a JSON string, `$$` a dollar."""
    if isinstance(node, dict):
        return {fill(key, values): fill(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [fill(item, values) for item in node]
    return _SLOT.sub(lambda slot: _slot(slot, values), node) if isinstance(node, str) else node


def _slot(slot: re.Match[str], values: Mapping[str, str]) -> str:
    if slot[1] is None:
        return "$"
    return json.dumps(values[slot[1]]) if slot[2] == "S" else values[slot[1]]


def http_request(test: Mapping[str, Any]) -> HttpRequest:
    """As the server's door hands it over: raw path and query, header names in lower case."""
    path, _, query = test["uri"].partition("?")
    query = "&".join(filter(None, [query, *test.get("queryParams", ())]))
    headers = [(name.lower(), str(value)) for name, value in test.get("headers", {}).items()]
    return HttpRequest(test["method"], _raw(path), _raw(query), headers, test.get("body", "").encode())


def _raw(text: str) -> str:
    return text.encode().decode("latin-1")


def native(shape: Mapping[str, Any], value: Any) -> Any:
    """A case's parameter as an operation has it: bytes, datetimes, NaN as a number; nulls left out of structures."""
    known: Mapping[str, Any] = _model_shapes()
    kind = shape["type"]
    if value is None or shape.get("document"):
        return value
    if kind == "structure":
        members = shape["members"]
        return {k: native(known[members[k]["shape"]], v) for k, v in value.items() if v is not None}
    if kind == "list":
        return [native(known[shape["member"]["shape"]], item) for item in value]
    if kind == "map":
        return {key: native(known[shape["value"]["shape"]], item) for key, item in value.items()}
    if kind == "timestamp":
        return datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromtimestamp(value, UTC)
    if kind == "blob":
        return value.encode()
    if shape.get("jsonvalue"):
        return json.loads(value)
    return float(value) if kind in ("float", "double") and value in _FLOATS else value


def _model_shapes() -> Mapping[str, Any]:
    return next(iter(operations().values())).model.shapes


def same(first: Any, second: Any) -> bool:
    """Equal in types and values; NaN equals itself, 1 and 1.0 are one."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, bool) is not isinstance(second, bool):
        return False
    return bool(first == second or (first != first and second != second))
