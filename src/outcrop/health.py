"""`/health`: the server runs. `/ready`: 200 if database and engines could answer now, else 503; both unsigned."""

from __future__ import annotations

import orjson

from outcrop.engines.pool import Engines
from outcrop.request import HttpRequest
from outcrop.serve.asgi import Reply
from outcrop.store.database import Database, DatabaseError


def health(request: HttpRequest, engines: Engines, database: Database) -> Reply | None:
    """None for any other request."""
    if request.method != "GET" or request.raw_path not in ("/health", "/ready"):
        return None
    listed = engines.status()
    ready, told = True, {}
    if request.raw_path == "/ready":
        told = {"database": "ready" if _answers(database) else "failed"}
        ready = "failed" not in (*told.values(), *(engine["state"] for engine in listed))
    body = orjson.dumps({"status": "ok" if ready else "degraded", **told, "engines": listed})
    return Reply(200 if ready else 503, [(b"content-type", b"application/json")], body)


def _answers(database: Database) -> bool:
    try:
        database.version()
    except DatabaseError:
        return False
    return True
