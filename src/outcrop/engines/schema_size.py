"""How much a JSON schema is to read. A few lines of one can mean more than a server has time for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from outcrop.engines.engine import InvalidRequest

# Levels of objects and arrays; a schema within another takes two.
DEEPEST = 200
MOST_ALTERNATIVES = 1000


def check_size(schema: object) -> None:
    """InvalidRequest for a schema that takes too long to read: nested without end, or with endless combinations."""
    level, depth = [schema], 0
    while level:
        if (depth := depth + 1) > DEEPEST:
            raise InvalidRequest("The JSON schema is nested too deeply.")
        level = [inner for value in level for inner in _inner(value) if isinstance(inner, Mapping | list)]
    try:
        alternatives = _Alternatives(schema).of(schema)
    except RecursionError:
        raise InvalidRequest("The JSON schema's references are nested too deeply.") from None
    if alternatives > MOST_ALTERNATIVES:
        raise InvalidRequest("The JSON schema has too many combinations of alternatives.")


def _inner(value: object) -> Iterable[object]:
    return value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()


class _Alternatives:
    """How many there are where allOf multiplies what anyOf adds. The most of all places, for combinations of parts."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._known: dict[int, int] = {}

    def of(self, node: object) -> int:
        """Of the node itself, or of the worst within it."""
        if not isinstance(node, Mapping | list):
            return 1
        if id(node) not in self._known:
            # A reference that leads back here adds nothing more.
            self._known[id(node)] = 1
            self._known[id(node)] = max(self._own(node), *(self.of(inner) for inner in _inner(node)), 1)
        return self._known[id(node)]

    def _own(self, node: object) -> int:
        if not isinstance(node, Mapping):
            return 1
        number = 1
        for keyword in ("anyOf", "oneOf"):
            if isinstance(parts := node.get(keyword), list):
                number *= max(1, sum(self.of(part) for part in parts))
        for part in node.get("allOf", ()) if isinstance(node.get("allOf"), list) else ():
            number *= self.of(part)
        if isinstance(reference := node.get("$ref"), str) and len(node) > 1:
            number *= self.of(pointed(self._root, reference))
        return number


def pointed(root: Any, reference: str) -> Any:
    """What a JSON pointer of the same document points to, None if there is nothing."""
    found = root
    for part in reference.removeprefix("#").split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, Mapping) and key in found:
            found = found[key]
        else:
            return None
    return found
