"""One line a request, as JSON or text, to standard error. Prompts, answers and secrets are never part of it."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Literal

import orjson

Mode = Literal["json", "text", "off"]


class RequestLog:
    """Writes straight to the stream: the logging module costs more than the rest of a request's bookkeeping together."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode

    def write(self, **fields: object) -> None:
        if self.mode == "off":
            return
        line = (
            orjson.dumps({"time": _now(), "level": "info", **fields}, default=str) + b"\n"
            if self.mode == "json"
            else _text(fields)
        )
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(fields: dict[str, object]) -> bytes:
    shown = dict(fields)
    head = f"{_now()[11:23]} {shown.pop('status', ''):>3} {shown.pop('operation', '-') or '-'}"
    tail = " ".join(f"{key}={value}" for key, value in shown.items() if value not in (None, ""))
    return f"{head} {tail}\n".encode()


class JsonFormatter(logging.Formatter):
    """What everything else logs, in the shape of the request lines."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": _now(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if (request_id := getattr(record, "request_id", None)) is not None:
            fields["request_id"] = request_id
        return orjson.dumps(fields, default=str).decode()


def configure(mode: Mode) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter() if mode == "json" else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    root = logging.getLogger("outcrop")
    root.handlers = [handler]
    root.setLevel(logging.CRITICAL + 1 if mode == "off" else logging.INFO)
    root.propagate = False
