"""Clients of a live server's S3 interface: boto3 as anybody has it, and bare HTTP with AWS's signatures for what boto3 cannot say."""

from __future__ import annotations

import http.client
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from outcrop.identity import accounts
from outcrop.identity.first_start import make_account
from outcrop.identity.keyring import Keyring
from outcrop.identity.policies import rows
from outcrop.store.database import Database
from outcrop.store.keyfile import Vault
from tests.live import Server
from tests.stores import store_at

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Key:
    id: str
    secret: str

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.id, self.secret)


def administrators(server: Server) -> Key:
    return Key(server.environment["AWS_ACCESS_KEY_ID"], server.environment["AWS_SECRET_ACCESS_KEY"])


def client(server: Server, key: Key | None = None, region: str = "us-east-1", **config: Any) -> Any:
    """An unmodified boto3 client."""
    key = key or administrators(server)
    session = boto3.Session(key.id, key.secret, region_name=region)
    settings = Config(retries={"max_attempts": 0}, **config)
    return session.client("s3", endpoint_url=server.environment["AWS_ENDPOINT_URL_S3"], config=settings)


@dataclass(frozen=True)
class Buckets:
    server: Server

    def new(self, key: Key | None = None) -> str:
        name = f"bucket-{os.getpid()}-{next(_numbers)}"
        client(self.server, key).create_bucket(Bucket=name)
        return name


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def call(
    server: Server,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    key: Key | None = None,
    extra: Mapping[str, str] | None = None,
    service: str = "s3",
) -> Answer:
    """One signed request whose path is sent exactly as it is given; `extra` headers are added after signing."""
    url = server.environment["AWS_ENDPOINT_URL_S3"]
    request = AWSRequest(method, url + path, data=body, headers=dict(headers or {}))
    request.context["client_config"] = Config(s3={"payload_signing_enabled": True})
    S3SigV4Auth((key or administrators(server)).credentials, service, "us-east-1").add_auth(request)
    return send(server, method, path, body, {**dict(request.headers.items()), **(extra or {})})


def send(server: Server, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request(method, path, body or None, dict(headers))
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def another_account(home: Path) -> Key:
    """The administrator of an account of its own, made behind the server's back."""
    with _opened(home) as (database, vault), database.transaction() as transaction:
        made = make_account(transaction, vault).access_key
    return Key(made.id, made.secret)


def limited_user(home: Path, name: str, *statements: Mapping[str, Any]) -> Key:
    """A user of the first account who may do what the statements say and no more."""
    with _opened(home) as (database, vault):
        account = accounts.default_account(database)
        with database.transaction() as transaction:
            made = rows.put(transaction, account, name, allowing(*statements))
        key = Keyring(database, vault, policies=[made.arn]).create_access_key(name)
    return Key(key.id, key.secret)


def reading_role(home: Path, name: str, bucket: str) -> str:
    """The ARN of a role of the first account that may read one bucket's objects."""
    with _opened(home) as (database, _):
        account = accounts.default_account(database)
        with database.transaction() as transaction:
            statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
            policy = rows.put(transaction, account, name, allowing(statement))
            role = accounts.add_role(transaction, account, name, rows.trust_of_account(account))
            rows.attach(transaction, role.id, policy.arn)
    return role.arn


def allowing(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@contextmanager
def _opened(home: Path) -> Iterator[tuple[Database, Vault]]:
    database = Database.open(store_at(home))
    try:
        yield database, Vault.open(home)
    finally:
        database.close()
