"""Backups: from either database into either, whole or not at all."""

from __future__ import annotations

import json
import stat
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from outcrop.identity.first_start import ensure_administrator
from outcrop.identity.keyring import Keyring
from outcrop.store import migrate
from outcrop.store.archive import ArchiveError, Manifest, backup, restore
from outcrop.store.database import Database, DatabaseError
from outcrop.store.keyfile import Vault
from tests.stores import postgresql_at

SQLITE, POSTGRESQL = "sqlite", "postgresql"
AWKWARD = "a\0b \ue000 'quoted' \\ ß😀\n100 %s ?"


def place(kind: str, home: Path) -> Path | str:
    return home / "outcrop.db" if kind == SQLITE else postgresql_at(home)


def filled(where: Path | str, home: Path) -> tuple[Database, Vault]:
    """An administrator, keys with encrypted secrets, and awkward texts."""
    database, vault = Database.open(where), Vault.open(home)
    ensure_administrator(database, vault)
    Keyring(database, vault).create_api_key("ann", 30)
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO tags (resource_arn, key, value) VALUES ('arn', ?, ?)", "k", AWKWARD)
        transaction.execute("INSERT INTO tags (resource_arn, key, value) VALUES ('arn', 'empty', '')")
    return database, vault


def content(database: Database) -> dict[str, list[dict[str, Any]]]:
    tables = [*migrate.table_names()]
    return {
        name: sorted((dict(row) for row in database.query(f'SELECT * FROM "{name}"')), key=repr)  # noqa: S608
        for name in tables
    }


def changed(archive: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """The same archive with other members."""
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)


@pytest.mark.parametrize("target", [SQLITE, POSTGRESQL])
@pytest.mark.parametrize("source", [SQLITE, POSTGRESQL])
def test_everything_comes_back_in_either_database(tmp_path: Path, source: str, target: str) -> None:
    old, new, archive = tmp_path / "old", tmp_path / "new", tmp_path / "a.zip"
    database, vault = filled(place(source, old), old)
    made = backup(database, vault, archive, with_key=True)
    restored = Database.open(place(target, new), up_to_date=False)
    assert restore(restored, new, archive, replace=False) == made
    assert content(restored) == content(database)
    assert {row["key"]: row["value"] for row in content(restored)["tags"]} == {"k": AWKWARD, "empty": ""}
    assert migrate.applied(restored) == set(migrate.scripts())
    # The secrets open, and what refers to what is still checked.
    keyring = Keyring(restored, Vault.open(new))
    assert keyring.newest_access_key() == Keyring(database, vault).newest_access_key()
    with pytest.raises(Exception, match=r"(?i)foreign key"), restored.transaction() as transaction:
        transaction.execute("INSERT INTO users (id, account_id, name, created_at) VALUES ('u', 'nobody', 'x', '')")
    database.close()
    restored.close()


def test_an_archive_is_of_one_moment_while_others_write(tmp_path: Path) -> None:
    database, vault = filled(tmp_path / "outcrop.db", tmp_path)
    done = threading.Event()
    pairs = 0

    def write() -> None:
        nonlocal pairs
        while not done.is_set():
            pairs += 1
            with database.transaction() as transaction:
                transaction.execute("INSERT INTO accounts (id, created_at) VALUES (?, '')", f"p{pairs}")
                transaction.execute(
                    "INSERT INTO aliases (pattern, model_id, created_at) VALUES (?, '', '')", f"p{pairs}"
                )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [backup(database, vault, tmp_path / f"{number}.zip", with_key=False) for number in range(5)]
    finally:
        done.set()
        writer.join()
    counts = [(one.tables["accounts"].rows, one.tables["aliases"].rows) for one in made]
    assert all(accounts == aliases + 1 for accounts, aliases in counts)
    assert counts == sorted(counts)
    database.close()


def test_only_the_owner_reads_it_and_it_is_never_written_over(tmp_path: Path) -> None:
    database, vault = filled(tmp_path / "outcrop.db", tmp_path)
    archive = tmp_path / "to" / "a.zip"
    with pytest.raises(ArchiveError, match="cannot be written: No such file or directory"):
        backup(database, vault, archive, with_key=False)
    archive.parent.mkdir()
    backup(database, vault, archive, with_key=False)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    before = archive.read_bytes()
    with pytest.raises(ArchiveError, match="exists already"):
        backup(database, vault, archive, with_key=False)
    assert archive.read_bytes() == before
    assert [path.name for path in archive.parent.iterdir()] == ["a.zip"]
    database.close()


def test_without_the_key_no_secret_is_in_it(tmp_path: Path) -> None:
    database, vault = filled(tmp_path / "outcrop.db", tmp_path)
    key = Keyring(database, vault).newest_access_key()
    assert key is not None
    for with_key in (False, True):
        archive = tmp_path / f"{with_key}.zip"
        backup(database, vault, archive, with_key=with_key)
        with zipfile.ZipFile(archive) as file:
            assert ("key" in file.namelist()) is with_key
            everything = b"".join(file.read(name) for name in file.namelist() if name != "key")
        assert key[0].encode() in everything
        assert key[1].encode() not in everything
        assert vault.master not in everything
    database.close()


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Database, Path]:
    """A database that has nothing, and its folder."""
    home = tmp_path / "new"
    home.mkdir()
    return Database.open(place(request.param, home), up_to_date=False), home


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Without the key file, which is in `old`."""
    old = tmp_path / "old"
    database, vault = filled(old / "outcrop.db", old)
    backup(database, vault, tmp_path / "a.zip", with_key=False)
    database.close()
    return tmp_path / "a.zip"


def test_what_holds_data_is_replaced_only_when_told(new: tuple[Database, Path], archive: Path, tmp_path: Path) -> None:
    database, home = new
    migrate.migrate(database)
    (home / "key").write_bytes((tmp_path / "old" / "key").read_bytes())
    (home / "key").chmod(0o600)
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('mine', '')")
        transaction.execute("INSERT INTO users (id, account_id, name, created_at) VALUES ('u', 'mine', 'x', '')")
    before = content(database)
    with pytest.raises(ArchiveError, match=r"holds data already \(accounts\), and nothing was changed.*--replace"):
        restore(database, home, archive, replace=False)
    assert content(database) == before
    version = database.version()
    restore(database, home, archive, replace=True)
    assert "mine" not in [row["id"] for row in content(database)["accounts"]]
    assert len(content(database)["users"]) == 2
    assert database.version() != version
    database.close()


def test_another_key_file_is_not_lost(new: tuple[Database, Path], archive: Path, tmp_path: Path) -> None:
    database, home = new
    mine = Vault.open(home)
    with pytest.raises(
        ArchiveError, match="is not the key file that the backup was made with, and the backup holds none"
    ):
        restore(database, home, archive, replace=True)
    source = Database.open(tmp_path / "old" / "outcrop.db")
    backup(source, Vault.open(tmp_path / "old"), tmp_path / "with.zip", with_key=True)
    source.close()
    with pytest.raises(ArchiveError, match="With --replace it is set aside"):
        restore(database, home, tmp_path / "with.zip", replace=False)
    restore(database, home, tmp_path / "with.zip", replace=True)
    (aside,) = home.glob("key.before-*")
    assert aside.read_bytes() == mine.master
    assert (home / "key").read_bytes() == (tmp_path / "old" / "key").read_bytes()
    assert stat.S_IMODE((home / "key").stat().st_mode) == 0o600
    database.close()


def test_a_database_of_a_newer_version_is_left_alone(new: tuple[Database, Path], archive: Path) -> None:
    database, home = new
    migrate.migrate(database)
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO migrations (number, name, applied_at) VALUES (9999, 'future.sql', '')")
    with pytest.raises(DatabaseError, match="newer version"):
        restore(database, home, archive, replace=True)
    assert 9999 in migrate.applied(database)
    database.close()


def test_rows_may_come_before_those_that_they_refer_to(new: tuple[Database, Path], archive: Path) -> None:
    database, home = new

    def turn(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"])
        manifest["tables"] = dict(reversed(manifest["tables"].items()))
        members["manifest.json"] = json.dumps(manifest).encode()

    changed(archive, turn)
    restore(database, home, archive, replace=False)
    assert len(content(database)["users"]) == 2
    database.close()


def test_an_older_backup_is_brought_up_to_date(new: tuple[Database, Path], tmp_path: Path) -> None:
    """As one would be that an older version wrote: fewer tables, fewer columns."""
    database, home = new
    early = Database.open(tmp_path / "early" / "outcrop.db", up_to_date=False)
    with early.transaction() as transaction:
        migrate.make(transaction, 2)
        transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('1', '')")
        transaction.execute("INSERT INTO users (id, account_id, name, created_at) VALUES ('u', '1', 'admin', '')")
    made = backup(early, Vault.open(tmp_path / "early"), tmp_path / "early.zip", with_key=False)
    early.close()
    assert made.schema == 2
    restore(database, home, tmp_path / "early.zip", replace=False)
    assert migrate.applied(database) == set(migrate.scripts())
    # The migrations after it have seen its rows.
    assert [row["principal_id"] for row in content(database)["policy_attachments"]] == ["u"]
    database.close()


def _manifest(**members: Any) -> Callable[[dict[str, bytes]], None]:
    def change(archive: dict[str, bytes]) -> None:
        archive["manifest.json"] = json.dumps({**json.loads(archive["manifest.json"]), **members}).encode()

    return change


def _rows(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    """One more line, counted as a row."""

    def change(members: dict[str, bytes]) -> None:
        tables = json.loads(members["manifest.json"])["tables"]
        tables[name]["rows"] += 1
        _manifest(tables=tables)(members)
        members[f"tables/{name}.jsonl"] += data

    return change


def _without(name: str) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        del members[name]

    return change


def _other_key(members: dict[str, bytes]) -> None:
    _manifest(with_key=True)(members)
    members["key"] = b"k" * 32


DAMAGE: list[tuple[str, Callable[[dict[str, bytes]], None]]] = [
    ("newer version", _manifest(format=3)),
    ("newer version", _manifest(schema=9999)),
    ("no backup, or is damaged", _without("manifest.json")),
    ("no backup, or is damaged", _without("tables/users.jsonl")),
    ("no backup, or is damaged", _manifest(tables=[])),
    ("a table sqlite_master", _manifest(tables={"sqlite_master": {"columns": [], "rows": 0}})),
    ("other columns", _manifest(tables={"tags": {"columns": ["key", "value; --"], "rows": 2}})),
    ("tags has 2 rows instead of 7", _manifest(tables={"tags": {"columns": ["resource_arn", "key", "value"], "rows": 7}})),
    ("no row", _rows("tags", b'{"a": 1}\n')),
    ("no row", _rows("tags", b'["arn"]\n')),
    ("no backup, or is damaged", _rows("tags", b"[")),
    ("neither text, number nor bytes", _rows("tags", b'["arn", "x", {"base64": 7}]\n')),
    ("neither text, number nor bytes", _rows("tags", b'["arn", "x", {"a": "b"}]\n')),
    ("cannot be restored, and nothing was changed", _rows("tags", b'["arn", "k", "twice"]\n')),
    ("cannot be restored, and nothing was changed", _rows("tags", b'["arn", "y", null]\n')),
    ("cannot be restored, and nothing was changed", _rows("users", b'["u", "nobody", "x", "", null]\n')),
    ("its key file is not the one", _other_key),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "damage"), DAMAGE)
def test_a_damaged_backup_changes_nothing(
    new: tuple[Database, Path], archive: Path, sentence: str, damage: Callable[[dict[str, bytes]], None]
) -> None:
    database, home = new
    changed(archive, damage)
    with pytest.raises(ArchiveError) as caught:
        restore(database, home, archive, replace=True)
    assert sentence in str(caught.value)
    assert database.tables() & {*migrate.table_names(), "migrations"} == set()
    assert not (home / "key").exists()
    database.close()


def test_a_flipped_or_missing_byte_changes_nothing(archive: Path, tmp_path: Path) -> None:
    database = Database.open(tmp_path / "new" / "outcrop.db", up_to_date=False)
    whole = archive.read_bytes()
    with zipfile.ZipFile(archive) as file:
        member = file.getinfo("tables/tags.jsonl")
    inside = member.header_offset + 30 + len(member.filename) + 20 + 8
    for damaged in (
        whole[: len(whole) // 2],
        whole[:-1],
        b"",
        b"no zip",
        whole[:inside] + bytes([whole[inside] ^ 4]) + whole[inside + 1 :],
    ):
        archive.write_bytes(damaged)
        with pytest.raises(ArchiveError, match="no backup, or is damaged"):
            restore(database, tmp_path / "new", archive, replace=False)
        assert database.tables() == set()
    archive.unlink()
    with pytest.raises(ArchiveError, match="cannot be read: No such file"):
        restore(database, tmp_path / "new", archive, replace=False)
    database.close()


def test_the_manifest_says_what_is_in_it(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        said = json.loads(file.read("manifest.json"))
        names = set(file.namelist())
    assert set(Manifest.__struct_fields__) == set(said)
    assert said["schema"] == max(migrate.scripts())
    assert said["fingerprint"] == Vault.open(tmp_path / "old").fingerprint
    assert names == {"manifest.json", *(f"tables/{name}.jsonl" for name in migrate.table_names())}
