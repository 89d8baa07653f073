"""Temporary credentials: a role for a while. Nothing is stored; all that there is to know is sealed in the session token."""

from __future__ import annotations

import base64
import binascii
import secrets
import zlib
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec

from outcrop.identity.caller import Session
from outcrop.identity.credentials import AccessKey, Principal
from outcrop.store.ids import BASE32, new_id
from outcrop.store.keyfile import KeyFileError, Vault

# Opened tokens that are kept in memory, and the longest that is looked at.
REMEMBERED = 4096
LONGEST = 8192


class _Sealed(msgspec.Struct, array_like=True):
    """Short, since it travels with every request."""

    secret: str
    account: str
    role_id: str
    role_arn: str
    name: str
    issued_at: float
    expires_at: float
    policies: tuple[str, ...]
    policy_arns: tuple[str, ...]
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TemporaryKey:
    id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    expires_at: float


def issue(vault: Vault, account: str, name: str, session: Session) -> TemporaryKey:
    """A key for `session`, called `name`, in the role's account."""
    key_id = f"ASIA{new_id(16, BASE32)}"
    secret = base64.b64encode(secrets.token_bytes(30)).decode()
    sealed = _Sealed(
        secret,
        account,
        session.role_id,
        session.role_arn,
        name,
        session.issued_at,
        session.expires_at,
        session.policies,
        session.policy_arns,
        session.tags,
    )
    blob = vault.encrypt(zlib.compress(msgspec.msgpack.encode(sealed), 9), _bound_to(key_id))
    return TemporaryKey(key_id, secret, base64.b64encode(blob).decode(), session.expires_at)


class Sessions:
    """Reads session tokens."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._open)

    def key(self, key_id: str, token: str) -> AccessKey | None:
        """The temporary key of that id, expired or not; None if the token is not its, or not ours."""
        if len(token) > LONGEST:
            return None
        try:
            return self._remembered(key_id, token)
        except (KeyFileError, binascii.Error, ValueError):
            return None

    def _open(self, key_id: str, token: str) -> AccessKey:
        blob = base64.b64decode(token.encode("latin-1"), validate=True)
        plain = zlib.decompress(self._vault.decrypt(blob, _bound_to(key_id)))
        sealed = msgspec.msgpack.decode(plain, type=_Sealed)
        session = Session(
            role_id=sealed.role_id,
            role_arn=sealed.role_arn,
            issued_at=sealed.issued_at,
            expires_at=sealed.expires_at,
            policies=sealed.policies,
            policy_arns=sealed.policy_arns,
            tags=sealed.tags,
        )
        return AccessKey(key_id, sealed.secret, Principal(sealed.account, sealed.role_id, sealed.name, session))


def _bound_to(key_id: str) -> str:
    return f"session {key_id}"
