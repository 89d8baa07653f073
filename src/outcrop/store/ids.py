"""Identifiers in the forms that AWS uses, from the system's random source."""

from __future__ import annotations

import os
import secrets

LOWER_DIGITS = "abcdefghijklmnopqrstuvwxyz0123456789"
UPPER_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
# RFC 4648's base32, which access key ids are made of.
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

_VARIANT = "89ab89ab89ab89ab"


def new_id(length: int = 12, alphabet: str = LOWER_DIGITS) -> str:
    """`length` independent letters of `alphabet`; bedrock uses 12 lower-case ones, bedrock-agent 10 upper-case ones."""
    return "".join(secrets.choice(alphabet) for _ in range(length))


def request_id() -> str:
    """A version 4 UUID; made by hand because `uuid.uuid4` takes several times as long and every request needs one."""
    digits = os.urandom(16).hex()
    variant = _VARIANT[int(digits[16], 16)]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def account_id() -> str:
    """Twelve digits, the first not zero, since tools that read them as numbers lose leading zeros."""
    return str(secrets.randbelow(9 * 10**11) + 10**11)
