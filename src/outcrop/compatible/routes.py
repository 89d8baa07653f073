"""Which endpoint answers a method and a path: `/openai/v1/...` and `/anthropic/v1/...`, and `/v1/...` as a short form of both.

Both interfaces list models at `/v1/models`; there the headers tell whose client asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from outcrop.compatible import anthropic, openai
from outcrop.compatible.endpoint import Answered, Asking, Dialect, Endpoint
from outcrop.context import Context
from outcrop.errors import UnknownOperationException
from outcrop.request import HttpRequest

SHORT = "/v1/"


class Routes:
    def __init__(self) -> None:
        self._openai = dict(_by_segments(openai.ENDPOINTS))
        self._anthropic = dict(_by_segments(anthropic.ENDPOINTS))
        self._prefixes = (
            (self._openai, "/openai/v1/", _unknown("openai", openai.dialect)),
            (self._anthropic, "/anthropic/v1/", _unknown("anthropic", anthropic.dialect)),
        )

    def find(self, request: HttpRequest) -> tuple[Endpoint, dict[str, str]] | None:
        """The endpoint and the labels of its path; None for a path of Bedrock's own."""
        path = request.raw_path
        for table, prefix, unknown in self._prefixes:
            if path.startswith(prefix):
                return _find(table, request.method, path.removeprefix(prefix)) or (unknown, {})
        if not path.startswith(SHORT):
            return None
        tables = (self._openai, self._anthropic)
        if request.header("anthropic-version") is not None:
            tables = (self._anthropic, self._openai)
        found = (_find(table, request.method, path.removeprefix(SHORT)) for table in tables)
        return next((endpoint for endpoint in found if endpoint is not None), None)


def _unknown(interface: str, dialect: Dialect) -> Endpoint:
    """What answers under an interface's own prefix where nothing else does: its kind of error."""
    return Endpoint(f"{interface}.Unknown", "", "", _nothing, dialect)


async def _nothing(ctx: Context, asking: Asking) -> Answered:
    raise UnknownOperationException(f"Unknown request URL: {asking.request.method} {asking.request.raw_path[:256]}")


_Table = dict[tuple[str, int], list[tuple[list[str], Endpoint]]]


def _by_segments(endpoints: tuple[Endpoint, ...]) -> Iterator[tuple[tuple[str, int], list[tuple[list[str], Endpoint]]]]:
    """Endpoints by their method and number of segments, those without labels first."""
    table: _Table = {}
    for endpoint in endpoints:
        segments = endpoint.path.split("/")
        table.setdefault((endpoint.method, len(segments)), []).append((segments, endpoint))
    for key, rows in table.items():
        yield key, sorted(rows, key=lambda row: sum(segment.startswith("{") for segment in row[0]))


def _find(table: _Table, method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
    given = path.split("/")
    for segments, endpoint in table.get((method, len(given)), ()):
        labels = {}
        for segment, value in zip(segments, given, strict=True):
            if segment.startswith("{") and value:
                labels[segment.strip("{}")] = unquote(value)
            elif segment != value:
                break
        else:
            return endpoint, labels
    return None
