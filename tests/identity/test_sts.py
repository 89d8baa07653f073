"""The token service: identities, roles, and what temporary credentials may do and for how long."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from outcrop.errors import AwsError
from outcrop.identity import accounts, sts
from outcrop.identity.access import Access
from outcrop.identity.bearer import new_short_term_key
from outcrop.identity.caller import Caller
from outcrop.identity.policies import managed, rows
from outcrop.identity.sts import Sts, is_for_sts
from outcrop.request import HttpRequest
from tests.identity.door import URL, Door, received

XML = {"sts": sts.NAMESPACE}


def answer(door: Door, caller: Caller, form: Mapping[str, str]) -> dict[str, str]:
    """The leaves of the XML answer by name."""
    query = "&".join(f"{name}={value}" for name, value in form.items())
    request = HttpRequest("POST", "/", "", [], query.encode(), source_ip="10.1.2.3")
    service = Sts(door.database, door.vault, Access(door.database), door.clock)
    tree = ElementTree.fromstring(service.answer(caller, request, "us-east-1", "request-1"))  # noqa: S314 - our own
    return {leaf.tag.partition("}")[2]: leaf.text or "" for leaf in tree.iter() if not len(leaf)}


def assume(door: Door, caller: Caller, role_arn: str, **more: str) -> dict[str, str]:
    form = {"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": role_arn, "RoleSessionName": "job", **more}
    return answer(door, caller, form)


def refused(door: Door, caller: Caller, role_arn: str, **more: str) -> AwsError:
    with pytest.raises(AwsError) as caught:
        assume(door, caller, role_arn, **more)
    return caught.value


def quoted(document: Any) -> str:
    return quote(json.dumps(document))


def policy(action: str = "bedrock:*", resource: str = "*", effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": {"Effect": effect, "Action": action, "Resource": resource, **more}}


def trust(principal: Any, action: Any = "sts:AssumeRole", **more: Any) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


def make_role(
    door: Door, name: str, trusted: str | None = None, *, attached: str = managed.ADMINISTRATOR, seconds: int = 3600
) -> accounts.Role:
    account = door.administrator.account
    with door.database.transaction() as transaction:
        made = accounts.add_role(
            transaction, account, name, trusted or rows.trust_of_account(account), max_session_seconds=seconds
        )
        rows.attach(transaction, made.id, attached)
    return made


def make_user(door: Door, name: str, document: Any = None) -> Caller:
    account = door.administrator.account
    with door.database.transaction() as transaction:
        user = accounts.add_user(transaction, account, name)
        if document is not None:
            rows.attach(transaction, user.id, rows.put(transaction, account, name, json.dumps(document)).arn)
    return Caller(account, user.arn, user.id, "AKIA", "sigv4", "us-east-1")


@pytest.fixture
def admin(door: Door) -> Caller:
    return door.knock(door.signed())


def keys_in(found: Mapping[str, str]) -> BotoCredentials:
    return BotoCredentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


def test_the_scope_of_the_signature_says_which_service_is_meant(door: Door) -> None:
    request = door.signed("/", body=b"Action=GetCallerIdentity&Version=2011-06-15", service="sts")
    assert is_for_sts(request)
    assert not is_for_sts(door.signed())
    caller = door.knock(request, "sts")
    assert caller.arn == door.administrator.arn
    with pytest.raises(AwsError, match="correct service: 'sts'"):
        door.knock(door.signed(), "sts")
    with pytest.raises(AwsError, match="correct service: 'bedrock'"):
        door.knock(request, "bedrock")


def test_a_presigned_question_who_one_is(door: Door) -> None:
    request = AWSRequest("GET", f"{URL}/?Action=GetCallerIdentity&Version=2011-06-15")
    SigV4QueryAuth(door.boto_credentials, "sts", "us-east-1", expires=60).add_auth(request)
    asked = received("GET", request.url, {"Host": "127.0.0.1:8484"}, b"")
    assert is_for_sts(asked)
    caller = door.knock(asked, "sts")
    service = Sts(door.database, door.vault, Access(door.database), door.clock)
    assert door.administrator.arn in service.answer(caller, asked, "us-east-1", "r").decode()


def test_who_one_is_needs_no_permission(door: Door) -> None:
    ann = make_user(door, "ann")
    found = answer(door, ann, {"Action": "GetCallerIdentity", "Version": "2011-06-15"})
    assert found == {"Arn": ann.arn, "UserId": ann.user_id, "Account": ann.account, "RequestId": "request-1"}


def test_a_role_for_a_while(door: Door, admin: Caller) -> None:
    role = make_role(door, "analyst")
    found = assume(door, admin, role.arn)
    assert found["Arn"] == f"arn:aws:sts::{role.account}:assumed-role/analyst/job"
    assert found["AssumedRoleId"] == f"{role.id}:job"
    assert found["AccessKeyId"].startswith("ASIA")
    expires = datetime.fromisoformat(found["Expiration"])
    assert abs(expires - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)
    caller = door.knock(door.signed(credentials=keys_in(found)))
    assert caller.arn == found["Arn"]
    assert caller.user_id == found["AssumedRoleId"]
    assert caller.session is not None
    assert caller.session.role_arn == role.arn


def test_temporary_credentials_end(door: Door, admin: Caller) -> None:
    found = assume(door, admin, make_role(door, "analyst").arn, DurationSeconds="900")
    credentials = keys_in(found)
    door.ahead = timedelta(seconds=890)
    door.window_seconds = 100_000
    assert door.knock(door.signed(credentials=credentials)).session is not None
    door.ahead = timedelta(seconds=901)
    with pytest.raises(AwsError) as caught:
        door.knock(door.signed(credentials=credentials))
    assert (caught.value.code, caught.value.status) == ("ExpiredTokenException", 403)
    assert b"<Code>ExpiredToken</Code>" in sts.error(caught.value, "r")[1]


def test_a_token_belongs_to_its_key(door: Door, admin: Caller) -> None:
    role = make_role(door, "analyst")
    one, other = assume(door, admin, role.arn), assume(door, admin, role.arn)
    for mixed in (
        BotoCredentials(one["AccessKeyId"], one["SecretAccessKey"], other["SessionToken"]),
        BotoCredentials(one["AccessKeyId"], one["SecretAccessKey"]),
        BotoCredentials(one["AccessKeyId"], one["SecretAccessKey"], one["SessionToken"][:-8] + "AAAAAAA="),
        BotoCredentials(one["AccessKeyId"], one["SecretAccessKey"], "nonsense"),
        BotoCredentials(door.administrator.access_key.id, door.administrator.access_key.secret, one["SessionToken"]),
    ):
        with pytest.raises(AwsError) as caught:
            door.knock(door.signed(credentials=mixed))
        assert caught.value.code == "UnrecognizedClientException"
    with pytest.raises(AwsError) as caught:
        door.knock(door.signed(credentials=BotoCredentials(one["AccessKeyId"], "wrong", one["SessionToken"])))
    assert caught.value.code == "InvalidSignatureException"


def test_a_short_term_api_key_of_a_session(door: Door, admin: Caller) -> None:
    from aws_bedrock_token_generator import BedrockTokenGenerator

    found = assume(door, admin, make_role(door, "analyst").arn)
    token = BedrockTokenGenerator().get_token(keys_in(found), "us-east-1")
    caller = door.knock(HttpRequest("GET", "/", "", [("host", "h"), ("authorization", f"Bearer {token}")]))
    assert caller.kind == "short-term-key"
    assert caller.session is not None
    without = new_short_term_key(found["AccessKeyId"], found["SecretAccessKey"], "us-east-1", datetime.now(UTC))
    with pytest.raises(AwsError, match="make sure your API Key is valid"):
        door.knock(HttpRequest("GET", "/", "", [("host", "h"), ("authorization", f"Bearer {without}")]))


def test_who_may_be_a_role(door: Door, admin: Caller) -> None:
    """The role must trust, and where it leaves that to its account, the account's policies must allow."""
    ann, bob = make_user(door, "ann"), make_user(door, "bob", policy("sts:AssumeRole"))
    by_account, by_name = make_role(door, "account"), make_role(door, "name", trust({"AWS": ann.arn}))
    for_others = make_role(door, "others", trust({"AWS": "444455556666"}))
    assert assume(door, bob, by_account.arn)
    assert assume(door, admin, by_account.arn)
    assert assume(door, ann, by_name.arn)
    nobody = by_name.arn.replace("name", "nobody")
    for caller, arn in ((ann, by_account.arn), (bob, by_name.arn), (admin, for_others.arn), (admin, nobody)):
        problem = refused(door, caller, arn)
        assert (problem.code, problem.status) == ("AccessDenied", 403)
        assert problem.message == (
            f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        )


def test_conditions_of_trust(door: Door, admin: Caller) -> None:
    external = make_role(
        door, "external", trust({"AWS": admin.arn}, Condition={"StringEquals": {"sts:ExternalId": "secret"}})
    )
    assert assume(door, admin, external.arn, ExternalId="secret")
    assert refused(door, admin, external.arn).code == "AccessDenied"
    assert refused(door, admin, external.arn, ExternalId="guess").code == "AccessDenied"
    near = make_role(
        door, "near", trust({"AWS": admin.arn}, Condition={"IpAddress": {"aws:SourceIp": "192.168.0.0/16"}})
    )
    assert refused(door, admin, near.arn).code == "AccessDenied"


def decides(door: Door, credentials: BotoCredentials, action: str, resource: str = "*") -> bool:
    caller = door.knock(door.signed(credentials=credentials))
    return Access(door.database).decide(caller, action, resource, {}).allowed


def test_a_session_is_narrowed_by_its_policies(door: Door, admin: Caller) -> None:
    role = make_role(door, "analyst", attached=managed.PREFIX + "AmazonBedrockFullAccess")
    everything = keys_in(assume(door, admin, role.arn))
    assert decides(door, everything, "bedrock:InvokeModel")
    assert not decides(door, everything, "s3:GetObject")
    lists = keys_in(assume(door, admin, role.arn, Policy=quoted(policy("bedrock:List*"))))
    assert decides(door, lists, "bedrock:ListGuardrails")
    assert not decides(door, lists, "bedrock:InvokeModel")
    reads = keys_in(
        assume(
            door,
            admin,
            role.arn,
            Policy=quoted(policy("s3:*")),
            **{"PolicyArns.member.1.arn": managed.PREFIX + "AmazonBedrockReadOnly"},
        )
    )
    assert decides(door, reads, "bedrock:GetGuardrail")
    assert not decides(door, reads, "bedrock:DeleteGuardrail")
    assert not decides(door, reads, "s3:GetObject")
    with door.database.transaction() as transaction:
        accounts.remove_role(transaction, role)
    assert not decides(door, everything, "bedrock:InvokeModel")


def test_tags_of_a_session(door: Door, admin: Caller) -> None:
    tags = {"Tags.member.1.Key": "team", "Tags.member.1.Value": "red"}
    plain = make_role(door, "plain", trust({"AWS": admin.arn}))
    assert "sts:TagSession" in refused(door, admin, plain.arn, **tags).message
    tagging = make_role(
        door,
        "tagging",
        trust(
            {"AWS": admin.arn},
            ["sts:AssumeRole", "sts:TagSession"],
            Condition={"StringEquals": {"aws:RequestTag/team": "red"}},
        ),
    )
    caller = door.knock(door.signed(credentials=keys_in(assume(door, admin, tagging.arn, **tags))))
    assert caller.session is not None
    assert caller.session.tags == (("team", "red"),)
    assert refused(door, admin, tagging.arn, **{**tags, "Tags.member.1.Value": "blue"}).code == "AccessDenied"


def test_how_long(door: Door, admin: Caller) -> None:
    short, long = make_role(door, "short"), make_role(door, "long", seconds=7200)
    assert refused(door, admin, short.arn, DurationSeconds="3601").message == (
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    )
    assert assume(door, admin, long.arn, DurationSeconds="7200")
    chained = door.knock(door.signed(credentials=keys_in(assume(door, admin, short.arn))))
    assert refused(door, chained, long.arn, DurationSeconds="3601").message == (
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    )
    again = door.knock(door.signed(credentials=keys_in(assume(door, chained, long.arn, DurationSeconds="3600"))))
    assert again.arn.endswith(":assumed-role/long/job")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"RoleArn": ""}, "ValidationError"),
        ({"RoleSessionName": "a"}, "ValidationError"),
        ({"RoleSessionName": "a%20b"}, "ValidationError"),
        ({"DurationSeconds": "899"}, "ValidationError"),
        ({"DurationSeconds": "43201"}, "ValidationError"),
        ({"DurationSeconds": "an hour"}, "ValidationError"),
        ({"ExternalId": "!"}, "ValidationError"),
        ({"SerialNumber": "arn:aws:iam::1:mfa/x"}, "ValidationError"),
        ({"PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/Nothing"}, "ValidationError"),
        ({"Tags.member.1.Key": "aws:x", "Tags.member.1.Value": ""}, "ValidationError"),
        ({"Policy": "%7B"}, "MalformedPolicyDocument"),
        ({"Policy": quoted(policy("nonsense"))}, "MalformedPolicyDocument"),
        ({"Policy": quoted(policy("bedrock:" + "x" * 2100))}, "PackedPolicyTooLarge"),
        ({"Action": "GetSessionToken"}, "InvalidAction"),
        ({"Action": ""}, "InvalidAction"),
        ({"Version": "2010-01-01"}, "InvalidAction"),
    ],
)
def test_what_is_wrong_is_told(door: Door, admin: Caller, more: dict[str, str], code: str) -> None:
    role = make_role(door, "analyst")
    problem = refused(door, admin, **{"role_arn": role.arn, **more})
    assert problem.code == code
    status, body = sts.error(problem, "request-1")
    assert status == 400
    tree = ElementTree.fromstring(body)  # noqa: S314 - our own
    assert tree.findtext("sts:Error/sts:Code", namespaces=XML) == code
    assert tree.findtext("sts:Error/sts:Type", namespaces=XML) == "Sender"
    assert tree.findtext("sts:RequestId", namespaces=XML) == "request-1"


@pytest.mark.parametrize(
    ("code", "old"),
    [
        ("UnrecognizedClientException", "InvalidClientTokenId"),
        ("InvalidSignatureException", "SignatureDoesNotMatch"),
        ("MissingAuthenticationTokenException", "MissingAuthenticationToken"),
    ],
)
def test_the_doors_errors_in_the_old_names(code: str, old: str) -> None:
    status, body = sts.error(AwsError("<&>\x00", code=code, status=403), "r")
    assert status == 403
    tree = ElementTree.fromstring(body)  # noqa: S314 - our own
    assert tree.findtext("sts:Error/sts:Code", namespaces=XML) == old
    assert tree.findtext("sts:Error/sts:Message", namespaces=XML) == "<&>"


NAMES = st.sampled_from(
    ["Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds", "Policy", "ExternalId", "Tags.member.1.Key",
     "Tags.member.1.Value", "Tags.member.2.Key", "PolicyArns.member.1.arn", "TokenCode"]
)  # fmt: skip


def test_any_form_is_answered_or_refused(door: Door, admin: Caller) -> None:
    service = Sts(door.database, door.vault, Access(door.database), door.clock)
    role = make_role(door, "analyst").arn
    values = st.text(max_size=12) | st.sampled_from([role, "AssumeRole", "2011-06-15", "job", "900", "{}", "aws:x"])

    @settings(max_examples=300, deadline=None)
    @given(st.dictionaries(NAMES, values), st.binary(max_size=8))
    def ask(form: dict[str, str], rest: bytes) -> None:
        given = {"Action": "AssumeRole", "RoleArn": role, "RoleSessionName": "job", **form}
        request = HttpRequest("POST", "/", "", [], urlencode(given).encode() + rest)
        sts.name_of(request)
        try:
            body = service.answer(admin, request, "us-east-1", "r")
        except AwsError as problem:
            _, body = sts.error(problem, "r")
        ElementTree.fromstring(body)  # noqa: S314 - our own

    ask()


def test_an_endless_form_is_not_read(door: Door, admin: Caller) -> None:
    service = Sts(door.database, door.vault, Access(door.database), door.clock)
    request = HttpRequest("POST", "/", "", [], b"Action=GetCallerIdentity&" + b"a&" * sts.LONGEST)
    with pytest.raises(AwsError) as caught:
        service.answer(admin, request, "us-east-1", "r")
    assert caught.value.status == 413
    assert sts.name_of(request) == "Unknown"


def test_no_secret_is_in_a_repr(door: Door, admin: Caller) -> None:
    found = assume(door, admin, make_role(door, "analyst").arn)
    caller = door.knock(door.signed(credentials=keys_in(found)))
    key = door.sessions.key(found["AccessKeyId"], found["SessionToken"])
    assert key is not None
    shown = repr([caller, key, key.principal])
    assert found["SecretAccessKey"] not in shown
    assert found["SessionToken"] not in shown
