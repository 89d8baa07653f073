"""S3's documents, written and read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from outcrop.objects.errors import ObjectsError

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

Node: TypeAlias = "str | int | bool | Mapping[str, Node] | Sequence[Node] | None"

# XML 1.0 has no way to say most of them; S3 refers to them all the same, and clients that care have keys sent encoded.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0d\x0e-\x1f\x7f\ufffe\uffff]")


def document(root: str, content: Mapping[str, Node], namespace: str = NAMESPACE) -> bytes:
    """Elements in the order of the mapping; one for each item of a list, none for None."""
    inner = "".join(_elements(content))
    opening = f'{root} xmlns="{namespace}"' if namespace else root
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{opening}>{inner}</{root}>'.encode()


def _elements(content: Mapping[str, Node]) -> Iterator[str]:
    for name, value in content.items():
        for item in value if isinstance(value, list | tuple) else (value,):
            if item is not None:
                yield f"<{name}>{_text(item)}</{name}>"


def _text(value: Node) -> str:
    if isinstance(value, Mapping):
        return "".join(_elements(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return _CONTROL.sub(lambda found: f"&#x{ord(found[0]):x};", escape(str(value)))


def timestamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def quoted(etag: str) -> str:
    return f'"{etag}"'


def url_encoded(key: str) -> str:
    """What `encoding-type=url` asks for."""
    return quote(key, safe="/-_.~*")


class Element:
    """A read element; its children go by their names without a namespace."""

    def __init__(self, element: ElementTree.Element) -> None:
        self._element = element

    @property
    def name(self) -> str:
        return self._element.tag.rpartition("}")[2]

    def children(self, name: str) -> list[Element]:
        return [child for child in map(Element, self._element) if child.name == name]

    def text(self, name: str) -> str | None:
        """Of the first child of that name; empty if it holds nothing, None if there is none."""
        found = self.children(name)
        return (found[0]._element.text or "") if found else None


def parsed(body: bytes, root: str) -> Element:
    """MalformedXML unless it is a document with that root. One that declares a type, and so might declare entities, is not."""
    try:
        if b"<!DOCTYPE" in body:
            raise ElementTree.ParseError
        element = Element(ElementTree.fromstring(body))  # noqa: S314 - no document type, no entities
    except (ElementTree.ParseError, ValueError):
        raise malformed() from None
    if element.name != root:
        raise malformed()
    return element


def malformed() -> ObjectsError:
    return ObjectsError(
        "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema"
    )
