from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from outcrop.errors import AwsError
from outcrop.identity import credentials as module
from outcrop.identity.credentials import Credentials
from outcrop.identity.keyring import KeyringError
from outcrop.request import HttpRequest
from outcrop.store.keyfile import KeyFileError
from tests.identity.door import Door


def outcrop(home: Path, *arguments: str) -> str:
    environment = {**os.environ, "OUTCROP_HOME": str(home)}
    command = [sys.executable, "-m", "outcrop", *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


def test_a_key_revoked_by_another_process_stops_working_within_a_second(door: Door) -> None:
    key = door.keyring.create_access_key()
    assert door.credentials.access_key(key.id) is not None
    outcrop(door.home, "keys", "revoke", key.id)
    time.sleep(1)
    assert door.credentials.access_key(key.id) is None
    assert door.credentials.access_key(door.administrator.access_key.id) is not None


def test_an_api_key_revoked_by_another_process_stops_working_within_a_second(door: Door) -> None:
    key = door.keyring.create_api_key()
    assert door.credentials.api_key(key.value) is not None
    outcrop(door.home, "keys", "revoke", key.id)
    time.sleep(1)
    assert door.credentials.api_key(key.value) is None


def test_a_key_made_by_another_process_works_at_once(door: Door) -> None:
    known = {key.id for key in door.keyring.listed()}
    outcrop(door.home, "keys", "create")
    (made,) = [key for key in door.keyring.listed() if key.id not in known]
    found = door.credentials.access_key(made.id)
    assert found is not None
    assert found.caller("sigv4", "us-east-1").arn == door.administrator.arn


def test_no_secret_is_in_the_files_of_the_database(door: Door) -> None:
    if not (door.home / "outcrop.db").exists():
        pytest.skip("PostgreSQL's files are its own; tests/store/test_archive.py looks into all rows")
    access, api = door.keyring.create_access_key("ann"), door.keyring.create_api_key("ann")
    door.database.close()
    files = b"".join(path.read_bytes() for path in door.home.iterdir())
    assert access.id.encode() in files
    assert api.id.encode() in files
    assert access.secret.encode() not in files
    assert api.value.encode() not in files
    assert api.value.removeprefix("ABSK")[48:].encode() not in files


def test_no_secret_is_in_a_repr_or_a_log(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    access, api = door.keyring.create_access_key(), door.keyring.create_api_key()
    found = door.credentials.access_key(access.id)
    callers = [door.knock(door.signed()), door.knock(bearing(api.value))]
    shown = " ".join(map(repr, [access, api, found, door.credentials, door.vault, door.administrator, *callers]))
    with pytest.raises(AwsError) as caught:
        door.knock(bearing(api.value + "x"))
    shown += caught.value.message + caplog.text
    for secret in (access.secret, api.value, door.administrator.access_key.secret, api.value[4:40]):
        assert secret not in shown


def bearing(token: str) -> HttpRequest:
    return HttpRequest("GET", "/", "", [("host", "h"), ("authorization", f"Bearer {token}")])


def test_a_secret_moved_to_another_record_does_not_open(door: Door) -> None:
    weak, strong = door.keyring.create_access_key("ann"), door.administrator.access_key
    with door.database.transaction() as transaction:
        row = transaction.one("SELECT secret FROM access_keys WHERE id = ?", weak.id)
        assert row is not None
        transaction.execute("UPDATE access_keys SET secret = ? WHERE id = ?", row["secret"], strong.id)
    with pytest.raises(KeyFileError):
        Credentials(door.database, door.vault).access_key(strong.id)


def test_the_memory_is_bounded(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    made = [door.keyring.create_access_key() for _ in range(5)]
    credentials = Credentials(door.database, door.vault)
    for new in made * 2:
        found = credentials.access_key(new.id)
        assert found is not None
        assert found.secret == new.secret
        assert len(credentials._access_keys._found) <= 3
    key = credentials.access_key(made[0].id)
    assert key is not None
    for number in range(3 * module.CALLERS):
        key.caller("sigv4", f"region-{number}")
        assert len(key._callers) <= module.CALLERS


def test_keys_are_shaped_like_awss(door: Door) -> None:
    key = door.keyring.create_access_key()
    assert len(key.id) == 20
    assert key.id.startswith("AKIA")
    assert set(key.id) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    assert len(key.secret) == 40


def test_a_user_of_a_new_name_is_made_once(door: Door) -> None:
    first, second = door.keyring.create_access_key("ann"), door.keyring.create_api_key("ann")
    one, two = door.credentials.access_key(first.id), door.credentials.api_key(second.value)
    assert one is not None
    assert two is not None
    assert one.principal == two.principal
    assert one.principal.arn == f"arn:aws:iam::{door.administrator.account}:user/ann"
    assert door.credentials.administrator().arn == door.administrator.arn


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65, "é", "a\nb"])
def test_a_user_name_that_iam_would_refuse(door: Door, name: str) -> None:
    with pytest.raises(KeyringError, match="user name"):
        door.keyring.create_access_key(name)


def test_what_is_listed(door: Door) -> None:
    api = door.keyring.create_api_key("ann", expires_days=7)
    door.keyring.revoke(door.administrator.access_key.id)
    access, listed = door.keyring.listed()
    if access.kind == "api-key":
        access, listed = listed, access
    assert (access.kind, access.user_name, access.status) == ("access-key", "admin", "Revoked")
    assert (listed.id, listed.kind, listed.user_name, listed.status) == (api.id, "api-key", "ann", "Active")
    assert listed.expires_at == api.expires_at is not None


def test_a_key_is_revoked_once(door: Door) -> None:
    key = door.keyring.create_api_key()
    door.keyring.revoke(key.id)
    for nobody in (key.id, "AKIANOBODY"):
        with pytest.raises(KeyringError, match=nobody):
            door.keyring.revoke(nobody)
