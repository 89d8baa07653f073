"""A door to knock at: real keys in a real database, requests signed by botocore itself, a clock that can be moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials

from outcrop.identity.authenticate import Authenticator
from outcrop.identity.caller import Caller
from outcrop.identity.credentials import Credentials
from outcrop.identity.first_start import Administrator, ensure_administrator
from outcrop.identity.keyring import Keyring
from outcrop.identity.sessions import Sessions
from outcrop.request import HttpRequest
from outcrop.store.database import Database
from outcrop.store.keyfile import Vault
from tests.stores import settings_of, store_at

URL = "http://127.0.0.1:8484"


@dataclass
class Door:
    home: Path
    database: Database
    vault: Vault
    administrator: Administrator
    ahead: timedelta = field(default_factory=timedelta)
    window_seconds: int = 300
    insecure: bool = False

    def __post_init__(self) -> None:
        self.credentials = Credentials(self.database, self.vault)
        self.sessions = Sessions(self.vault)
        self.keyring = Keyring(self.database, self.vault)

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def knock(self, request: HttpRequest, service: str = "bedrock-runtime", body_hash: str | None = None) -> Caller:
        authenticator = Authenticator(
            self.credentials,
            self.sessions,
            clock=self.clock,
            window_seconds=self.window_seconds,
            insecure_no_auth=self.insecure,
        )
        return authenticator.authenticate(request, service, body_hash=body_hash)

    @property
    def boto_credentials(self) -> BotoCredentials:
        key = self.administrator.access_key
        return BotoCredentials(key.id, key.secret)

    def signed(
        self,
        path: str = "/model/outcrop.house-nano-v1%3A0/converse",
        *,
        body: bytes = b'{"messages":[]}',
        credentials: BotoCredentials | None = None,
        service: str = "bedrock",
        region: str = "us-east-1",
        headers: Mapping[str, str] | None = None,
    ) -> HttpRequest:
        """A POST, signed in its header."""
        request = AWSRequest("POST", URL + path, data=body, headers={"Host": "127.0.0.1:8484", **(headers or {})})
        SigV4Auth(credentials or self.boto_credentials, service, region).add_auth(request)
        return received(request.method, request.url, request.headers, body)

    def presigned(self, path: str = "/foundation-models", *, expires: int = 900) -> HttpRequest:
        request = AWSRequest("GET", URL + path)
        SigV4QueryAuth(self.boto_credentials, "bedrock", "eu-west-1", expires=expires).add_auth(request)
        return received("GET", request.url, {"Host": "127.0.0.1:8484"}, b"")

    def sent_by_sdk(self, service: str, operation: str, **params: Any) -> HttpRequest:
        """The request that an unmodified botocore client puts on the wire."""
        client = botocore.session.Session().create_client(
            service,
            region_name="ap-southeast-2",
            endpoint_url=URL,
            aws_access_key_id=self.administrator.access_key.id,
            aws_secret_access_key=self.administrator.access_key.secret,
            config=Config(retries={"max_attempts": 0}),
        )
        caught: list[HttpRequest] = []

        def catch(request: Any, **_: Any) -> AWSResponse:
            headers = {"Host": urlsplit(request.url).netloc, **_texts(request.headers)}
            caught.append(received(request.method, request.url, headers, request.body or b""))
            return AWSResponse(request.url, 204, {}, _Nothing())

        client.meta.events.register("before-send", catch)
        getattr(client, operation)(**params)
        return caught[0]


class _Nothing:
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield b"{}"

    def read(self, *_: Any) -> bytes:
        return b"{}"


@contextmanager
def opened(home: Path) -> Iterator[Door]:
    store = store_at(home)
    database, vault = Database.open(store), Vault.open(home)
    if given := settings_of(store):
        (home / "settings.toml").write_text(given)
    administrator = ensure_administrator(database, vault)
    assert administrator is not None
    yield Door(home, database, vault, administrator)
    database.close()


def received(method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpRequest:
    parts = urlsplit(url)
    lowered = [(name.lower(), value) for name, value in _texts(headers).items()]
    return HttpRequest(method, parts.path, parts.query, lowered, body)


def _texts(headers: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: value.decode("latin-1") if isinstance(value, bytes) else str(value) for name, value in headers.items()
    }
