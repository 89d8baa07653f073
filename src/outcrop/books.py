"""What is written down of every call: its audit record before it is answered, its log line and its metrics after."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from outcrop.audit.record import Event
from outcrop.audit.trail import Trail
from outcrop.call import Call
from outcrop.engines import attempts
from outcrop.serve.asgi import Scope
from outcrop.serve.logs import RequestLog
from outcrop.telemetry.observer import Observer


class Books:
    """`region` is that of calls that name none."""

    def __init__(
        self,
        log: RequestLog,
        trail: Trail | None,
        observer: Observer | None,
        clock: Callable[[], datetime],
        region: str,
    ) -> None:
        self._log = log
        self._trail = trail
        self._observer = observer
        self._clock = clock
        self._region = region

    def audit(self, scope: Scope, call: Call) -> None:
        """Written down before the call is answered, once."""
        if self._trail is None or call.audited:
            return
        call.audited = True
        address = scope.get("client")
        agent = next((value for name, value in scope["headers"] if name == b"user-agent"), None)
        self._trail.write(
            Event(
                service="s3" if call.objects else "sts" if call.sts else "bedrock",
                name=(call.name or "Unknown").removeprefix("s3."),
                time=self._clock(),
                region=(call.caller.region if call.caller else None) or self._region,
                request_id=call.request_id,
                address=address[0] if address else None,
                agent=None if agent is None else agent.decode("latin-1"),
                caller=call.caller,
                error=call.error,
                labels=call.labels,
            )
        )

    def log(self, scope: Scope, call: Call, status: int) -> None:
        seconds = time.perf_counter() - call.started
        if self._observer is not None:
            self._observer.request(call.name or "none", status, call.error, seconds)
        tried = attempts.read()
        self._log.write(
            status=status,
            operation=call.name,
            ms=round(seconds * 1000, 2),
            request_id=call.request_id,
            account=call.caller.account if call.caller else None,
            principal=call.caller.arn if call.caller else None,
            error=call.error,
            engines=[f"{engine}: {outcome}" for engine, outcome in tried] if len(tried) > 1 else None,
            path=None if call.name else f"{scope['method']} {scope['raw_path'].decode('latin-1')[:200]}",
        )

    def close(self) -> None:
        if self._trail is not None:
            self._trail.close()
        if self._observer is not None:
            self._observer.close()
