"""A reader of the Smithy IDL (2.0), as far as the restJson1 protocol tests use it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Traits = dict[str, Any]

_TOKEN = re.compile(
    r'(?P<skip>[\s,]+|//[^\n]*)|(?P<block>"""(?:[^"\\]|\\.|"(?!""))*""")|(?P<string>"(?:[^"\\]|\\.)*")'
    r"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<word>\$?[A-Za-z_][\w.#$]*)|(?P<mark>:=|[@{}\[\]():=])",
    re.DOTALL,
)
_SIMPLE = {
    "blob", "boolean", "string", "byte", "short", "integer", "long", "float", "double", "bigInteger", "bigDecimal",
    "timestamp", "document",
}  # fmt: skip


@dataclass
class Member:
    target: str
    traits: Traits


@dataclass
class Shape:
    """`kind` is the IDL's word. `members` of enums have their values as targets; operations keep theirs in `node`."""

    kind: str
    traits: Traits = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    mixins: list[str] = field(default_factory=list)
    node: dict[str, Any] = field(default_factory=dict)


def read(folder: Path) -> dict[str, Shape]:
    """All shapes of a folder by their short names; traits that are applied elsewhere are added."""
    shapes: dict[str, Shape] = {}
    applied: list[tuple[str, Traits]] = []
    for path in sorted(folder.rglob("*.smithy")):
        _Parser(list(_tokens(path.read_text("utf-8"))), shapes, applied).file()
    for name, traits in applied:
        for trait, value in traits.items():
            before = shapes[name].traits.get(trait)
            shapes[name].traits[trait] = before + value if isinstance(before, list) else value
    for shape in shapes.values():
        for mixin in shape.mixins:
            shape.members = {**shapes[mixin].members, **shape.members}
    return shapes


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"unreadable: {text[at : at + 60]!r}")
        at = found.end()
        if found.lastgroup != "skip":
            yield str(found.lastgroup), found.group()


def short(name: str) -> str:
    """A shape's name without its namespace, but for the one namespace that has names of another again."""
    namespace, _, name = name.rpartition("#")
    return f"Nested{name}" if namespace.endswith(".nested") else name


class _Parser:
    def __init__(
        self, tokens: list[tuple[str, str]], shapes: dict[str, Shape], applied: list[tuple[str, Traits]]
    ) -> None:
        self._tokens = tokens
        self._at = 0
        self._namespace = ""
        self._shapes = shapes
        self._applied = applied

    def file(self) -> None:
        while self._at < len(self._tokens):
            traits = self._traits()
            word = self._next()
            if word.startswith("$"):
                self._skip(":")
                self._value()
            elif word == "namespace":
                self._namespace = self._next()
            elif word == "use":
                self._next()
            elif word == "metadata":
                self._next()
                self._skip("=")
                self._value()
            elif word == "apply":
                self._apply()
            else:
                self._shape(word, traits)

    def _apply(self) -> None:
        name = short(self._next())
        if self._peek() == "{":
            self._next()
            self._applied.append((name, self._traits()))
            self._skip("}")
        else:
            self._applied.append((name, self._trait()))  # what follows belongs to the next shape

    def _shape(self, kind: str, traits: Traits) -> None:
        name = short(f"{self._namespace}#{self._next()}")
        if kind in _SIMPLE:
            self._shapes[name] = Shape(kind, traits)
            self._with()
        elif kind in ("operation", "service", "resource"):
            mixins = self._with()
            self._shapes[name] = Shape(kind, traits, mixins=mixins, node=self._body(name))
        else:
            self._shapes[name] = self._aggregate(kind, traits)

    def _aggregate(self, kind: str, traits: Traits) -> Shape:
        mixins = self._with()
        shape = Shape(kind, traits, mixins=mixins)
        self._skip("{")
        while self._peek() != "}":
            own = self._traits()
            name = self._next()
            target: Any = name
            if kind in ("enum", "intEnum"):
                if self._peek() == "=":
                    self._next()
                    target = self._value()
            else:
                self._skip(":")
                target = short(self._next())
                if self._peek() == "=":
                    self._next()
                    own["default"] = self._value()
            shape.members[name] = Member(target, own)
        self._skip("}")
        return shape

    def _with(self) -> list[str]:
        if self._peek() == "for":
            self._next()
            self._next()
        if self._peek() != "with":
            return []
        self._next()
        return [short(name) for name in self._value()]

    def _body(self, owner: str) -> dict[str, Any]:
        """An operation's members; an inline structure becomes a shape of its own."""
        node: dict[str, Any] = {}
        self._skip("{")
        while self._peek() != "}":
            key = self._next()
            if self._peek() == ":=":
                self._next()
                name = f"{owner}{key.capitalize()}"
                self._shapes[name] = self._aggregate("structure", self._traits())
                node[key] = name
            else:
                self._skip(":")
                node[key] = self._value()
        self._skip("}")
        return node

    def _traits(self) -> Traits:
        traits: Traits = {}
        while self._peek() == "@":
            traits |= self._trait()
        return traits

    def _trait(self) -> Traits:
        self._skip("@")
        name = short(self._next())
        return {name: self._arguments() if self._peek() == "(" else True}

    def _arguments(self) -> Any:
        self._skip("(")
        if self._peek(1) == ":":
            value: Any = self._pairs(")")
        else:
            value = self._value() if self._peek() != ")" else True
        self._skip(")")
        return value

    def _value(self) -> Any:
        kind, text = self._tokens[self._at]
        if text == "{":
            self._next()
            value = self._pairs("}")
            self._skip("}")
            return value
        if text == "[":
            self._next()
            items = []
            while self._peek() != "]":
                items.append(self._value())
            self._skip("]")
            return items
        self._next()
        return _READ[kind](text)

    def _pairs(self, end: str) -> dict[str, Any]:
        pairs = {}
        while self._peek() != end:
            kind, text = self._tokens[self._at]
            self._next()
            self._skip(":")
            pairs[_text(text) if kind == "string" else text] = self._value()
        return pairs

    def _peek(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._tokens[place][1] if place < len(self._tokens) else ""

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _skip(self, expected: str) -> None:
        found = self._next()
        if found != expected:
            raise ValueError(f"expected {expected}, found {found}, after {self._tokens[self._at - 8 : self._at]}")


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "\n": ""}
_ESCAPE = re.compile(r"\\(u([0-9A-Fa-f]{4})|.)", re.DOTALL)


def _text(quoted: str) -> str:
    return _unescaped(quoted[1:-1])


def _unescaped(text: str) -> str:
    def one(found: re.Match[str]) -> str:
        return chr(int(found[2], 16)) if found[2] else _ESCAPES.get(found[1], found[1])

    return _ESCAPE.sub(one, text)


def _block(quoted: str) -> str:
    """A text block: the first line break is dropped, and the indentation that all lines share."""
    lines = quoted[3:-3].split("\n")[1:]
    filled = [line for line in lines[:-1] if line.strip()] + lines[-1:]
    indent = min((len(line) - len(line.lstrip()) for line in filled), default=0)
    return _unescaped("\n".join(line[indent:].rstrip() if line.strip() else "" for line in lines))


def _number(text: str) -> int | float:
    return float(text) if re.search(r"[.eE]", text) else int(text)


_READ: dict[str, Callable[[str], Any]] = {
    "block": _block,
    "string": _text,
    "number": _number,
    "word": lambda text: {"true": True, "false": False, "null": None}.get(text, text),
}
