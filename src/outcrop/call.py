"""One call on its way through: what its log line and its audit record say."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
import uuid
from collections.abc import Mapping

from outcrop.compatible.endpoint import Asking, Endpoint
from outcrop.errors import AwsError
from outcrop.identity.caller import Caller
from outcrop.wire.model import Operation

# Hashing a body this large takes longer than handing it to a thread.
HASH_IN_THREAD_BYTES = 256 * 1024


class Call:
    """Filled as it goes; `name` is the operation's, once it is known."""

    __slots__ = (
        "audited",
        "caller",
        "endpoint",
        "error",
        "labels",
        "objects",
        "operation",
        "request_id",
        "started",
        "sts",
    )

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.request_id = str(uuid.uuid4())
        self.operation: Operation | None = None
        self.labels: Mapping[str, str] = {}
        self.audited = False
        self.endpoint: Endpoint | None = None
        self.sts: str | None = None
        self.objects: str | None = None
        self.caller: Caller | None = None
        self.error: str | None = None

    @property
    def name(self) -> str | None:
        if self.sts is not None:
            return self.sts
        if self.objects is not None:
            return self.objects
        if self.endpoint is not None:
            return self.endpoint.name
        return self.operation.name if self.operation else None


def model_named(asking: Asking) -> dict[str, str]:
    """The model of a body, for the audit trail; a large body is not read for that alone."""
    if not asking.request.body or len(asking.request.body) > HASH_IN_THREAD_BYTES:
        return {}
    with contextlib.suppress(AwsError):
        model = asking.body().get("model")
        return {"model": model} if isinstance(model, str) else {}
    return {}


async def body_hash(body: bytes) -> str | None:
    """SHA-256 of a large body, made off the loop; None lets the authenticator do it."""
    if len(body) < HASH_IN_THREAD_BYTES:
        return None
    return await asyncio.to_thread(lambda: hashlib.sha256(body).hexdigest())
