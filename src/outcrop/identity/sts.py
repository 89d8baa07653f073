"""AWS's Security Token Service, as far as it is needed here: GetCallerIdentity and AssumeRole.

It is on the same address as Bedrock: a request is for it if it is signed for `sts`. The query protocol: the parameters
are a form in the body or the query of the URL, the answer is XML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from outcrop.errors import AwsError
from outcrop.identity.access import Access
from outcrop.identity.assume_role import Assuming, Wanted, invalid
from outcrop.identity.caller import Caller
from outcrop.identity.request_keys import known_keys
from outcrop.request import HttpRequest

if TYPE_CHECKING:
    from outcrop.store.database import Database
    from outcrop.store.keyfile import Vault

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
VERSION = "2011-06-15"
# Fifty tags and a session policy, escaped, are shorter. It is read before anybody is known.
LONGEST = 256 * 1024

# The door's errors have older names in the query protocol.
_CODES: Mapping[str, str] = {
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "ExpiredTokenException": "ExpiredToken",
    "AccessDeniedException": "AccessDenied",
    "ValidationException": "ValidationError",
}
# XML 1.0 has no way to write these.
_UNWRITABLE = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF])

Answer = Mapping[str, "str | Answer"]


def is_for_sts(request: HttpRequest) -> bool:
    """By the scope of its signature."""
    authorization = request.header("authorization")
    if authorization is not None:
        return "/sts/aws4_request" in authorization
    return "%2Fsts%2Faws4_request" in request.query


def name_of(request: HttpRequest) -> str:
    """The action that is asked for, for logs: one of those that there are."""
    try:
        action = parameters(request).get("Action")
    except AwsError:
        action = None
    return action if action in ("GetCallerIdentity", "AssumeRole") else "Unknown"


class Sts:
    def __init__(self, database: Database, vault: Vault, access: Access, clock: Callable[[], datetime]) -> None:
        self._access = access
        self._assuming = Assuming(database, vault, access, clock)
        self._clock = clock

    def answer(self, caller: Caller, request: HttpRequest, region: str, request_id: str) -> bytes:
        """The XML of the answer. AwsError for `error`."""
        form = parameters(request)
        action = form.get("Action", "")
        if form.get("Version", VERSION) != VERSION:
            raise _unknown(action, form["Version"])
        if action == "GetCallerIdentity":
            found: Answer = {"Arn": caller.arn, "UserId": caller.user_id, "Account": caller.account}
        elif action == "AssumeRole":
            found = self._assume_role(caller, form, request, region)
        else:
            raise _unknown(action, VERSION)
        body = f"<{action}Result>{_xml(found)}</{action}Result>"
        metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        return f'<{action}Response xmlns="{NAMESPACE}">{body}{metadata}</{action}Response>'.encode()

    def _assume_role(self, caller: Caller, form: Mapping[str, str], request: HttpRequest, region: str) -> Answer:
        wanted = _wanted(form)
        keys = known_keys(caller, self._access.grants(caller.principal_id), request, region, self._clock())
        assumed = self._assuming.assume(caller, wanted, keys)
        expires = datetime.fromtimestamp(assumed.key.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        role, key = assumed.role, assumed.key
        found: dict[str, str | Answer] = {
            "AssumedRoleUser": {
                "AssumedRoleId": f"{role.id}:{wanted.name}",
                "Arn": f"arn:aws:sts::{role.account}:assumed-role/{role.name}/{wanted.name}",
            },
            "Credentials": {
                "AccessKeyId": key.id,
                "SecretAccessKey": key.secret,
                "SessionToken": key.token,
                "Expiration": expires,
            },
        }
        if assumed.packed_percent:
            found["PackedPolicySize"] = str(assumed.packed_percent)
        return found


def parameters(request: HttpRequest) -> dict[str, str]:
    """Of the query and the form; a ValidationError for a body that is none."""
    if len(request.body) > LONGEST:
        raise AwsError(f"The body is longer than {LONGEST} bytes.", code="RequestEntityTooLarge", status=413)
    try:
        body = request.body.decode("utf-8")
        pairs = [pair for text in (request.query, body) for pair in parse_qsl(text, keep_blank_values=True)]
    except (UnicodeDecodeError, ValueError):
        raise invalid("The body is no form.") from None
    return dict(pairs)


def error(problem: AwsError, request_id: str) -> tuple[int, bytes]:
    """Status and XML."""
    code = _CODES.get(problem.code, problem.code)
    status = problem.status or (403 if code == "AccessDenied" else 500 if code.startswith("Internal") else 400)
    kind = "Sender" if status < 500 else "Receiver"
    told = _xml({"Type": kind, "Code": code, "Message": problem.message})
    text = (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error>{told}</Error><RequestId>{request_id}</RequestId></ErrorResponse>'
    )
    return status, text.encode()


def _wanted(form: Mapping[str, str]) -> Wanted:
    for name in ("RoleArn", "RoleSessionName"):
        if not form.get(name):
            raise invalid(f"1 validation error detected: Value null at '{name[0].lower()}{name[1:]}' failed to satisfy constraint: Member must not be null")  # noqa: E501  # fmt: skip
    for name in ("SerialNumber", "TokenCode", "SourceIdentity", "ProvidedContexts.member.1.ProviderArn"):
        if form.get(name):
            raise invalid(f"{name} is not supported by this server.")
    seconds = form.get("DurationSeconds")
    if seconds is not None and not (seconds.isascii() and seconds.isdigit() and len(seconds) < 9):
        raise invalid("The DurationSeconds must be a number.")
    tags = dict(zip(_members(form, "Tags", ".Key"), _members(form, "Tags", ".Value"), strict=False))
    return Wanted(
        role_arn=form["RoleArn"],
        name=form["RoleSessionName"],
        seconds=None if seconds is None else int(seconds),
        policy=form.get("Policy") or None,
        policy_arns=tuple(_members(form, "PolicyArns", ".arn")),
        external_id=form.get("ExternalId"),
        tags=tags,
    )


def _members(form: Mapping[str, str], name: str, part: str) -> Iterator[str]:
    """`Tags.member.1.Key`, `Tags.member.2.Key`, ..."""
    number = 1
    while (value := form.get(f"{name}.member.{number}{part}")) is not None:
        yield value
        number += 1


def _unknown(action: str, version: str) -> AwsError:
    return AwsError(
        f"Could not find operation {action[:64]} for version {version[:16]}", code="InvalidAction", status=400
    )


def _xml(found: Answer) -> str:
    return "".join(
        f"<{name}>{escape(value.translate(_UNWRITABLE)) if isinstance(value, str) else _xml(value)}</{name}>"
        for name, value in found.items()
    )
