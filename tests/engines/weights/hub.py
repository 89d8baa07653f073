"""A Hugging Face hub on loopback: lists a model's files, sends them in ranges, breaks connections, redirects, and lies."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

MODEL = "org/small"


@dataclass
class FakeHub:
    """`breaks` counts, by name, connections that end half-way; `elsewhere` is where files are redirected to."""

    files: Mapping[str, bytes]
    breaks: dict[str, int] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    listing: bytes | None = None
    token: str | None = None
    ignores_ranges: bool = False
    elsewhere: str | None = None
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    endpoint: str = ""

    def __enter__(self) -> FakeHub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def asked(self, name: str) -> list[dict[str, str]]:
        """Headers of the requests for a file."""
        return [headers for path, headers in self.seen if path.endswith("/" + name)]

    def listed(self) -> bytes:
        siblings: list[dict[str, Any]] = []
        for name, data in self.files.items():
            entry: dict[str, Any] = {"rfilename": name, "size": self.sizes.get(name, len(data)), "blobId": "0" * 40}
            if not name.endswith((".json", ".jinja", ".txt")):
                digest = self.checksums.get(name) or hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 130}
            siblings.append(entry)
        return self.listing if self.listing is not None else orjson.dumps({"id": MODEL, "siblings": siblings})


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.seen.append((path, {name.lower(): value for name, value in self.headers.items()}))
            if hub.token is not None and self.headers.get("authorization") != f"Bearer {hub.token}":
                self._answer(401, b"{}")
            elif path == f"/api/models/{MODEL}/revision/main":
                self._answer(200, hub.listed())
            elif path.startswith(f"/{MODEL}/resolve/main/"):
                self._file(path.removeprefix(f"/{MODEL}/resolve/main/"))
            else:
                self._answer(404, b"{}")

        def _file(self, name: str) -> None:
            if hub.elsewhere is not None:
                self.send_response(302)
                self.send_header("location", hub.elsewhere + self.path)
                self.send_header("content-length", "0")
                self.end_headers()
                return
            data, given = hub.files[name], self.headers.get("range")
            start = 0
            if given and not hub.ignores_ranges:
                start = int(given.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else 200)
            self.send_header("content-length", str(len(data) - start))
            self.end_headers()
            rest = data[start:]
            if hub.breaks.get(name, 0) > 0:
                hub.breaks[name] -= 1
                rest = rest[: len(rest) // 2]
                self.close_connection = True
            self.wfile.write(rest)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
