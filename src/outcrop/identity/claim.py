"""What a signed request says of itself: whose key, for what scope, over which headers, when, with which signature.

Nothing here is believed; `authenticate` proves it. Whatever is unreadable is refused in AWS's words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from outcrop.identity.refusals import incomplete, incomplete_header, invalid
from outcrop.identity.sigv4 import ALGORITHM

# The longest life of a presigned request: a week.
MAX_EXPIRES = 604_800
# What is read is remembered, so that an endless header must not be.
MAX_LENGTH = 4096

_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
# HTTP/2 clients sign `:authority`, which stands for the Host header.
_HEADER_NAME = re.compile(r":authority|[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_QUERY_PARAMETERS = tuple(
    f"X-Amz-{name}" for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The five parts of a credential; `text` is the last four of them, as they are signed."""

    access_key_id: str
    date: str
    region: str
    service: str
    terminator: str
    text: str


@dataclass(slots=True)
class Claim:
    """`timestamp` is the signature's date as it is signed (`20150830T123600Z`), `time` the same in POSIX seconds.

    `expires` is a presigned request's life in seconds, None for one that is signed in its header.
    """

    scope: Scope
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    time: float
    expires: int | None = None


def from_header(authorization: str, headers: Mapping[str, str]) -> Claim:
    """Read `Authorization: AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…` and the date header.

    `headers` are folded, so that a repeated date is not a date. Raises IncompleteSignatureException.
    """
    if len(authorization) > MAX_LENGTH:
        raise incomplete_header("Authorization header is too long.", authorization)
    timestamp = headers.get("x-amz-date") or _http_date(headers.get("date", ""))
    head, _, signature = authorization.rpartition("Signature=")
    if not (head and timestamp and _SIGNATURE.fullmatch(signature)):
        head, signature = _rearranged(authorization, timestamp)
    scope, signed_headers = _read_head(head)
    return Claim(scope, signed_headers, signature, timestamp, parse_time(timestamp))


def from_query(query: str) -> Claim:
    """Read the parameters of a presigned request. Raises IncompleteSignatureException."""
    given = _query_parameters(query)
    if any(len(given.get(name, "")) > MAX_LENGTH for name in _QUERY_PARAMETERS):
        raise incomplete("AWS query-string parameters are too long.")
    for name in _QUERY_PARAMETERS:
        if not given.get(name):
            raise incomplete(
                f"AWS query-string parameters must include '{name}'. Re-examine the query-string parameters."
            )
    if given["X-Amz-Algorithm"] != ALGORITHM:
        raise incomplete(f"Unsupported AWS 'algorithm': only {ALGORITHM} is supported.")
    return Claim(
        scope=parse_scope(given["X-Amz-Credential"]),
        signed_headers=_header_names(given["X-Amz-SignedHeaders"]),
        signature=_signature(given["X-Amz-Signature"]),
        timestamp=given["X-Amz-Date"],
        time=parse_time(given["X-Amz-Date"]),
        expires=_expires(given["X-Amz-Expires"]),
    )


def parse_scope(credential: str) -> Scope:
    parts = credential.split("/")
    if len(parts) != 5:
        raise incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got {len(parts)} of them."
        )
    key_id, date, region, service, terminator = parts
    return Scope(key_id, date, region, service, terminator, text=credential.partition("/")[2])


@lru_cache(maxsize=1024)
def parse_time(timestamp: str) -> float:
    """POSIX seconds of `20150830T123600Z`."""
    try:
        if not _TIMESTAMP.fullmatch(timestamp):
            raise ValueError
        return datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise incomplete("Date must be in ISO-8601 'basic format'. See http://en.wikipedia.org/wiki/ISO_8601") from None


@lru_cache(maxsize=1024)
def _read_head(head: str) -> tuple[Scope, tuple[str, ...]]:
    """Scope and signed headers: what stands before the signature, and is the same in request after request."""
    fields = _fields(head)
    if "Signature" in fields:
        raise incomplete_header("Authorization header has more than one 'Signature' parameter.", head)
    if lacking := _lacking(fields, ("Credential", "SignedHeaders")):
        raise incomplete_header(" ".join(lacking), head)
    return parse_scope(fields["Credential"]), _header_names(fields["SignedHeaders"])


def _rearranged(authorization: str, timestamp: str) -> tuple[str, str]:
    """A header with its parts in another order, as head and signature; or what is wrong with it."""
    fields = _fields(authorization)
    lacking = _lacking(fields, ("Credential", "Signature", "SignedHeaders"))
    if not timestamp:
        lacking.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if lacking:
        raise incomplete_header(" ".join(lacking), authorization)
    head = f"{ALGORITHM} Credential={fields['Credential']}, SignedHeaders={fields['SignedHeaders']}"
    return head, _signature(fields["Signature"])


def _fields(header: str) -> dict[str, str]:
    """The comma-separated parts of an Authorization header."""
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise incomplete_header(f"Unsupported AWS 'algorithm': only {ALGORITHM} is supported.", header)
    fields: dict[str, str] = {}
    for part in rest.split(","):
        name, equals, value = part.strip().partition("=")
        if not equals and name:
            raise incomplete_header("Not a valid key=value pair (missing equal-sign) in Authorization header.", header)
        if name in fields:
            raise incomplete_header(f"Authorization header has more than one '{name[:40]}' parameter.", header)
        if name:
            fields[name] = value
    return fields


def _lacking(fields: Mapping[str, str], names: tuple[str, ...]) -> list[str]:
    return [f"Authorization header requires '{name}' parameter." for name in names if not fields.get(name)]


def _signature(text: str) -> str:
    """Whatever is not 64 hexadecimal digits matches nothing, and is not worth a comparison."""
    if not _SIGNATURE.fullmatch(text):
        raise invalid()
    return text


def _header_names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(";"))
    if not all(_HEADER_NAME.fullmatch(name) and name == name.lower() for name in names):
        raise incomplete("'SignedHeaders' must be lower-case header names separated by semicolons.")
    return names


def _http_date(text: str) -> str:
    """`Sun, 30 Aug 2015 12:36:00 GMT` in the form that is signed; empty if it is no such date."""
    try:
        moment = parsedate_to_datetime(text)
        # Without a zone the date is in UTC (RFC 5322's -0000), not in this machine's zone.
        return (moment.astimezone(UTC) if moment.tzinfo else moment).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, TypeError, OverflowError, IndexError):
        return ""


def _query_parameters(query: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name in given and name.startswith("X-Amz-"):
            raise incomplete(f"AWS query-string parameters must include '{name[:40]}' only once.")
        given[name] = unquote_to_bytes(value.encode("latin-1")).decode("latin-1")
    return given


def _expires(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= MAX_EXPIRES):
        raise incomplete(f"X-Amz-Expires must be a number of seconds between 1 and {MAX_EXPIRES}.")
    return int(text)
