from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from outcrop.identity.access import Access
from outcrop.identity.credentials import Credentials
from outcrop.identity.first_start import ensure_administrator, exports, make_account
from outcrop.identity.keyring import Keyring, KeyringError
from outcrop.store import migrate
from outcrop.store.database import Database
from outcrop.store.keyfile import KeyFileError, Vault
from tests.identity.door import Door
from tests.stores import store_at


def test_the_second_start_makes_nothing(door: Door) -> None:
    assert ensure_administrator(door.database, door.vault) is None
    assert len(door.keyring.listed()) == 1


def test_before_the_first_start_there_is_nobody(tmp_path: Path) -> None:
    database, vault = Database.open(store_at(tmp_path)), Vault.open(tmp_path)
    with pytest.raises(LookupError):
        Credentials(database, vault).administrator()
    with pytest.raises(KeyringError, match="no account"):
        Keyring(database, vault).create_access_key()
    database.close()


def test_starts_at_once_make_one_administrator(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from outcrop.identity.first_start import exports; "
        "print(exports(Path(sys.argv[1]), url='http://x', ca=None, database=sys.argv[2]))"
    )
    store = store_at(tmp_path / "home")
    command = [sys.executable, "-c", script, str(tmp_path / "home"), str(store)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    printed = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 6
    assert len(printed) == 1
    database = Database.open(store)
    for table in ("accounts", "users", "access_keys"):
        assert database.one(f"SELECT count(*) AS n FROM {table}") == {"n": 1}  # noqa: S608 - one of three words
    database.close()


def test_the_exports(door: Door) -> None:
    variables = exports(
        door.home, url="https://127.0.0.1:9", ca=Path("/ca.pem"), region="eu-west-1", database=store_at(door.home)
    )
    assert variables == {
        "AWS_ACCESS_KEY_ID": door.administrator.access_key.id,
        "AWS_SECRET_ACCESS_KEY": door.administrator.access_key.secret,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_BEDROCK": "https://127.0.0.1:9",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://127.0.0.1:9",
        "AWS_ENDPOINT_URL_BEDROCK_AGENT": "https://127.0.0.1:9",
        "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME": "https://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": "https://127.0.0.1:9",
        "AWS_ENDPOINT_URL_STS": "https://127.0.0.1:9",
        "AWS_CA_BUNDLE": "/ca.pem",
    }
    assert "AWS_CA_BUNDLE" not in exports(door.home, url="http://x", ca=None, database=store_at(door.home))


def test_without_a_key_left_the_exports_say_what_to_do(door: Door) -> None:
    door.keyring.revoke(door.administrator.access_key.id)
    with pytest.raises(KeyringError, match="outcrop keys create"):
        exports(door.home, url="http://x", ca=None, database=store_at(door.home))
    made = door.keyring.create_access_key()
    assert exports(door.home, url="http://x", ca=None, database=store_at(door.home))["AWS_ACCESS_KEY_ID"] == made.id


def test_a_lost_key_file_stops_the_start_with_a_sentence(door: Door) -> None:
    (door.home / "key").unlink()
    with pytest.raises(KeyFileError, match="not the one it was encrypted with"):
        ensure_administrator(door.database, Vault.open(door.home))


def test_whoever_could_do_everything_before_there_were_policies_still_can(tmp_path: Path) -> None:
    database = Database.open(store_at(tmp_path), up_to_date=False)
    with database.transaction() as transaction:
        migrate.make(transaction, 5)
        transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('111122223333', '2026-01-01T00:00:00Z')")
        for name in ("admin", "ann"):
            transaction.execute(
                "INSERT INTO users (id, account_id, name, created_at) VALUES (?, '111122223333', ?, '')", name, name
            )
    migrate.migrate(database)
    assert [Access(database).grants(name).unrestricted for name in ("admin", "ann")] == [True, True]
    made = Keyring(database, Vault.open(tmp_path)).create_access_key("new")
    row = database.one("SELECT u.id FROM users u JOIN access_keys k ON k.user_id = u.id WHERE k.id = ?", made.id)
    assert row is not None
    assert not Access(database).grants(row["id"]).policies
    assert Credentials(database, Vault.open(tmp_path)).administrator().account == "111122223333"
    database.close()


def test_the_first_account_stays_the_first(door: Door) -> None:
    """Two accounts of the same second, each with an administrator."""
    with door.database.transaction() as transaction:
        other = make_account(transaction, door.vault, "other")
    assert door.credentials.administrator().account == door.administrator.account
    key = door.keyring.newest_access_key()
    assert key is not None
    assert key[0] == door.administrator.access_key.id
    made = Keyring(door.database, door.vault, account="other").create_access_key()
    found = door.credentials.access_key(made.id)
    assert found is not None
    assert found.principal.account == other.account
