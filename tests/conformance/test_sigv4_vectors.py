"""AWS's own signing suites, run as a server sees them: the signed request is read and every step is computed again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from outcrop.identity import sigv4
from outcrop.identity.claim import Claim, from_header, from_query
from outcrop.request import HttpRequest

SHARED = Path(os.environ.get("OUTCROP_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")
SUITES = SHARED / "data" / "sigv4"
AWS_C_AUTH = sorted((SUITES / "aws-c-auth" / "v4").glob("*/context.json"))
BOTOCORE = sorted((SUITES / "botocore").rglob("*.sreq"))
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

pytestmark = pytest.mark.skipif(
    not AWS_C_AUTH, reason=f"AWS's SigV4 vectors are not in {SUITES}; set OUTCROP_SHARED to the folder that holds them."
)


def test_the_suites_are_complete() -> None:
    assert len(AWS_C_AUTH) == 38
    assert len(BOTOCORE) == 34


@pytest.mark.parametrize("form", ["header", "query"])
@pytest.mark.parametrize("context_file", AWS_C_AUTH, ids=lambda path: path.parent.name)
def test_aws_c_auth(context_file: Path, form: str) -> None:
    context = json.loads(context_file.read_bytes())
    case = context_file.parent
    request = read_request(case / f"{form}-signed-request.txt")
    headers = sigv4.folded(request.headers)
    if form == "header":
        claim, query = from_header(headers["authorization"], headers), request.query
    else:
        claim, query = from_query(request.query), unsigned_parts_removed(request.query, context)
    canonical, to_sign, signature = steps(request, claim, query, context["credentials"], context["normalize"])
    assert canonical == (case / f"{form}-canonical-request.txt").read_text("utf-8").encode().decode("latin-1")
    assert to_sign == (case / f"{form}-string-to-sign.txt").read_text("utf-8")
    assert signature == (case / f"{form}-signature.txt").read_text("utf-8") == claim.signature


@pytest.mark.parametrize("signed", BOTOCORE, ids=lambda path: path.stem)
def test_botocore(signed: Path) -> None:
    """The header is taken from .authz: one case's .sreq holds the signature of another."""
    request = read_request(signed)
    claim = from_header(signed.with_suffix(".authz").read_text().strip(), sigv4.folded(request.headers))
    canonical, to_sign, signature = steps(request, claim, request.query, {"secret_access_key": SECRET}, True)
    assert canonical.encode("latin-1") == unix(signed.with_suffix(".creq"))
    assert to_sign.encode() == unix(signed.with_suffix(".sts"))
    assert signature == claim.signature


def steps(
    request: HttpRequest, claim: Claim, query: str, credentials: dict[str, str], normalize: bool
) -> tuple[str, str, str]:
    scope = claim.scope
    canonical = sigv4.canonical_request(
        request.method,
        sigv4.canonical_path(request.raw_path, normalize=normalize),
        sigv4.canonical_query(query, without="X-Amz-Signature"),
        sigv4.folded(request.headers),
        claim.signed_headers,
        hashlib.sha256(request.body).hexdigest(),
    )
    to_sign = sigv4.string_to_sign(claim.timestamp, scope.text, canonical)
    secret = credentials["secret_access_key"]
    return canonical, to_sign, sigv4.signature(secret, scope.date, scope.region, scope.service, to_sign)


def unsigned_parts_removed(query: str, context: dict[str, object]) -> str:
    """Where a session token was added after signing, it is no part of what was signed."""
    if not context.get("omit_session_token"):
        return query
    return "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Security-Token="))


def read_request(path: Path) -> HttpRequest:
    """A request from the wire; a folded header becomes one line, as HTTP servers must make it (RFC 9112, 5.2)."""
    head, _, body = unix(path).partition(b"\n\n")
    first, *lines = head.decode("latin-1").split("\n")
    method, _, rest = first.partition(" ")
    target, _, _ = rest.rpartition(" ")
    raw_path, _, query = target.partition("?")
    return HttpRequest(method, raw_path, query, list(headers_of(lines)), body)


def headers_of(lines: list[str]) -> Iterator[tuple[str, str]]:
    name, value = "", ""
    for line in lines:
        if line.startswith((" ", "\t")):
            value += f" {line.strip()}"
            continue
        if name:
            yield name, value
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
    if name:
        yield name, value


def unix(path: Path) -> bytes:
    return path.read_bytes().replace(b"\r\n", b"\n")
