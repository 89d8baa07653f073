"""One HTTP request as it came in, before anything is decoded: what signatures are computed over."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class HttpRequest:
    """`raw_path` and `query` are exactly the received bytes (latin-1), still percent-encoded; header names are lower case.

    `source_ip` is the address that it came from. `headers` keeps repeated headers in order; `header(name)` is the first value.
    """

    method: str
    raw_path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    scheme: str = "http"
    source_ip: str | None = None
    _index: dict[str, str] | None = field(default=None, repr=False)

    def header(self, name: str) -> str | None:
        """The first value of the header `name` (given in lower case)."""
        index = self._index
        if index is None:
            index = self._index = {}
            for key, value in self.headers:
                index.setdefault(key, value)
        return index.get(name)
