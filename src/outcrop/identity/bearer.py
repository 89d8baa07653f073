"""Bedrock API keys: what a bearer token is, read without believing it.

A long-term key is `ABSK` and base64 of `alias:secret`. A short-term key is `bedrock-api-key-` and base64 of a presigned
request for `POST https://bedrock.amazonaws.com/?Action=CallWithBearerToken`, with `&Version=1` after the signature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from datetime import UTC, datetime
from urllib.parse import urlencode

from outcrop.identity import sigv4
from outcrop.identity.refusals import bad_bearer
from outcrop.request import HttpRequest
from outcrop.store.ids import LOWER_DIGITS, new_id

LONG_TERM = "ABSK"
SHORT_TERM = "bedrock-api-key-"
# Twelve hours, whatever the token itself says.
MAX_SHORT_TERM_SECONDS = 43_200
MAX_TOKEN = 8192

_HOST = "bedrock.amazonaws.com"
_VERSION = re.compile(r"&Version=[0-9]+$")


def new_long_term_key(account: str) -> tuple[str, str]:
    """A fresh alias (`BedrockAPIKey-xxxx-at-111122223333`) and the key that holds it; the key is not kept."""
    alias = f"BedrockAPIKey-{new_id(4, LOWER_DIGITS)}-at-{account}"
    secret = base64.b64encode(secrets.token_bytes(33)).decode()
    return alias, LONG_TERM + base64.b64encode(f"{alias}:{secret}".encode()).decode()


def new_short_term_key(access_key_id: str, secret: str, region: str, now: datetime) -> str:
    """A key that an access key signs for twelve hours, as AWS's token generators make it; nothing is stored."""
    timestamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{timestamp[:8]}/{region}/bedrock/aws4_request"
    members = {
        "Action": "CallWithBearerToken",
        "X-Amz-Algorithm": sigv4.ALGORITHM,
        "X-Amz-Credential": f"{access_key_id}/{scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(MAX_SHORT_TERM_SECONDS),
        "X-Amz-SignedHeaders": "host",
    }
    query = sigv4.canonical_query(urlencode(members))
    empty = hashlib.sha256(b"").hexdigest()
    canonical = sigv4.canonical_request("POST", "/", query, {"host": _HOST}, ("host",), empty)
    text = sigv4.string_to_sign(timestamp, scope, canonical)
    signature = sigv4.signature(secret, timestamp[:8], region, "bedrock", text)
    url = f"{_HOST}/?{query}&X-Amz-Signature={signature}&Version=1"
    return SHORT_TERM + base64.b64encode(url.encode()).decode()


def presigned_request(token: str) -> HttpRequest:
    """The presigned request inside a short-term key, as a server would receive it. AccessDeniedException if none is."""
    try:
        if len(token) > MAX_TOKEN:
            raise ValueError
        text = base64.b64decode(token.removeprefix(SHORT_TERM), validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        raise bad_bearer() from None
    where, _, query = text.partition("?")
    if where.removesuffix("/") != _HOST or "Action=CallWithBearerToken" not in query.split("&"):
        raise bad_bearer()
    return HttpRequest("POST", "/", _VERSION.sub("", query), [("host", _HOST)], scheme="https")
