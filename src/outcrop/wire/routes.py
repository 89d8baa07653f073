"""Which operation answers a method and a raw, still percent-encoded path.

Literal segments beat labels, labels beat greedy labels, a literal query parameter beats none, and a trailing slash is
a segment of its own (`POST /agents/{id}/` and `POST /agents/{id}` are different operations). An ARN whose slashes
arrive unescaped, as in AWS's own documentation, is still one label: where nothing else matches, a label may swallow
several segments.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from outcrop.errors import UnknownOperationException

if TYPE_CHECKING:
    from outcrop.wire.model import Operation

_ARN_STARTS = ("arn:", "arn%3A", "arn%3a")


@dataclass(slots=True)
class _Leaf:
    operation: Operation
    labels: tuple[str, ...]
    query: frozenset[str]  # literal parameters of the URI, "name" or "name=value"
    twins: list[_Leaf] = field(default_factory=list)


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    label: _Node | None = None
    greedy: _Node | None = None
    leaves: dict[str, list[_Leaf]] = field(default_factory=dict)  # by method

    def child(self, segment: str) -> _Node:
        """The node of a template's segment, made if new."""
        if segment.endswith("+}"):
            self.greedy = self.greedy or _Node()
            return self.greedy
        if segment.startswith("{"):
            self.label = self.label or _Node()
            return self.label
        return self.literals.setdefault(segment, _Node())


class Router:
    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        path, _, query = operation.uri.partition("?")
        segments = path.split("/")[1:]
        node = self._root
        for segment in segments:
            node = node.child(segment)
        labels = tuple(segment.strip("{}+") for segment in segments if segment.startswith("{"))
        literal = frozenset(part.removesuffix("=") for part in query.split("&") if part)
        leaves = node.leaves.setdefault(operation.method, [])
        twin = next((leaf for leaf in leaves if leaf.query == literal), None)
        if twin is not None:
            twin.twins.append(_Leaf(operation, labels, literal))
            return
        leaves.append(_Leaf(operation, labels, literal))
        leaves.sort(key=lambda leaf: -len(leaf.query))

    def find(self, method: str, raw_path: str, query: str) -> tuple[Operation, dict[str, str]]:
        """The operation and its labels, still percent-encoded; UnknownOperationException where there is none."""
        segments = raw_path.split("/")[1:]
        for spans in (False, True):
            values: list[str] = []
            leaf = _match(self._root, segments, 0, method, query, values, spans, "")
            if leaf is not None:
                return _choose(leaf, values) if leaf.twins else (leaf.operation, _labels(leaf, values))
        raise UnknownOperationException(f"No operation answers {method} {raw_path[:256]}")


def _labels(leaf: _Leaf, values: list[str]) -> dict[str, str]:
    return dict(zip(leaf.labels, values, strict=True))


def _choose(leaf: _Leaf, values: list[str]) -> tuple[Operation, dict[str, str]]:
    """Of operations with one and the same route, a later one whose labels' constraints hold, else the first.

    The tag operations of bedrock-agent and bedrock-agent-runtime share theirs; the latter takes the ARNs of sessions only.
    """
    for twin in leaf.twins:
        labels = _labels(twin, values)
        if twin.operation.takes(labels):
            return twin.operation, labels
    return leaf.operation, _labels(leaf, values)


def _match(
    node: _Node, segments: list[str], at: int, method: str, query: str, values: list[str], spans: bool, above: str
) -> _Leaf | None:
    """Depth first, with backtracking; `values` holds the labels so far, `above` the literal before this segment."""
    if at == len(segments):
        return _leaf(node.leaves.get(method), query)
    segment = segments[at]
    found = None
    if (literal := node.literals.get(segment)) is not None:
        found = _match(literal, segments, at + 1, method, query, values, spans, segment)
    if found is None and node.label is not None and segment:
        longest = len(segments) if spans and (above == "model" or segment.startswith(_ARN_STARTS)) else at + 1
        found = _swallow(node.label, segments, at, longest, method, query, values, spans)
    if found is None and node.greedy is not None and segment:
        found = _swallow(node.greedy, segments, at, len(segments), method, query, values, spans)
    return found


def _swallow(
    node: _Node, segments: list[str], at: int, last: int, method: str, query: str, values: list[str], spans: bool
) -> _Leaf | None:
    """Match `segments[at:end]` as one label, the longest end first."""
    for end in range(last, at, -1):
        values.append("/".join(segments[at:end]))
        found = _match(node, segments, end, method, query, values, spans, "")
        if found is not None:
            return found
        values.pop()
    return None


def _leaf(leaves: list[_Leaf] | None, query: str) -> _Leaf | None:
    if not leaves:
        return None
    if not leaves[0].query:
        return leaves[0]
    given = {part.removesuffix("=") for part in query.split("&")}
    return next((leaf for leaf in leaves if leaf.query <= given), None)
