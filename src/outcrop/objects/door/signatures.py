"""Who sent an S3 request, before its body is read: version 4 in a header or a query, and version 2 in a query.

S3 differs from other services: the path is encoded once and keeps its dots and slashes, the body's hash is the one that is
announced, and every `x-amz-` header must be signed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, unquote_to_bytes

from outcrop.errors import AwsError
from outcrop.identity import sigv4
from outcrop.identity.authenticate import AUTHORITY, REGION
from outcrop.identity.caller import Caller
from outcrop.identity.claim import Claim, from_header, from_query
from outcrop.identity.credentials import AccessKey, Credentials
from outcrop.identity.sessions import Sessions
from outcrop.objects.door.call import parameters
from outcrop.objects.errors import ObjectsError, access_denied, invalid_argument
from outcrop.request import HttpRequest

UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY = hashlib.sha256(b"").hexdigest()

_HASH = re.compile(r"[0-9a-f]{64}")
_STREAMING = frozenset(
    {
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    }
)
# Added by clients after they signed.
_NEED_NOT_BE_SIGNED = frozenset({"x-amz-user-agent"})
# What the older signature covers of a query.
_SUBRESOURCES = frozenset(
    {
        "accelerate", "acl", "cors", "delete", "lifecycle", "location", "logging", "notification", "partNumber", "policy",
        "replication", "requestPayment", "response-cache-control", "response-content-disposition",
        "response-content-encoding", "response-content-language", "response-content-type", "response-expires", "restore",
        "select", "select-type", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions",
        "website",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seal:
    """What signs the chunks of a body: each signature covers the one before."""

    secret: str
    date: str
    region: str
    scope: str
    timestamp: str
    seed: str

    def of_chunk(self, before: str, digest: str) -> str:
        return self._signature(f"AWS4-HMAC-SHA256-PAYLOAD\n{self.timestamp}\n{self.scope}\n{before}\n{EMPTY}\n{digest}")

    def of_trailer(self, before: str, digest: str) -> str:
        return self._signature(f"AWS4-HMAC-SHA256-TRAILER\n{self.timestamp}\n{self.scope}\n{before}\n{digest}")

    def _signature(self, text: str) -> str:
        return sigv4.signature(self.secret, self.date, self.region, "s3", text)


@dataclass(frozen=True, slots=True)
class Proven:
    """`payload` is the body's SHA-256 in hexadecimal, or the word that says how else it is protected."""

    caller: Caller
    payload: str
    seal: Seal | None = None


class Signatures:
    def __init__(
        self,
        credentials: Credentials,
        sessions: Sessions,
        *,
        clock: Callable[[], datetime],
        window_seconds: int,
        insecure_no_auth: bool = False,
    ) -> None:
        self._credentials = credentials
        self._sessions = sessions
        self._clock = clock
        self._window = window_seconds
        self._insecure = insecure_no_auth

    def prove(self, request: HttpRequest, headers: Mapping[str, str], host_bucket: str | None) -> Proven:
        """ObjectsError with S3's own code for everything that is not proven. `headers` are folded."""
        authorization = headers.get("authorization")
        try:
            if self._insecure:
                return self._anyone(headers, authorization)
            if authorization is not None:
                return self._header(request, headers, authorization)
            if "X-Amz-Credential=" in request.query:
                return self._presigned(request, headers)
        except AwsError as error:
            raise _in_s3s_words(error) from None
        return self._version_2(request, headers, host_bucket)

    def _header(self, request: HttpRequest, headers: Mapping[str, str], authorization: str) -> Proven:
        if not authorization.startswith("AWS4-"):
            raise ObjectsError(
                "InvalidRequest",
                "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
            )
        payload = headers.get("x-amz-content-sha256")
        if payload is None:
            raise ObjectsError("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        _check_payload(payload)
        claim = from_header(authorization, headers)
        key = self._key(claim, headers.get("x-amz-security-token"))
        if abs(claim.time - self._clock().timestamp()) > self._window:
            raise ObjectsError(
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
                {"RequestTime": claim.timestamp, "MaxAllowedSkewMilliseconds": str(self._window * 1000)},
            )
        _check(request, headers, claim, key, sigv4.canonical_query(request.query), payload)
        seal = Seal(
            key.secret, claim.scope.date, claim.scope.region, claim.scope.text, claim.timestamp, claim.signature
        )
        return Proven(key.caller("sigv4", claim.scope.region), payload, seal)

    def _presigned(self, request: HttpRequest, headers: Mapping[str, str]) -> Proven:
        claim = from_query(request.query)
        query = parameters(request.query)
        key = self._key(claim, query.get("X-Amz-Security-Token"))
        now = self._clock().timestamp()
        if now >= claim.time + (claim.expires or 0):
            raise access_denied("Request has expired")
        if claim.time > now + self._window:
            raise access_denied("Request is not valid yet")
        payload = query.get("X-Amz-Content-Sha256") or headers.get("x-amz-content-sha256") or UNSIGNED
        _check_payload(payload)
        canonical = sigv4.canonical_query(request.query, without="X-Amz-Signature")
        _check(request, headers, claim, key, canonical, payload)
        return Proven(key.caller("presigned", claim.scope.region), payload)

    def _version_2(self, request: HttpRequest, headers: Mapping[str, str], host_bucket: str | None) -> Proven:
        query = parameters(request.query)
        token = query.get("x-amz-security-token") or headers.get("x-amz-security-token")
        key = self._known(query.get("AWSAccessKeyId", ""), token)
        expires = query.get("Expires", "")
        if not (expires.isdigit() and expires.isascii() and len(expires) < 12):
            raise access_denied("Invalid date (should be seconds since epoch)")
        if self._clock().timestamp() >= int(expires):
            raise access_denied("Request has expired")
        text = _version_2_text(request, headers, query, host_bucket)
        expected = hmac.digest(key.secret.encode(), text.encode("utf-8", "surrogateescape"), "sha1")
        if not hmac.compare_digest(base64.b64encode(expected), query.get("Signature", "").encode("utf-8", "replace")):
            raise _mismatch()
        return Proven(key.caller("presigned", None), UNSIGNED)

    def _key(self, claim: Claim, session_token: str | None) -> AccessKey:
        scope = claim.scope
        key = self._known(scope.access_key_id, session_token)
        well_formed = scope.service == "s3" and scope.terminator == sigv4.TERMINATOR and REGION.fullmatch(scope.region)
        if not well_formed or scope.date != claim.timestamp[:8]:
            raise ObjectsError(
                "AuthorizationHeaderMalformed",
                "The authorization header is malformed; the credential's scope must be date/region/s3/aws4_request.",
            )
        return key

    def _known(self, key_id: str, session_token: str | None) -> AccessKey:
        if not session_token:
            key = self._credentials.access_key(key_id)
            if key is None:
                raise ObjectsError(
                    "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
                )
            return key
        key = self._sessions.key(key_id, session_token)
        if key is None:
            raise ObjectsError("InvalidToken", "The provided token is malformed or otherwise invalid.")
        session = key.principal.session
        if session is not None and self._clock().timestamp() >= session.expires_at:
            raise ObjectsError("ExpiredToken", "The provided token has expired.")
        return key

    def _anyone(self, headers: Mapping[str, str], authorization: str | None) -> Proven:
        administrator = self._credentials.administrator()
        region = None
        if authorization is not None and authorization.startswith("AWS4-"):
            claimed = from_header(authorization, headers).scope.region
            region = claimed if REGION.fullmatch(claimed) else None
        caller = Caller(administrator.account, administrator.arn, administrator.user_id, "anonymous", "none", region)
        payload = headers.get("x-amz-content-sha256", UNSIGNED)
        _check_payload(payload)
        return Proven(caller, payload)


def _check(
    request: HttpRequest, headers: Mapping[str, str], claim: Claim, key: AccessKey, query: str, payload: str
) -> None:
    signed = claim.signed_headers
    if "host" not in signed and AUTHORITY not in signed:
        raise access_denied("There were headers present in the request which were not signed: host")
    loose = {name for name in headers if name.startswith("x-amz-")} - set(signed) - _NEED_NOT_BE_SIGNED
    if claim.expires is not None:
        # Its value is in the canonical request, signed as a header or not.
        loose.discard("x-amz-content-sha256")
    if loose:
        raise ObjectsError(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            {"HeadersNotSigned": ", ".join(sorted(loose))},
        )
    if AUTHORITY in signed:
        headers = {**headers, AUTHORITY: headers.get("host", "")}
    scope = claim.scope
    # Most clients sign what they send, which is the same unless they encode a slash, say.
    for path in dict.fromkeys((canonical_path(request.raw_path), request.raw_path)):
        canonical = sigv4.canonical_request(request.method, path, query, headers, signed, payload)
        text = sigv4.string_to_sign(claim.timestamp, scope.text, canonical)
        if hmac.compare_digest(sigv4.signature(key.secret, scope.date, scope.region, "s3", text), claim.signature):
            return
    raise _mismatch()


def canonical_path(raw_path: str) -> str:
    """Encoded once, whatever the client left unencoded; nothing is left out."""
    return quote(unquote_to_bytes(raw_path.encode("latin-1")), safe="/-_.~") or "/"


def _version_2_text(
    request: HttpRequest, headers: Mapping[str, str], query: Mapping[str, str], host_bucket: str | None
) -> str:
    """Headers may stand in the query, as boto3 puts them there."""

    lowered = {name.lower(): value for name, value in query.items()}

    def given(name: str) -> str:
        return headers.get(name, lowered.get(name, ""))

    amazons = sorted({name for name in (*headers, *lowered) if name.startswith("x-amz-")})
    lines = "".join(f"{name}:{given(name).strip()}\n" for name in amazons)
    subresources = [
        f"{name}={value}" if value else name for name, value in sorted(query.items()) if name in _SUBRESOURCES
    ]
    resource = (f"/{host_bucket}" if host_bucket else "") + request.raw_path
    if subresources:
        resource += "?" + "&".join(subresources)
    content = f"{given('content-md5')}\n{given('content-type')}"
    return f"{request.method}\n{content}\n{query['Expires']}\n{lines}{resource}"


def _check_payload(payload: str) -> None:
    if payload != UNSIGNED and payload not in _STREAMING and not _HASH.fullmatch(payload):
        raise invalid_argument(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, or the name of a streaming signature, or a valid sha256 value.",
            "x-amz-content-sha256",
            payload,
        )


def _mismatch() -> ObjectsError:
    return ObjectsError(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    )


def _in_s3s_words(error: AwsError) -> ObjectsError:
    """What reading a claim found wrong with it."""
    if error.code == "InvalidSignatureException":
        return _mismatch()
    return ObjectsError("AuthorizationHeaderMalformed", error.message)
