"""From a request to its caller: a signature in the header, a presigned query, or a Bedrock API key.

Order of the checks, which decides what a request with several faults is told: readable, known key, scope, time,
signature.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import unquote

from outcrop.errors import AwsError
from outcrop.identity import refusals, sigv4
from outcrop.identity.bearer import LONG_TERM, MAX_SHORT_TERM_SECONDS, MAX_TOKEN, SHORT_TERM, presigned_request
from outcrop.identity.caller import Caller
from outcrop.identity.claim import Claim, from_header, from_query
from outcrop.identity.credentials import AccessKey, Credentials
from outcrop.identity.sessions import Sessions
from outcrop.request import HttpRequest

# All of Bedrock's services sign as this one; the token service has its own name.
SIGNING_NAME = "bedrock"
STS = "sts"
AUTHORITY = ":authority"
# Any name is served, but it goes into ARNs and tables.
REGION = re.compile(r"[a-z0-9-]{1,40}")
# Short-term keys whose signature is remembered: reckoning it takes longer than all else that identity does.
PROVEN = 4096
BEARER_SERVICES = frozenset({"bedrock", "bedrock-runtime", "outcrop"})


class Authenticator:
    """`window_seconds` is how far a signature's date may be from `clock`; `insecure_no_auth` lets everyone in."""

    def __init__(
        self,
        credentials: Credentials,
        sessions: Sessions,
        *,
        clock: Callable[[], datetime],
        window_seconds: int = 300,
        insecure_no_auth: bool = False,
    ) -> None:
        self._credentials = credentials
        self._sessions = sessions
        self._clock = clock
        self._window = window_seconds
        self._proven: dict[str, tuple[Claim, str | None, str]] = {}
        self._insecure = insecure_no_auth

    def authenticate(self, request: HttpRequest, service: str, *, body_hash: str | None = None) -> Caller:
        """Who sent `request` to `service` (`bedrock`, `bedrock-runtime`, `bedrock-agent`, `bedrock-agent-runtime`, `sts`).

        `body_hash` is the SHA-256 of the body in hexadecimal, where the caller has it already. Raises AwsError with
        AWS's own code and sentence for everything that is not proven.
        """
        if self._insecure:
            return self._anyone(request)
        headers = sigv4.folded(request.headers)
        authorization = headers.get("authorization")
        query = request.query
        presigned = bool(query) and ("X-Amz-Signature=" in query or "X-Amz-Algorithm=" in query)
        if authorization is None:
            if not presigned:
                raise refusals.missing_token()
            return self._presigned(request, headers, body_hash, service)
        if presigned:
            raise refusals.incomplete("Only one of an Authorization header and a presigned query may be given.")
        if authorization[:7].lower() == "bearer ":
            return self._bearer(authorization[7:].strip(), service)
        claim = from_header(authorization, headers)
        key = self._key_of(claim, headers.get("x-amz-security-token"), service)
        self._check_window(claim)
        _check_signature(claim, key, request, headers, sigv4.canonical_query(query), body_hash)
        return key.caller("sigv4", claim.scope.region)

    def _presigned(
        self, request: HttpRequest, headers: Mapping[str, str], body_hash: str | None, service: str
    ) -> Caller:
        claim = from_query(request.query)
        key = self._key_of(claim, _session_token(request.query, headers), service)
        self._check_life(claim)
        query = sigv4.canonical_query(request.query, without="X-Amz-Signature")
        _check_signature(claim, key, request, headers, query, body_hash)
        return key.caller("presigned", claim.scope.region)

    def _bearer(self, token: str, service: str) -> Caller:
        if service not in BEARER_SERVICES:
            raise refusals.bearer_not_for(service)
        if token.startswith(SHORT_TERM):
            return self._short_term(token)
        if token.startswith(LONG_TERM) and len(token) <= MAX_TOKEN:
            return self._long_term(token)
        raise refusals.bad_bearer()

    def _long_term(self, token: str) -> Caller:
        key = self._credentials.api_key(token)
        if key is None:
            raise refusals.bad_bearer()
        if key.expires_at is not None and self._clock().timestamp() >= key.expires_at:
            raise refusals.expired_bearer()
        return key.caller()

    def _short_term(self, token: str) -> Caller:
        """Whatever is wrong with the request inside, the holder of the token is told only that it is not valid."""
        proven = self._proven.get(token)
        try:
            if proven is None:
                claim, session_token, key = self._prove(token)
            else:
                claim, session_token, secret = proven
                # The key may be revoked since, or be another by now; only the signature is not reckoned again.
                key = self._key_of(claim, session_token, SIGNING_NAME)
                if key.secret != secret:
                    raise refusals.bad_bearer()
        except AwsError:
            raise refusals.bad_bearer() from None
        self._check_short_life(claim)
        return key.caller("short-term-key", claim.scope.region)

    def _prove(self, token: str) -> tuple[Claim, str | None, AccessKey]:
        """What stands in a short-term key, its signature checked and remembered."""
        request = presigned_request(token)
        claim, session_token = from_query(request.query), _session_token(request.query, {})
        key = self._key_of(claim, session_token, SIGNING_NAME)
        query = sigv4.canonical_query(request.query, without="X-Amz-Signature")
        _check_signature(claim, key, request, dict(request.headers), query, None)
        if len(self._proven) >= PROVEN:
            self._proven.clear()
        self._proven[token] = claim, session_token, key.secret
        return claim, session_token, key

    def _check_short_life(self, claim: Claim) -> None:
        now = self._clock().timestamp()
        if claim.time > now + self._window:
            raise refusals.bad_bearer()
        if now >= claim.time + min(claim.expires or 0, MAX_SHORT_TERM_SECONDS):
            raise refusals.expired_bearer()

    def _key_of(self, claim: Claim, session_token: str | None, service: str) -> AccessKey:
        key_id = claim.scope.access_key_id
        key = self._sessions.key(key_id, session_token) if session_token else self._credentials.access_key(key_id)
        if key is None:
            raise refusals.unknown_key()
        session = key.principal.session
        if session is not None and self._clock().timestamp() >= session.expires_at:
            raise refusals.expired_token()
        _check_scope(claim, STS if service == STS else SIGNING_NAME)
        return key

    def _check_window(self, claim: Claim) -> None:
        now = self._clock().timestamp()
        if claim.time < now - self._window:
            raise refusals.invalid(
                f"Signature expired: {claim.timestamp} is now earlier than {_basic(now - self._window)} "
                f"({_basic(now)} - {self._minutes} min.)"
            )
        self._check_not_ahead(claim, now)

    def _check_life(self, claim: Claim) -> None:
        now = self._clock().timestamp()
        end = claim.time + (claim.expires or 0)
        if now >= end:
            raise refusals.invalid(f"Signature expired: {_basic(end)} is now earlier than {_basic(now)}")
        self._check_not_ahead(claim, now)

    def _check_not_ahead(self, claim: Claim, now: float) -> None:
        if claim.time > now + self._window:
            raise refusals.invalid(
                f"Signature not yet current: {claim.timestamp} is still later than {_basic(now + self._window)} "
                f"({_basic(now)} + {self._minutes} min.)"
            )

    @property
    def _minutes(self) -> str:
        return f"{self._window / 60:g}"

    def _anyone(self, request: HttpRequest) -> Caller:
        """The administrator, in the region that the request was signed for, if it was."""
        administrator = self._credentials.administrator()
        region = _claimed_region(request)
        return Caller(administrator.account, administrator.arn, administrator.user_id, "anonymous", "none", region)


def _claimed_region(request: HttpRequest) -> str | None:
    headers = sigv4.folded(request.headers)
    try:
        region = from_header(headers.get("authorization", ""), headers).scope.region
    except AwsError:
        return None
    return region if REGION.fullmatch(region) else None


def _check_scope(claim: Claim, signing_name: str) -> None:
    scope = claim.scope
    if fault := _fault_of(scope.text, signing_name):
        raise refusals.invalid(fault)
    if scope.date != claim.timestamp[:8]:
        raise refusals.invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{scope.date[:16]}' != '{claim.timestamp[:8]}', from '{claim.timestamp}'."
        )
    if "host" not in claim.signed_headers and AUTHORITY not in claim.signed_headers:
        raise refusals.invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")


@lru_cache(maxsize=1024)
def _fault_of(scope: str, signing_name: str) -> str | None:
    _, region, service, terminator = scope.split("/")
    if service != signing_name:
        return f"Credential should be scoped to correct service: '{signing_name}'."
    if terminator != sigv4.TERMINATOR:
        return f"Credential should be scoped with a valid terminator: '{sigv4.TERMINATOR}'."
    return None if REGION.fullmatch(region) else "Credential should be scoped to a valid Region."


def _check_signature(
    claim: Claim,
    key: AccessKey,
    request: HttpRequest,
    headers: Mapping[str, str],
    query: str,
    body_hash: str | None,
) -> None:
    """The body's real hash is signed, so an announced hash must be that one; unsigned bodies are not taken."""
    actual = body_hash or hashlib.sha256(request.body).hexdigest()
    announced = headers.get("x-amz-content-sha256")
    if announced is not None and announced != actual:
        raise refusals.invalid()
    if AUTHORITY in claim.signed_headers:
        # What HTTP/2 has in place of the Host header; the server hands it on as that.
        headers = {**headers, AUTHORITY: headers.get("host", "")}
    path = sigv4.canonical_path(request.raw_path)
    canonical = sigv4.canonical_request(request.method, path, query, headers, claim.signed_headers, actual)
    scope = claim.scope
    text = sigv4.string_to_sign(claim.timestamp, scope.text, canonical)
    expected = sigv4.signature(key.secret, scope.date, scope.region, scope.service, text)
    if not hmac.compare_digest(expected, claim.signature):
        raise refusals.invalid()


def _session_token(query: str, headers: Mapping[str, str]) -> str | None:
    parts = (part.partition("=") for part in query.split("&"))
    in_query = next((unquote(value) for name, _, value in parts if name == "X-Amz-Security-Token"), None)
    return in_query or headers.get("x-amz-security-token")


def _basic(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")
