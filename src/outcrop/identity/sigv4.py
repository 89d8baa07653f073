"""AWS Signature Version 4: what is computed, free of policy.

Source: the IAM user guide, "Create a signed AWS API request".

Texts hold one received byte a character (latin-1), as in HttpRequest, so that nothing is lost between wire and hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"

# Characters that stay as they are when a received path is encoded once more; the percent sign becomes %25.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9\-._~/%]*")
_SPACES = re.compile(r"[ \t]+")


# Paths up to this length are remembered: there are few of them, and an endless one must not fill the memory.
_SHORT_PATH = 512


def canonical_path(raw_path: str, *, normalize: bool = True) -> str:
    """The received path encoded once more, which makes it doubly encoded, as every service but S3 has it.

    `normalize` drops empty and dot segments first.
    """
    if len(raw_path) <= _SHORT_PATH:
        return _remembered_path(raw_path, normalize)
    return _canonical_path(raw_path, normalize)


def _canonical_path(raw_path: str, normalize: bool) -> str:
    if normalize and ("//" in raw_path or "/." in raw_path):
        raw_path = _without_dots(raw_path)
    if _PLAIN_PATH.fullmatch(raw_path):
        return raw_path.replace("%", "%25") or "/"
    return quote(raw_path.encode("latin-1"), safe="/~")


_remembered_path = lru_cache(maxsize=1024)(_canonical_path)


def _without_dots(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    last = "/" if kept and path.endswith(("/", "/.", "/..")) else ""
    return f"/{'/'.join(kept)}{last}"


def canonical_query(query: str, *, without: str = "") -> str:
    """Decoded, encoded AWS's way and sorted by name and then value; the parameter `without` is left out."""
    if not query:
        return ""
    pairs = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if part and name != without:
            pairs.append((_encoded_again(name), _encoded_again(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded_again(text: str) -> str:
    return quote(unquote_to_bytes(text.encode("latin-1")), safe="-_.~")


def folded(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Each header once, the values of a repeated one joined by commas in the order they came."""
    values = dict(headers)
    if len(values) == len(headers):
        return values
    values = {}
    for name, value in headers:
        values[name] = value if name not in values else f"{values[name].strip()},{value.strip()}"
    return values


def canonical_headers(headers: Mapping[str, str], signed: Iterable[str]) -> str:
    """One `name:value` line for each signed header; one that is absent counts as empty, and so cannot match."""
    lines = "".join([f"{name}:{headers.get(name, '')}\n" for name in signed])
    if "  " in lines or ": " in lines or " \n" in lines or "\t" in lines:
        return "".join([f"{name}:{_SPACES.sub(' ', headers.get(name, '')).strip(' ')}\n" for name in signed])
    return lines


def canonical_request(
    method: str, path: str, query: str, headers: Mapping[str, str], signed: tuple[str, ...], body_hash: str
) -> str:
    """The text whose hash is signed; `path` and `query` are canonical already, `signed` lists header names in order."""
    return f"{method}\n{path}\n{query}\n{canonical_headers(headers, signed)}\n{';'.join(signed)}\n{body_hash}"


def string_to_sign(timestamp: str, scope: str, canonical: str) -> str:
    """`scope` is `date/region/service/aws4_request`."""
    digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"


def signature(secret: str, date: str, region: str, service: str, text: str) -> str:
    """64 hexadecimal digits for the string to sign `text`."""
    mac = _signing_key(secret, date, region, service).copy()
    mac.update(text.encode("latin-1"))
    return mac.hexdigest()


@lru_cache(maxsize=4096)
def _signing_key(secret: str, date: str, region: str, service: str) -> hmac.HMAC:
    """The derived key, keyed into a MAC that is copied for each use: a copy costs half of keying it again."""
    key = f"AWS4{secret}".encode()
    for text in (date, region, service, TERMINATOR):
        key = hmac.digest(key, text.encode("latin-1"), hashlib.sha256)
    return hmac.new(key, digestmod=hashlib.sha256)
