"""Signatures on reasoning: what a caller hands back in a tool loop must be what the model thought.

Where the model's maker signs too, its signature travels within ours (`MAC.THEIRS`), covered by it.
"""

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

    def sign(self, text: str, theirs: str | None = None) -> str:
        signed = text if theirs is None else f"{theirs}\0{text}"
        ours = base64.b64encode(hmac.digest(self._key, signed.encode(), hashlib.sha256)).decode()
        return ours if theirs is None else f"{ours}.{theirs}"

    def check(self, text: str, signature: str | None, where: str) -> str | None:
        """The signature of the model's maker, if it gave one.

        A block without a signature is taken as it is: only what claims to be unchanged is held to it.
        """
        if not signature:
            return None
        _, dot, theirs = signature.partition(".")
        inner = theirs if dot else None
        if not hmac.compare_digest(self.sign(text, inner).encode(), signature.encode()):
            raise ModelRefused(f"{where}: Invalid `signature` in `thinking` block")
        return inner
