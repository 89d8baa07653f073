"""The chain through the records of a file: each holds a code over itself and the one before it, under the server's key.

Without the key nobody can change a record and make the codes fit again.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

import orjson

SEQUENCE, CODE = "sequence", "chain"


@dataclass(frozen=True, slots=True)
class Link:
    """Where a chain stands: how many records it has, and the code of the last."""

    count: int = 0
    code: str = ""


def start(name: str) -> Link:
    """Before the first record of the file `name`, which may have no other name."""
    return Link(0, name)


def line(key: bytes, before: Link, record: dict[str, Any]) -> tuple[bytes, Link]:
    """The record as a line of its file, and where the chain stands with it."""
    count = before.count + 1
    body = orjson.dumps({**record, SEQUENCE: count})
    link = Link(count, _code(key, before.code, body))
    return body[:-1] + b',"chain":"' + link.code.encode() + b'"}\n', link


def follow(key: bytes, before: Link, text: bytes) -> tuple[dict[str, Any], Link] | None:
    """The record of a line and the link that it makes; None if it is no record, or its code is not its own."""
    body, mark, code = text.rstrip(b"\n").rpartition(b',"chain":"')
    body += b"}"
    try:
        record = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not mark or not isinstance(record, dict) or not isinstance(record.get(SEQUENCE), int):
        return None
    made = _code(key, before.code, body)
    if not hmac.compare_digest(code, made.encode() + b'"}'):
        return None
    return record, Link(record[SEQUENCE], made)


def _code(key: bytes, before: str, body: bytes) -> str:
    return hmac.digest(key, before.encode() + b"\n" + body, hashlib.sha256).hex()
