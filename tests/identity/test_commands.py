"""`outcrop keys` and `outcrop env` as a person or a shell uses them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from outcrop.cli import main
from outcrop.identity.credentials import Credentials
from outcrop.store.database import Database
from outcrop.store.keyfile import Vault
from tests.stores import settings_of, store_at


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store = store_at(tmp_path / "home")
    for name in list(os.environ):
        if name.startswith(("AWS_", "OUTCROP_")) and name != "OUTCROP_TEST_STORE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("OUTCROP_HOME", str(tmp_path / "home"))
    if given := settings_of(store):
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "settings.toml").write_text(given)
    return tmp_path / "home"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def exported(*arguments: str) -> dict[str, str]:
    """The variables that a POSIX shell has after evaluating the lines."""
    printed = run("env", *arguments)
    assert printed.exit_code == 0, printed.output
    shell = subprocess.run(["sh", "-c", f"{printed.stdout}\nenv -0"], capture_output=True, text=True, check=True)
    pairs = (entry.partition("=") for entry in shell.stdout.split("\0"))
    return {name: value for name, _, value in pairs if name.startswith("AWS_")}


def test_env_makes_the_account_and_prints_the_same_each_time(home: Path) -> None:
    first = exported()
    assert exported() == first
    assert first["AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME"] == "http://127.0.0.1:8484"
    database = Database.open(store_at(home))
    key = Credentials(database, Vault.open(home)).access_key(first["AWS_ACCESS_KEY_ID"])
    assert key is not None
    assert key.secret == first["AWS_SECRET_ACCESS_KEY"]
    database.close()


def test_env_prints_only_lines_for_the_shell() -> None:
    lines = run("env").stdout.splitlines()
    assert len(lines) == 10
    assert all(line.startswith("export AWS_") for line in lines)


def test_env_takes_away_what_would_disturb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "old")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "old")
    assert not {"AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"} & set(exported())


def test_env_follows_the_options(home: Path) -> None:
    variables = exported("--tls", "--host", "localhost", "--port", "9443")
    assert variables["AWS_ENDPOINT_URL_BEDROCK"] == "https://localhost:9443"
    assert variables["AWS_CA_BUNDLE"] == str(home / "tls" / "ca.pem")
    assert Path(variables["AWS_CA_BUNDLE"]).exists()
    assert exported("--host", "::1")["AWS_ENDPOINT_URL_BEDROCK"] == "http://[::1]:8484"


def test_env_follows_the_settings(home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "settings.toml").write_text('region = "eu-west-3"\n[server]\nport = 7000\n' + settings_of(store_at(home)))
    variables = exported()
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == "eu-west-3"
    assert variables["AWS_ENDPOINT_URL_BEDROCK"] == "http://127.0.0.1:7000"


def announce(home: Path, pid: int) -> None:
    home.mkdir(exist_ok=True)
    announced = {"url": "https://127.0.0.1:4242", "ca": "/some where/ca.pem", "pid": pid}
    (home / "server.json").write_text(json.dumps(announced))


def test_env_finds_the_running_server(home: Path) -> None:
    announce(home, os.getpid())
    variables = exported()
    assert variables["AWS_ENDPOINT_URL_BEDROCK"] == "https://127.0.0.1:4242"
    assert variables["AWS_CA_BUNDLE"] == "/some where/ca.pem"


def test_env_forgets_a_server_that_is_gone(home: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    announce(home, gone.pid)
    assert exported()["AWS_ENDPOINT_URL_BEDROCK"] == "http://127.0.0.1:8484"


def test_an_access_key_is_made_listed_and_revoked() -> None:
    made = json.loads(run("keys", "create", "--user", "ann", "--json").stdout)
    assert made["UserName"] == "ann"
    assert len(made["SecretAccessKey"]) == 40
    listed = run("keys", "list").stdout
    assert made["AccessKeyId"] in listed
    assert made["SecretAccessKey"] not in listed
    assert run("keys", "revoke", made["AccessKeyId"]).exit_code == 0
    (entry,) = [key for key in json.loads(run("keys", "list", "--json").stdout) if key["Id"] == made["AccessKeyId"]]
    assert entry["Status"] == "Revoked"


def test_an_api_key_is_made_and_listed() -> None:
    made = json.loads(run("keys", "create", "--api-key", "--expires-days", "30", "--json").stdout)
    assert made["ServiceApiKeyValue"].startswith("ABSK")
    assert made["ExpirationDate"] > made["CreateDate"]
    listed = run("keys", "list").stdout
    assert made["ServiceSpecificCredentialId"] in listed
    assert f"expires {made['ExpirationDate']}" in listed
    assert made["ServiceApiKeyValue"] not in listed
    assert "ExpirationDate: never" in run("keys", "create", "--api-key").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["keys", "revoke", "AKIANOBODY"], "There is no active key AKIANOBODY."),
        (["keys", "create", "--user", "a b"], "A user name has"),
        (["keys", "create", "--expires-days", "3"], "access keys do not expire"),
        (["keys", "create", "--api-key", "--expires-days", "0"], "between 1 and 36600 days"),
    ],
)
def test_mistakes_get_a_sentence(arguments: list[str], sentence: str) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert sentence in result.stderr
    assert result.stdout == ""


def test_a_key_file_open_to_others_gets_a_sentence(home: Path) -> None:
    assert run("env").exit_code == 0
    (home / "key").chmod(0o644)
    for command in (["env"], ["keys", "list"]):
        result = run(*command)
        assert result.exit_code == 1
        assert f"chmod 600 {home / 'key'}" in result.stderr
    assert stat.S_IMODE((home / "key").stat().st_mode) == 0o644
