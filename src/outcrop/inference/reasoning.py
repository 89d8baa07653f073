"""Signatures on reasoning: what a caller hands back in a tool loop must be what the model thought."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import cached_property
from typing import TYPE_CHECKING

from outcrop.inference.failures import ModelRefused

if TYPE_CHECKING:
    from outcrop.store.keyfile import Vault


class Signer:
    """Its key is derived at first use, for few answers hold reasoning. Servers that share a key file agree."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    @cached_property
    def _key(self) -> bytes:
        return self._vault.subkey("reasoning")

    def sign(self, text: str) -> str:
        return base64.b64encode(hmac.digest(self._key, text.encode(), hashlib.sha256)).decode()

    def check(self, text: str, signature: str | None, where: str) -> None:
        """A block without a signature is taken as it is: only what claims to be unchanged is held to it."""
        if signature and not hmac.compare_digest(self.sign(text).encode(), signature.encode()):
            raise ModelRefused(f"{where}: Invalid `signature` in `thinking` block")
