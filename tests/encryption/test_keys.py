"""Keys of accounts in the database, and what is sealed under them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from outcrop.encryption.keys import DEFAULT, Disabled, Keys, NoSuchKey
from outcrop.store.database import Database, IntegrityError
from outcrop.store.keyfile import Vault
from outcrop.store.seals import Damaged, Unreadable, opened
from tests.stores import store_at


class RolledBack(Exception):
    """Ends a transaction."""


ACCOUNT, OTHER, REGION = "111122223333", "444455556666", "us-east-1"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened_ = Database.open(store_at(tmp_path))
    yield opened_
    opened_.close()


@pytest.fixture
def keys(database: Database, tmp_path: Path) -> Keys:
    return Keys(database, Vault.open(tmp_path))


def seal(database: Database, keys: Keys, text: str, place: str = "a row", account: str = ACCOUNT) -> str:
    with database.transaction() as transaction:
        return keys.seal(transaction, account, REGION, text, place)


def test_what_is_sealed_opens_in_its_place_only(database: Database, keys: Keys, tmp_path: Path) -> None:
    sealed = seal(database, keys, "wörds")
    assert "rds" not in sealed
    assert keys.open(sealed, "a row") == "wörds"
    assert Keys(database, Vault.open(tmp_path)).open(sealed, "a row") == "wörds"
    with pytest.raises(Damaged):
        keys.open(sealed, "another row")
    assert keys.open('{"plain": 1}', "a row") == '{"plain": 1}'
    assert seal(database, keys, "wörds") != sealed


def test_every_changed_letter_is_noticed(database: Database, keys: Keys) -> None:
    sealed = seal(database, keys, "words")
    for at in range(len("sealed1."), len(sealed)):
        changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        with pytest.raises((Damaged, NoSuchKey)):
            keys.open(changed, "a row")
    for broken in ("sealed1.", "sealed1.a.b.c", "sealed1.a.1.====", sealed[:-3], sealed + ".AAAA"):
        with pytest.raises((Damaged, NoSuchKey)):
            keys.open(broken, "a row")


def test_a_data_key_under_another_content(database: Database, keys: Keys) -> None:
    one, two = seal(database, keys, "one").split("."), seal(database, keys, "two").split(".")
    with pytest.raises(Damaged):
        keys.open(".".join([*one[:-1], two[-1]]), "a row")


def test_each_account_has_a_key_of_its_own(database: Database, keys: Keys) -> None:
    mine, theirs = seal(database, keys, "x"), seal(database, keys, "x", account=OTHER)
    assert mine.split(".")[1] != theirs.split(".")[1]
    assert keys.default(ACCOUNT, REGION).id == mine.split(".")[1]
    assert keys.default(ACCOUNT, "eu-west-1").id != mine.split(".")[1]
    assert [key.account for key in keys.all()] == [ACCOUNT, ACCOUNT, OTHER]
    assert len(keys.all(OTHER)) == 1


def test_a_key_that_was_rolled_back_encrypts_nothing(database: Database, keys: Keys) -> None:
    with suppress(RolledBack), database.transaction() as transaction:
        lost = keys.seal(transaction, ACCOUNT, REGION, "x", "a row")
        assert keys.open(lost, "a row") == "x"
        raise RolledBack
    kept = seal(database, keys, "y")
    assert kept.split(".")[1] != lost.split(".")[1]
    keys.refresh()
    assert keys.open(kept, "a row") == "y"
    with pytest.raises(NoSuchKey):
        keys.open(lost, "a row")


def test_a_rotation_that_was_rolled_back(database: Database, keys: Keys, tmp_path: Path) -> None:
    key = keys.default(ACCOUNT, REGION)
    with suppress(RolledBack), database.transaction() as transaction:
        keys.rotate(transaction, key)
        raise RolledBack
    with database.transaction() as transaction:
        assert keys.rotate(transaction, key) == 2
    keys.refresh()
    sealed = seal(database, keys, "x")
    assert sealed.split(".")[2] == "2"
    assert Keys(database, Vault.open(tmp_path)).open(sealed, "a row") == "x"


def test_rotation(database: Database, keys: Keys) -> None:
    old = seal(database, keys, "old")
    with database.transaction() as transaction:
        keys.rotate(transaction, keys.default(ACCOUNT, REGION))
    keys.refresh()
    new = seal(database, keys, "new")
    assert (old.split(".")[2], new.split(".")[2]) == ("1", "2")
    assert (keys.open(old, "a row"), keys.open(new, "a row")) == ("old", "new")


def test_a_server_that_knew_only_the_old_version(database: Database, keys: Keys, tmp_path: Path) -> None:
    seal(database, keys, "old")
    keys.refresh()
    other = Keys(database, Vault.open(tmp_path))
    with database.transaction() as transaction:
        other.rotate(transaction, other.default(ACCOUNT, REGION))
    other.refresh()
    # No time for `keys` to look.
    assert keys.open(seal(database, other, "new"), "a row") == "new"


def test_disabled_and_enabled(database: Database, keys: Keys) -> None:
    sealed = seal(database, keys, "x")
    key = keys.default(ACCOUNT, REGION)
    with database.transaction() as transaction:
        keys.set_state(transaction, key, "Disabled")
    keys.refresh()
    with pytest.raises(Disabled, match=f"{key.arn} is disabled"):
        keys.open(sealed, "a row")
    with pytest.raises(Disabled):
        seal(database, keys, "y")
    with database.transaction() as transaction:
        keys.set_state(transaction, key, "Enabled")
    keys.refresh()
    assert keys.open(sealed, "a row") == "x"


def test_names_of_keys(database: Database, keys: Keys) -> None:
    with database.transaction() as transaction:
        made = keys.create(transaction, ACCOUNT, REGION, "mine", "")
        keys.create(transaction, OTHER, REGION, "mine", "")
        keys.create(transaction, ACCOUNT, "eu-west-1", "mine", "")
    with pytest.raises(IntegrityError), database.transaction() as transaction:
        keys.create(transaction, ACCOUNT, REGION, "mine", "")
    assert made.arn == f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{made.id}"
    for name in (made.arn, made.id, "alias/mine", f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/mine"):
        assert keys.find(ACCOUNT, REGION, name) == made
    for name in (
        made.arn.replace(ACCOUNT, OTHER),
        made.arn.replace(REGION, "eu-west-1"),
        made.arn.replace("kms", "s3"),
        "alias/other", "mine", "arn:nothing", "", "0" * 36,
    ):  # fmt: skip
        with pytest.raises(NoSuchKey):
            keys.find(ACCOUNT, REGION, name)
    with pytest.raises(NoSuchKey):
        keys.find(OTHER, REGION, made.id)
    assert keys.find(ACCOUNT, "eu-west-1", "alias/mine").region == "eu-west-1"


def test_switched_off(database: Database, keys: Keys, tmp_path: Path) -> None:
    before = seal(database, keys, "before")
    off = Keys(database, Vault.open(tmp_path), enabled=False)
    assert seal(database, off, "after") == "after"
    assert off.open(before, "a row") == "before"


def test_without_a_key(database: Database, keys: Keys) -> None:
    assert opened(None, "plain", "a row") == "plain"
    with pytest.raises(Unreadable, match="no key to open it with"):
        opened(None, seal(database, keys, "x"), "a row")


def test_material_that_was_moved_or_altered(database: Database, keys: Keys, tmp_path: Path) -> None:
    mine, theirs = seal(database, keys, "mine"), seal(database, keys, "theirs", account=OTHER)
    with database.transaction() as transaction:
        row = transaction.one(
            "SELECT material FROM encryption_key_versions WHERE key_id = ?", keys.default(OTHER, REGION).id
        )
        assert row is not None
        transaction.execute(
            "UPDATE encryption_key_versions SET material = ? WHERE key_id = ?",
            bytes(row["material"]),
            keys.default(ACCOUNT, REGION).id,
        )
    after = Keys(database, Vault.open(tmp_path))
    with pytest.raises(Disabled, match="was altered"):
        after.open(mine, "a row")
    # The damage of one is not that of all.
    assert after.open(theirs, "a row") == "theirs"


def test_two_servers_make_one_key(database: Database, tmp_path: Path) -> None:
    servers = [Keys(database, Vault.open(tmp_path)) for _ in range(3)]
    assert len({keys.default(ACCOUNT, REGION).id for keys in servers}) == 1
    assert servers[0].default(ACCOUNT, REGION).alias == DEFAULT
