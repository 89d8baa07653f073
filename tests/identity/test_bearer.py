from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from aws_bedrock_token_generator import BedrockTokenGenerator
from botocore.credentials import Credentials as BotoCredentials

from outcrop.errors import AwsError
from outcrop.identity import sigv4
from outcrop.identity.bearer import LONG_TERM, SHORT_TERM
from outcrop.identity.keyring import KeyringError
from outcrop.request import HttpRequest
from tests.identity.door import Door

NOT_VALID = "Authentication failed: Please make sure your API Key is valid."


def bearing(token: str, scheme: str = "Bearer") -> HttpRequest:
    return HttpRequest("POST", "/model/x/converse", "", [("host", "h"), ("authorization", f"{scheme} {token}")], b"{}")


def refused(door: Door, token: str, service: str = "bedrock-runtime") -> AwsError:
    with pytest.raises(AwsError) as caught:
        door.knock(bearing(token), service)
    assert (caught.value.code, caught.value.status) == ("AccessDeniedException", 403)
    return caught.value


def minted(door: Door, region: str = "us-west-2") -> str:
    return str(BedrockTokenGenerator().get_token(door.boto_credentials, region))


def test_a_long_term_key(door: Door) -> None:
    key = door.keyring.create_api_key()
    account = door.administrator.account
    assert key.value.startswith(LONG_TERM)
    alias, _, secret = base64.b64decode(key.value.removeprefix(LONG_TERM)).decode().partition(":")
    assert alias == key.alias
    assert alias.startswith("BedrockAPIKey-")
    assert alias.endswith(f"-at-{account}")
    assert len(secret) >= 32
    for service in ("bedrock", "bedrock-runtime"):
        caller = door.knock(bearing(key.value), service)
        assert (caller.account, caller.arn) == (account, door.administrator.arn)
        assert (caller.kind, caller.access_key_id, caller.region) == ("long-term-key", key.id, None)
    assert door.knock(bearing(key.value, "bearer")).kind == "long-term-key"


@pytest.mark.parametrize("service", ["bedrock-agent", "bedrock-agent-runtime"])
def test_api_keys_are_not_for_agents(door: Door, service: str) -> None:
    assert service in refused(door, door.keyring.create_api_key().value, service).message
    assert service in refused(door, minted(door), service).message


def test_a_long_term_key_expires(door: Door) -> None:
    key = door.keyring.create_api_key(expires_days=2)
    door.ahead = timedelta(days=2, seconds=-10)
    assert door.knock(bearing(key.value)).kind == "long-term-key"
    door.ahead = timedelta(days=2, seconds=2)
    assert refused(door, key.value).message == "Bearer Token has expired"


@pytest.mark.parametrize("days", [0, -1, 36_601])
def test_a_long_term_keys_age_has_limits(door: Door, days: int) -> None:
    with pytest.raises(KeyringError, match="36600"):
        door.keyring.create_api_key(expires_days=days)


@pytest.mark.parametrize(
    "token", ["", "x", "ABSK", "ABSK====", LONG_TERM + "A" * 100, LONG_TERM + "A" * 9000, "ü", SHORT_TERM]
)
def test_no_key(door: Door, token: str) -> None:
    assert refused(door, token).message == NOT_VALID


def test_a_key_with_one_letter_changed(door: Door) -> None:
    value = door.keyring.create_api_key().value
    changed = value[:-3] + ("A" if value[-3] != "A" else "B") + value[-2:]
    assert refused(door, changed).message == NOT_VALID


def test_what_awss_own_generator_mints_is_let_in(door: Door) -> None:
    for service in ("bedrock", "bedrock-runtime"):
        caller = door.knock(bearing(minted(door)), service)
        assert (caller.account, caller.arn) == (door.administrator.account, door.administrator.arn)
        assert (caller.kind, caller.region) == ("short-term-key", "us-west-2")
        assert caller.access_key_id == door.administrator.access_key.id


@pytest.mark.parametrize(("hours", "message"), [(12, "Bearer Token has expired"), (-1, NOT_VALID)])
def test_a_short_term_key_lives_twelve_hours(door: Door, hours: int, message: str) -> None:
    token = minted(door)
    door.ahead = timedelta(hours=11, minutes=59)
    assert door.knock(bearing(token)).kind == "short-term-key"
    door.ahead = timedelta(hours=hours, seconds=2)
    assert refused(door, token).message == message


def test_a_short_term_key_of_a_longer_life_is_cut_to_twelve_hours(door: Door) -> None:
    token = resigned(door, minted(door), "X-Amz-Expires=43200", "X-Amz-Expires=600000")
    assert door.knock(bearing(token)).kind == "short-term-key"
    door.ahead = timedelta(hours=12, seconds=2)
    assert refused(door, token).message == "Bearer Token has expired"


def changed(token: str, old: str, new: str) -> str:
    text = base64.b64decode(token.removeprefix(SHORT_TERM)).decode()
    assert old in text
    return SHORT_TERM + base64.b64encode(text.replace(old, new).encode()).decode()


def resigned(door: Door, token: str, old: str, new: str) -> str:
    """The token with something else in it, properly signed: what a holder of the secret could make."""
    text = base64.b64decode(changed(token, old, new).removeprefix(SHORT_TERM)).decode()
    host, _, query = text.removesuffix("&Version=1").partition("/?")
    unsigned, _, _ = query.partition("&X-Amz-Signature=")
    fields = dict(part.split("=", 1) for part in unsigned.split("&"))
    key_id, date, region, service, end = fields["X-Amz-Credential"].split("%2F")
    assert key_id == door.administrator.access_key.id
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    canonical = sigv4.canonical_request("POST", "/", sigv4.canonical_query(unsigned), {"host": host}, ("host",), empty)
    text = sigv4.string_to_sign(fields["X-Amz-Date"], f"{date}/{region}/{service}/{end}", canonical)
    signature = sigv4.signature(door.administrator.access_key.secret, date, region, service, text)
    whole = f"{host}/?{unsigned}&X-Amz-Signature={signature}&Version=1"
    return SHORT_TERM + base64.b64encode(whole.encode()).decode()


def test_the_resigned_token_is_a_fair_one(door: Door) -> None:
    assert door.knock(bearing(resigned(door, minted(door), "Version=1", "Version=1"))).kind == "short-term-key"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bedrock.amazonaws.com", "sts.amazonaws.com"),
        ("Action=CallWithBearerToken", "Action=CallWithoutToken"),
        ("%2Fbedrock%2F", "%2Fs3%2F"),
    ],
)
def test_a_token_for_something_else_is_no_key_though_well_signed(door: Door, old: str, new: str) -> None:
    assert refused(door, resigned(door, minted(door), old, new)).message == NOT_VALID


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("us-west-2", "us-east-1"),
        ("X-Amz-Expires=43200", "X-Amz-Expires=43201"),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
        ("X-Amz-Signature", "X-Amz-Nothing"),
        ("Action=", "Action=x&Action="),
        ("&Version=1", "&Version=1&X-Amz-Security-Token=s"),
    ],
)
def test_a_changed_token_is_no_key(door: Door, old: str, new: str) -> None:
    assert refused(door, changed(minted(door), old, new)).message == NOT_VALID


def test_a_token_of_an_unknown_key(door: Door) -> None:
    token = BedrockTokenGenerator().get_token(BotoCredentials("AKIAAAAAAAAAAAAAAAAA", "x"), "us-east-1")
    assert refused(door, str(token)).message == NOT_VALID


def test_a_short_term_key_dies_with_its_access_key(door: Door) -> None:
    token = minted(door)
    door.keyring.revoke(door.administrator.access_key.id)
    assert refused(door, token).message == NOT_VALID
