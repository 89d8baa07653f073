"""What an operation gets from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outcrop.encryption.keys import Keys
    from outcrop.engines.engine import Engine
    from outcrop.engines.pool import Engines
    from outcrop.identity.caller import Caller
    from outcrop.models.catalogue import Catalogue
    from outcrop.objects.objects import Objects
    from outcrop.objects.places import Places
    from outcrop.quotas.quotas import Quotas
    from outcrop.settings import Settings
    from outcrop.store.database import Database
    from outcrop.store.keyfile import Vault
    from outcrop.telemetry.observer import Observer


# Raises AccessDeniedException: an action (`bedrock:InvokeModel`) and the ARN of a resource, or the id of a model.
Permit = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Parts:
    """The long-lived parts, made once by `app.py`."""

    settings: Settings
    database: Database
    engines: Engines
    catalogue: Catalogue
    vault: Vault
    clock: Callable[[], datetime]  # aware, UTC
    objects: Places
    observer: Observer | None = None
    quotas: Quotas | None = None


@dataclass(slots=True)
class Context:
    """One call: who calls, where, and the parts. `response_headers` are sent besides those of the service model.

    `traceparent` is the caller's W3C trace context, where it has one.
    """

    caller: Caller
    region: str
    request_id: str
    parts: Parts
    response_headers: dict[str, str] = field(default_factory=dict)
    traceparent: str | None = None
    permit: Permit | None = None

    def require(self, action: str, resource: str) -> None:
        """AccessDeniedException unless the caller may do this too.

        What the request itself shows was asked before the operation began; this is for what it finds on its way: the
        model of a prompt, an agent's knowledge base. A call from inside, without a request, may do everything.
        """
        if self.permit is not None:
            self.permit(action, resource)

    @property
    def account(self) -> str:
        return self.caller.account

    @property
    def keys(self) -> Keys:
        """Keys that encrypt what is stored."""
        return self.parts.objects.keys

    @property
    def database(self) -> Database:
        return self.parts.database

    @property
    def engines(self) -> Engines:
        return self.parts.engines

    def engine(self, model_id: str) -> Engine:
        """The engine of a model; EngineError if it cannot be served at all."""
        return self.parts.engines.get(model_id)

    @property
    def catalogue(self) -> Catalogue:
        return self.parts.catalogue

    @property
    def objects(self) -> Objects:
        """What `s3://` holds for the caller's account."""
        return self.parts.objects.of(self.account)

    def now(self) -> datetime:
        return self.parts.clock()
