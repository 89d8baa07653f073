from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from outcrop.errors import AwsError
from outcrop.identity import sigv4
from outcrop.identity.refusals import MISMATCH
from outcrop.request import HttpRequest
from tests.identity.door import URL, Door, received

PROFILE = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abcdefghijkl"
MESSAGES = [{"role": "user", "content": [{"text": "Grüß Gott"}]}]


def refused(door: Door, request: HttpRequest, service: str = "bedrock-runtime") -> AwsError:
    with pytest.raises(AwsError) as caught:
        door.knock(request, service)
    return caught.value


def with_header(request: HttpRequest, name: str, value: str | None) -> HttpRequest:
    others = [(key, old) for key, old in request.headers if key != name]
    return dataclasses.replace(request, headers=others if value is None else [*others, (name, value)], _index=None)


def authorization(request: HttpRequest) -> str:
    value = request.header("authorization")
    assert value is not None
    return value


SDK_CALLS = [
    ("bedrock-runtime", "converse", {"modelId": "outcrop.house-nano-v1:0", "messages": MESSAGES}),
    ("bedrock-runtime", "converse", {"modelId": PROFILE, "messages": MESSAGES}),
    ("bedrock", "get_foundation_model", {"modelIdentifier": "a.b-v1:0"}),
    ("bedrock", "list_foundation_models", {"byProvider": "a b+c/ü~*'("}),
    ("bedrock", "list_tags_for_resource", {"resourceARN": PROFILE}),
    ("bedrock-agent", "get_agent", {"agentId": "ABCDEFGHIJ"}),
    ("bedrock-agent-runtime", "retrieve", {"knowledgeBaseId": "ABCDEFGHIJ", "retrievalQuery": {"text": "x"}}),
]


@pytest.mark.parametrize(("service", "operation", "params"), SDK_CALLS, ids=lambda value: str(value)[:40])
def test_what_an_unmodified_sdk_signs_is_let_in(
    door: Door, service: str, operation: str, params: dict[str, object]
) -> None:
    caller = door.knock(door.sent_by_sdk(service, operation, **params), service)
    assert caller.account == door.administrator.account
    assert caller.arn == f"arn:aws:iam::{caller.account}:user/admin"
    assert caller.access_key_id == door.administrator.access_key.id
    assert (caller.kind, caller.region) == ("sigv4", "ap-southeast-2")


def test_the_path_is_the_encoded_one(door: Door) -> None:
    request = door.sent_by_sdk("bedrock-runtime", "converse", modelId=PROFILE, messages=MESSAGES)
    assert "%3A" in request.raw_path
    assert "%2F" in request.raw_path
    decoded = dataclasses.replace(request, raw_path=request.raw_path.replace("%3A", ":"))
    assert refused(door, decoded).message == MISMATCH


@pytest.mark.parametrize(
    "path",
    ["", "/", "//a//b/", "/a/./b", "/a/../b/", "/a/%2E%2E/b", "/sp%20ace", "/%25", "/a;b=c,d@e", "/" + "long" * 300],
)
def test_paths_are_normalised_as_signers_do(door: Door, path: str) -> None:
    assert door.knock(door.signed(path)).kind == "sigv4"


@pytest.mark.parametrize("query", ["a=1&b=2", "b=2&a=1", "a", "a=", "a=x%20y", "a=%2F%C3%BC", "a=2&a=1", "A=1&a=1"])
def test_queries_are_part_of_what_is_signed(door: Door, query: str) -> None:
    request = door.signed(f"/x?{query}")
    assert door.knock(request).kind == "sigv4"
    assert refused(door, dataclasses.replace(request, query=query + "&c=3")).message == MISMATCH


def test_header_values_are_trimmed_and_spaces_folded(door: Door) -> None:
    request = door.signed(headers={"X-Amz-Note": "  several   spaces  "})
    assert door.knock(with_header(request, "x-amz-note", "several spaces")).kind == "sigv4"
    assert door.knock(with_header(request, "x-amz-note", "several \t spaces ")).kind == "sigv4"
    assert refused(door, with_header(request, "x-amz-note", "severalspaces")).message == MISMATCH


def tampered(request: HttpRequest) -> dict[str, HttpRequest]:
    flipped = authorization(request)[:-1] + ("0" if authorization(request)[-1] != "0" else "1")
    return {
        "method": dataclasses.replace(request, method="PUT"),
        "path": dataclasses.replace(request, raw_path="/model/other/converse"),
        "query": dataclasses.replace(request, query="x=y"),
        "body": dataclasses.replace(request, body=request.body + b" "),
        "no body": dataclasses.replace(request, body=b""),
        "host": with_header(request, "host", "elsewhere:8484"),
        "no host": with_header(request, "host", None),
        "host twice": dataclasses.replace(request, headers=[*request.headers, ("host", "x")], _index=None),
        "signature": with_header(request, "authorization", flipped),
        "no hexadecimal": with_header(request, "authorization", authorization(request)[:-1] + "ü"),
        "upper case": with_header(request, "authorization", authorization(request)[:-64] + "A" * 64),
        "region": with_header(request, "authorization", authorization(request).replace("us-east-1", "us-east-2")),
        "body hash": with_header(request, "x-amz-content-sha256", hashlib.sha256(b"other").hexdigest()),
        "unsigned body": with_header(request, "x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    }


@pytest.mark.parametrize("what", list(tampered(HttpRequest("POST", "/", "", [("authorization", "x" * 64)]))))
def test_whatever_is_changed_afterwards_is_noticed(door: Door, what: str) -> None:
    error = refused(door, tampered(door.signed())[what])
    assert (error.code, error.status, error.message) == ("InvalidSignatureException", 403, MISMATCH)


def test_the_bodys_hash_may_be_announced_and_must_be_true(door: Door) -> None:
    body = b'{"messages":[1]}'
    request = door.signed(body=body, headers={"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()})
    assert "x-amz-content-sha256" in authorization(request)
    assert door.knock(request).kind == "sigv4"
    assert refused(door, dataclasses.replace(request, body=b"{}")).message == MISMATCH


def test_a_hash_made_elsewhere_is_used(door: Door) -> None:
    request = door.signed()
    assert door.knock(request, body_hash=hashlib.sha256(request.body).hexdigest()).kind == "sigv4"
    with pytest.raises(AwsError, match="does not match"):
        door.knock(request, body_hash=hashlib.sha256(b"another").hexdigest())


def test_the_wrong_secret(door: Door) -> None:
    request = door.signed(credentials=BotoCredentials(door.administrator.access_key.id, "wrong"))
    error = refused(door, request)
    assert (error.code, error.status, error.message) == ("InvalidSignatureException", 403, MISMATCH)


def test_an_unknown_key(door: Door) -> None:
    error = refused(door, door.signed(credentials=BotoCredentials("AKIAAAAAAAAAAAAAAAAA", "wrong")))
    assert (error.code, error.status) == ("UnrecognizedClientException", 403)
    assert error.message == "The security token included in the request is invalid."


def test_a_session_token_is_unknown(door: Door) -> None:
    key = door.administrator.access_key
    error = refused(door, door.signed(credentials=BotoCredentials(key.id, key.secret, "session")))
    assert error.code == "UnrecognizedClientException"
    presigned = door.presigned()
    presigned.query += "&X-Amz-Security-Token=session"
    assert refused(door, presigned).code == "UnrecognizedClientException"


def test_no_signature_at_all(door: Door) -> None:
    error = refused(door, HttpRequest("GET", "/foundation-models", "", [("host", "x")]))
    assert (error.code, error.status) == ("MissingAuthenticationTokenException", 403)
    assert error.message == "Missing Authentication Token"


SCOPE = "AKIAAAAAAAAAAAAAAAAA/20260101/us-east-1/bedrock/aws4_request"
HEX = "0" * 64
INCOMPLETE = {
    "": "Unsupported AWS 'algorithm'",
    "Basic dXNlcjpwYXNz": "Unsupported AWS 'algorithm'",
    f"AWS4-ECDSA-P256-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature={HEX}": "Unsupported AWS 'algorithm'",
    "AWS4-HMAC-SHA256": "requires 'Credential' parameter.",
    f"AWS4-HMAC-SHA256 SignedHeaders=host, Signature={HEX}": "requires 'Credential' parameter.",
    f"AWS4-HMAC-SHA256 Credential={SCOPE}, Signature={HEX}": "requires 'SignedHeaders' parameter.",
    f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host": "requires 'Signature' parameter.",
    f"AWS4-HMAC-SHA256 Credential={SCOPE}, nonsense, Signature={HEX}": "missing equal-sign",
    f"AWS4-HMAC-SHA256 Credential=a, Credential=b, SignedHeaders=host, Signature={HEX}": "more than one 'Credential'",
    f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature={HEX}, Signature={HEX}": "more than one",
    f"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature={HEX}": "exactly 5 slash-delimited elements",
    f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=Ho st, Signature={HEX}": "'SignedHeaders' must be",
    f"AWS4-HMAC-SHA256 Credential={'a' * 5000}, SignedHeaders=host, Signature={HEX}": "too long",
}


@pytest.mark.parametrize("header", list(INCOMPLETE), ids=lambda header: header[-90:])
def test_an_unreadable_header(door: Door, header: str) -> None:
    error = refused(door, with_header(door.signed(), "authorization", header))
    assert (error.code, error.status) == ("IncompleteSignatureException", 400)
    assert INCOMPLETE[header] in error.message
    assert "AKIA" not in error.message
    assert "dXNlcjpwYXNz" not in error.message


def test_all_that_lacks_is_named(door: Door) -> None:
    request = HttpRequest("GET", "/", "", [("host", "x"), ("authorization", "AWS4-HMAC-SHA256 a=b")])
    assert refused(door, request).message == (
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
        "Authorization header requires 'SignedHeaders' parameter. "
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
        "(Hashed with SHA-256 and encoded with Base64) "
        f"Authorization={base64.b64encode(hashlib.sha256(b'AWS4-HMAC-SHA256 a=b').digest()).decode()}"
    )


def test_the_parts_of_the_header_may_come_in_any_order(door: Door) -> None:
    request = door.signed()
    algorithm, _, rest = authorization(request).partition(" ")
    turned = f"{algorithm} {','.join(reversed(rest.split(', ')))}"
    assert turned.startswith("AWS4-HMAC-SHA256 Signature=")
    assert door.knock(with_header(request, "authorization", turned)).kind == "sigv4"


def test_two_authorization_headers_are_refused(door: Door) -> None:
    request = door.signed()
    request.headers.append(("authorization", authorization(request)))
    assert refused(door, request).code == "IncompleteSignatureException"


def test_two_forms_of_signature_are_refused(door: Door) -> None:
    request = door.signed()
    request.query = door.presigned().query
    assert refused(door, request).code == "IncompleteSignatureException"


@pytest.mark.parametrize(
    "date", ["", "yesterday", "20261301T000000Z", "20260101", "20260101T000060Z", "2026010１T000000Z"]
)
def test_a_date_that_is_none(door: Door, date: str) -> None:
    error = refused(door, with_header(door.signed(), "x-amz-date", date))
    assert (error.code, error.status) == ("IncompleteSignatureException", 400)


def test_a_repeated_date_is_none(door: Door) -> None:
    request = door.signed()
    request.headers.append(("x-amz-date", request.header("x-amz-date") or ""))
    assert "Date must be in ISO-8601" in refused(door, request).message


def test_the_date_header_serves_where_amazons_is_absent(door: Door) -> None:
    now = datetime.now(UTC)
    request = AWSRequest("POST", URL + "/x", data=b"", headers={"Host": "h", "Date": format_datetime(now, usegmt=True)})
    signer = SigV4Auth(door.boto_credentials, "bedrock", "us-east-1")
    request.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    header = f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders=date;host, Signature={signature}"
    wire = received("POST", URL + "/x", {**dict(request.headers), "Authorization": header}, b"")
    assert door.knock(wire).kind == "sigv4"


WRONG_SCOPES = {
    "service": "Credential should be scoped to correct service: 'bedrock'.",
    "terminator": "Credential should be scoped with a valid terminator: 'aws4_request'.",
    "region": "Credential should be scoped to a valid Region.",
    "date": "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '19990101' != ",
    "headers": "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
}


@pytest.mark.parametrize("what", list(WRONG_SCOPES))
def test_a_wrong_scope(door: Door, what: str) -> None:
    request = door.signed()
    header = authorization(request)
    changed = {
        "service": header.replace("/bedrock/", "/s3/"),
        "terminator": header.replace("aws4_request", "aws5_request"),
        "region": header.replace("us-east-1", "../us"),
        "date": re.sub("/2[0-9]{7}/", "/19990101/", header),
        "headers": header.replace("SignedHeaders=host;", "SignedHeaders="),
    }
    error = refused(door, with_header(request, "authorization", changed[what].replace("../us", "..us")))
    assert (error.code, error.status) == ("InvalidSignatureException", 403)
    assert error.message.startswith(WRONG_SCOPES[what])


def test_a_key_signs_for_bedrock_alone(door: Door) -> None:
    assert refused(door, door.signed(service="execute-api")).message == WRONG_SCOPES["service"]


def test_an_expired_signature(door: Door) -> None:
    request = door.signed()
    door.ahead = timedelta(seconds=310)
    error = refused(door, request)
    assert (error.code, error.status) == ("InvalidSignatureException", 403)
    assert re.fullmatch(
        rf"Signature expired: {request.header('x-amz-date')} is now earlier than \d{{8}}T\d{{6}}Z "
        r"\(\d{8}T\d{6}Z - 5 min\.\)",
        error.message,
    )


def test_a_signature_from_the_future(door: Door) -> None:
    request = door.signed()
    door.ahead = timedelta(seconds=-310)
    error = refused(door, request)
    assert (error.code, error.status) == ("InvalidSignatureException", 403)
    assert re.fullmatch(
        rf"Signature not yet current: {request.header('x-amz-date')} is still later than \d{{8}}T\d{{6}}Z "
        r"\(\d{8}T\d{6}Z \+ 5 min\.\)",
        error.message,
    )


@pytest.mark.parametrize("seconds", [-280, 280])
def test_within_the_window_clocks_may_differ(door: Door, seconds: int) -> None:
    request = door.signed()
    door.ahead = timedelta(seconds=seconds)
    assert door.knock(request).kind == "sigv4"


def test_the_window_is_a_setting(door: Door) -> None:
    request = door.signed()
    door.window_seconds = 900
    door.ahead = timedelta(seconds=600)
    assert door.knock(request).kind == "sigv4"
    door.ahead = timedelta(seconds=910)
    assert "- 15 min.)" in refused(door, request).message


def test_a_presigned_request(door: Door) -> None:
    caller = door.knock(door.presigned("/foundation-models?byProvider=a%20b"), "bedrock")
    assert (caller.kind, caller.region, caller.account) == ("presigned", "eu-west-1", door.administrator.account)


def test_a_presigned_request_for_no_body_takes_none(door: Door) -> None:
    request = door.presigned()
    assert refused(door, dataclasses.replace(request, body=b"{}")).message == MISMATCH


@pytest.mark.parametrize(("seconds", "word"), [(890, ""), (901, "Signature expired: "), (-310, "Signature not yet")])
def test_a_presigned_requests_life(door: Door, seconds: int, word: str) -> None:
    request = door.presigned(expires=900)
    door.ahead = timedelta(seconds=seconds)
    if not word:
        assert door.knock(request).kind == "presigned"
    else:
        error = refused(door, request)
        assert (error.code, error.status) == ("InvalidSignatureException", 403)
        assert error.message.startswith(word)


@pytest.mark.parametrize(
    ("found", "instead", "code"),
    [
        (r"X-Amz-Algorithm=[^&]*", "X-Amz-Algorithm=AWS4-NONE", "IncompleteSignatureException"),
        (r"&X-Amz-Date=[^&]*", "", "IncompleteSignatureException"),
        (r"&X-Amz-Expires=[^&]*", "", "IncompleteSignatureException"),
        (r"X-Amz-Expires=[^&]*", "X-Amz-Expires=604801", "IncompleteSignatureException"),
        (r"X-Amz-Expires=[^&]*", "X-Amz-Expires=-1", "IncompleteSignatureException"),
        (r"X-Amz-Expires=[^&]*", "X-Amz-Expires=%C2%B2", "IncompleteSignatureException"),
        (r"X-Amz-Expires=[^&]*", "X-Amz-Expires=901", "InvalidSignatureException"),
        (r"X-Amz-Credential=[^&]*", "X-Amz-Credential=x", "IncompleteSignatureException"),
        (r"X-Amz-Credential=[^&]*", f"X-Amz-Credential={'x' * 5000}", "IncompleteSignatureException"),
        (r"X-Amz-Signature=[^&]*", "X-Amz-Signature=", "IncompleteSignatureException"),
        (r"X-Amz-Signature=[^&]*", "X-Amz-Signature=%FF", "InvalidSignatureException"),
        (r"X-Amz-Signature=.*", f"X-Amz-Signature={HEX}", "InvalidSignatureException"),
        (r"$", "&X-Amz-Expires=600", "IncompleteSignatureException"),
        (r"$", "&more=1", "InvalidSignatureException"),
    ],
)
def test_a_changed_presigned_query(door: Door, found: str, instead: str, code: str) -> None:
    request = door.presigned(expires=900)
    query = re.sub(found, instead, request.query, count=1)
    assert query != request.query
    assert refused(door, dataclasses.replace(request, query=query)).code == code


def test_without_authentication_everybody_is_the_administrator(door: Door) -> None:
    door.insecure = True
    unsigned = HttpRequest("GET", "/foundation-models", "", [("host", "x")])
    caller = door.knock(unsigned)
    assert (caller.account, caller.arn) == (door.administrator.account, door.administrator.arn)
    assert (caller.kind, caller.region) == ("none", None)
    signed = door.signed(region="eu-north-1", credentials=BotoCredentials("any", "thing"))
    assert (door.knock(signed).kind, door.knock(signed).region) == ("none", "eu-north-1")
    assert door.knock(with_header(signed, "authorization", "Bearer x")).kind == "none"


def test_http2_clients_sign_the_authority_instead_of_the_host(door: Door) -> None:
    """As the AWS SDK for JavaScript does; the journeys have the real one."""
    request = door.signed()
    key, date = door.administrator.access_key, request.header("x-amz-date") or ""
    signed = (":authority", "x-amz-date")
    headers = {":authority": "127.0.0.1:8484", "x-amz-date": date}
    digest = hashlib.sha256(request.body).hexdigest()
    canonical = sigv4.canonical_request("POST", sigv4.canonical_path(request.raw_path), "", headers, signed, digest)
    scope = f"{date[:8]}/us-east-1/bedrock/aws4_request"
    text = sigv4.string_to_sign(date, scope, canonical)
    value = (
        f"{sigv4.ALGORITHM} Credential={key.id}/{scope}, SignedHeaders=:authority;x-amz-date, "
        f"Signature={sigv4.signature(key.secret, date[:8], 'us-east-1', 'bedrock', text)}"
    )
    request = with_header(request, "authorization", value)
    assert door.knock(request).kind == "sigv4"
    assert refused(door, with_header(request, "host", "elsewhere:8484")).message == MISMATCH
