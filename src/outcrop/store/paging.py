"""Pages of a list, and tokens that only this server can make.

A token holds the position of the last item sent, not a count, so that items made or deleted between two calls shift
nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import TypeVar

from outcrop.errors import ValidationException

T = TypeVar("T")

MAC_BYTES = 16
DEFAULT_PAGE = 100
# The longest that AWS's shapes allow.
MAX_TOKEN = 2048


def page(
    items: Sequence[T],
    max_results: int | None,
    token: str | None,
    *,
    query: str,
    key: bytes,
    position: Callable[[T], str],
    descending: bool = False,
    default: int = DEFAULT_PAGE,
) -> tuple[list[T], str | None]:
    """The page after `token`, and the token of the next one or None on the last page.

    `items` are sorted by `position`, whose values differ from item to item (end them with the id). `query` names all
    that the token is valid for: account, region, operation and filters. `key` is `vault.subkey("paging")`.
    ValidationException for a token that was altered, made for another query, or made by another server.
    """
    start = 0 if token is None else _after(items, _open(token, query, key), position, descending)
    end = start + (default if max_results is None else max_results)
    chosen = list(items[start:end])
    more = end < len(items) and chosen
    return chosen, _seal(position(chosen[-1]), query, key) if more else None


def _after(items: Sequence[T], last: str, position: Callable[[T], str], descending: bool) -> int:
    if descending:
        # bisect only knows ascending lists: search the list backwards.
        backwards = bisect_left(items[::-1], last, key=position)
        return len(items) - backwards
    return bisect_right(items, last, key=position)


def _seal(last: str, query: str, key: bytes) -> str:
    return base64.urlsafe_b64encode(_mac(last, query, key) + last.encode()).decode()


def _open(token: str, query: str, key: bytes) -> str:
    try:
        if len(token) > MAX_TOKEN:
            raise ValueError
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        last = raw[MAC_BYTES:].decode()
    except (ValueError, binascii.Error):
        raise _invalid() from None
    if not hmac.compare_digest(raw[:MAC_BYTES], _mac(last, query, key)):
        raise _invalid()
    return last


def _mac(last: str, query: str, key: bytes) -> bytes:
    # The query's length goes first: without it, text could move between the query and the position.
    message = f"{len(query)}:{query}{last}".encode()
    return hmac.digest(key, message, hashlib.sha256)[:MAC_BYTES]


def _invalid() -> ValidationException:
    return ValidationException("The provided nextToken is invalid.")
