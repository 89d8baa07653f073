"""A key as a value, its names, and what can be wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from outcrop.identity import arns
from outcrop.store.seals import Unreadable

State = Literal["Enabled", "Disabled"]


class NoSuchKey(Unreadable):
    """No account has the key, or not this one."""


class Disabled(Unreadable):
    """The key is there, and nothing is encrypted or decrypted with it for now."""


@dataclass(frozen=True, slots=True)
class Key:
    """`versions` are ciphers by number: the newest encrypts, all of them decrypt."""

    id: str
    account: str
    region: str
    alias: str | None
    description: str
    state: State
    created_at: str
    versions: Mapping[int, AESGCM]

    @property
    def arn(self) -> str:
        return arn_of(self.id, self.account, self.region)

    @property
    def newest(self) -> int:
        return max(self.versions)

    def check(self) -> None:
        if self.state != "Enabled":
            raise Disabled(f"{self.arn} is disabled.")
        if not self.versions:
            raise Disabled(f"{self.arn} cannot be used: it was altered, or belongs to another key file.")


def arn_of(name: str, account: str, region: str) -> str:
    """Of a key or an alias that is named by ARN, id or `alias/NAME`."""
    if name.startswith("arn:"):
        return name
    resource = name if name.startswith(("alias/", "key/")) else f"key/{name}"
    return f"arn:{arns.partition_of(region)}:kms:{region}:{account}:{resource}"


def in_arn(name: str, account: str) -> tuple[str, str]:
    """Resource and region of an ARN. NoSuchKey if it is none of this account's keys."""
    try:
        arn = arns.parse(name)
    except ValueError:
        raise no_such_key(name) from None
    if (arn.service, arn.account) != ("kms", account):
        raise no_such_key(name)
    return arn.resource, arn.region


def no_such_key(name: str) -> NoSuchKey:
    return NoSuchKey(f"Key '{name}' does not exist")
