"""What the door says to a request that it does not let in, in AWS's words.

These errors come before any service, so no service model declares them and each carries its own HTTP status. A
request's own header is never quoted, only its hash, as AWS does: it may hold a secret in the wrong place.
"""

from __future__ import annotations

import base64
import hashlib

from outcrop.errors import AwsError

MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


def missing_token() -> AwsError:
    return AwsError("Missing Authentication Token", code="MissingAuthenticationTokenException", status=403)


def incomplete(message: str) -> AwsError:
    """The request is signed in a form that cannot be read."""
    return AwsError(message, code="IncompleteSignatureException", status=400)


def incomplete_header(message: str, authorization: str) -> AwsError:
    digest = base64.b64encode(hashlib.sha256(authorization.encode("latin-1", "replace")).digest()).decode()
    return incomplete(f"{message} (Hashed with SHA-256 and encoded with Base64) Authorization={digest}")


def unknown_key() -> AwsError:
    return AwsError(
        "The security token included in the request is invalid.", code="UnrecognizedClientException", status=403
    )


def expired_token() -> AwsError:
    return AwsError("The security token included in the request is expired", code="ExpiredTokenException", status=403)


def invalid(message: str = MISMATCH) -> AwsError:
    """The request is signed, but not with this key, for this request, at this time."""
    return AwsError(message, code="InvalidSignatureException", status=403)


def bad_bearer() -> AwsError:
    return AwsError(
        "Authentication failed: Please make sure your API Key is valid.", code="AccessDeniedException", status=403
    )


def expired_bearer() -> AwsError:
    return AwsError("Bearer Token has expired", code="AccessDeniedException", status=403)


def bearer_not_for(service: str) -> AwsError:
    return AwsError(
        f"Amazon Bedrock API keys cannot be used with {service}. Sign the request with an access key.",
        code="AccessDeniedException",
        status=403,
    )
