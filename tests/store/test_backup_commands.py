"""`outcrop backup` and `outcrop restore`, as a person uses them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.live import clean_environment, serve
from tests.stores import postgresql_at, settings_of, store_at

SETTINGS = """
house_model = false
[[models]]
id = "test.scripted-v1:0"
engine = "scripted"
"""


def outcrop(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "outcrop", *arguments],
        env=clean_environment(home), check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A data folder whose settings name the other kind of database than the first one's."""
    home = tmp_path / "target"
    home.mkdir()
    other = settings_of(postgresql_at(home)) if isinstance(store_at(home), Path) else "[store]\n"
    (home / "settings.toml").write_text(other)
    return home


def test_a_server_moves_from_one_database_to_the_other(tmp_path: Path, target: Path) -> None:
    """What a client made on the one is there on the other, and the client's keys work there."""
    file = tmp_path / "a.zip"
    with serve(tmp_path / "source", settings=SETTINGS) as server:
        source = server.environment
        profile = _bedrock(source).create_inference_profile(
            inferenceProfileName="mine",
            modelSource={"copyFrom": "arn:aws:bedrock:us-east-1::foundation-model/test.scripted-v1:0"},
            tags=[{"key": "team", "value": "blue"}],
        )["inferenceProfileArn"]
        done = outcrop(server.home, "backup", "--with-key", str(file))
        assert done.returncode == 0, done.stderr
        assert "The key file is in it" in done.stdout
        busy = outcrop(server.home, "restore", str(file), "--replace")
        assert busy.returncode == 1
        assert "A server runs on" in busy.stderr
    done = outcrop(target, "restore", str(file))
    assert done.returncode == 0, done.stderr
    assert json.loads(outcrop(target, "keys", "list", "--json").stdout)[0]["Id"] == source["AWS_ACCESS_KEY_ID"]
    with serve(target, settings=SETTINGS + (target / "settings.toml").read_text()) as server:
        environment = {**source, "AWS_ENDPOINT_URL_BEDROCK": server.url}
        client = _bedrock(environment)
        assert client.get_inference_profile(inferenceProfileIdentifier=profile)["inferenceProfileName"] == "mine"
        assert client.list_tags_for_resource(resourceARN=profile)["tags"] == [{"key": "team", "value": "blue"}]


def test_without_the_key_file_it_is_said_twice(tmp_path: Path, target: Path) -> None:
    source, file = tmp_path / "source", tmp_path / "a.zip"
    assert outcrop(source, "env").returncode == 0
    done = outcrop(source, "backup", str(file))
    assert f"The key file is not in it. Keep a copy of {source / 'key'} elsewhere" in done.stdout
    assert "Settings, certificates and models are files" in done.stdout
    done = outcrop(target, "restore", str(file))
    assert done.returncode == 0
    assert f"Put the one that it was made with at {target / 'key'} (mode 600)" in done.stdout
    (target / "key").write_bytes((source / "key").read_bytes())
    (target / "key").chmod(0o600)
    assert outcrop(target, "env").stdout == outcrop(source, "env").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["restore", "/no/such/file"], "/no/such/file cannot be read: No such file or directory."),
        (["restore", "pyproject.toml"], "pyproject.toml is no backup, or is damaged"),
        (["backup", "/no/such/folder/a.zip"], "/no/such/folder/a.zip cannot be written: No such file or directory."),
        (["backup", "pyproject.toml"], "pyproject.toml exists already"),
    ],
)
def test_mistakes_get_a_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    assert outcrop(tmp_path / "home", "env").returncode == 0
    done = outcrop(tmp_path / "home", *arguments)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_without_its_key_file_nothing_is_backed_up(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "a.zip"
    done = outcrop(home, "backup", str(file))
    assert f"There is no key file {home / 'key'}" in done.stderr
    assert not home.exists()
    assert outcrop(home, "env").returncode == 0
    (home / "key").write_bytes(b"k" * 32)
    done = outcrop(home, "backup", str(file))
    assert done.returncode == 1
    assert "the key file is not the one it was encrypted with" in done.stderr
    assert not file.exists()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ('url = "mysql://x"', "a database's url begins with postgresql://"),
        ('url = "postgresql://127.0.0.1:1/x"', "The database postgresql://127.0.0.1:1/x cannot be reached: "),
        ('file = "x"', "unknown field `file`"),
    ],
)
@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["env"], ["keys", "list"], ["aliases", "list"]])
def test_settings_that_cannot_be(tmp_path: Path, settings: str, sentence: str, command: list[str]) -> None:
    (tmp_path / "settings.toml").write_text(f"[store]\n{settings}\n")
    done = outcrop(tmp_path, *command)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("postgresql://localhost/x", True),
        ("postgresql://me:pw@127.0.0.1:5432/x", True),
        ("postgresql://[::1]:5432/x", True),
        ("postgresql:///x?host=/run/postgresql", True),
        ("postgresql://%2Frun%2Fpostgresql/x", True),
        ("postgresql:///x?host=::1", True),
        ("postgresql:///x", True),
        ("postgresql://db.example/x", False),
        ("postgresql://127.0.0.1,db.example:5433/x", False),
        ("postgresql:///x?host=10.0.0.1", False),
        ("postgresql://localhost/x?hostaddr=10.0.0.1", False),
    ],
)
def test_an_air_gap_holds_for_the_database_too(
    tmp_path: Path, url: str, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from outcrop.settings import Settings, SettingsError, StoreSettings, database_of

    monkeypatch.delenv("PGHOST", raising=False)
    settings = Settings(network="none", store=StoreSettings(url))
    if here:
        assert database_of(settings, tmp_path) == url
    else:
        with pytest.raises(SettingsError, match=r"the database of .* is not on this machine"):
            database_of(settings, tmp_path)


def _bedrock(environment: Mapping[str, str]) -> Any:
    return boto3.client(
        "bedrock",
        region_name="us-east-1",
        endpoint_url=environment["AWS_ENDPOINT_URL_BEDROCK"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
