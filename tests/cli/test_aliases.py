"""`outcrop aliases`, with a running server and without."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.cli.test_commands import outcrop
from tests.live import serve
from tests.serve.calls import MODEL, call, said, settings

CLAUDE = "/model/us.anthropic.claude-sonnet-5/converse"


def test_set_list_remove(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('aliases = {"a.*" = "outcrop.house-nano-v1:0"}')
    assert outcrop(tmp_path, "aliases", "set", "anthropic.*", "outcrop.house-nano-v1:0").returncode == 0
    rows = json.loads(outcrop(tmp_path, "aliases", "list", "--json").stdout)
    assert [(row["alias"], row["from"]) for row in rows] == [("a.*", "settings"), ("anthropic.*", "run time")]
    assert outcrop(tmp_path, "aliases", "remove", "anthropic.*").returncode == 0
    gone = outcrop(tmp_path, "aliases", "remove", "anthropic.*")
    assert gone.returncode == 1
    assert "was not set at run time" in gone.stderr


def test_what_cannot_be_an_alias_is_a_sentence(tmp_path: Path) -> None:
    unknown = outcrop(tmp_path, "aliases", "set", "x", "nobody.nothing-v1:0")
    assert unknown.returncode == 1
    assert "There are: outcrop.house-nano-v1:0" in unknown.stderr
    bad = outcrop(tmp_path, "aliases", "set", "a b", "outcrop.house-nano-v1:0")
    assert bad.returncode == 1
    assert "is no alias" in bad.stderr


def test_a_model_of_the_servers_command_line_can_be_meant(tmp_path: Path) -> None:
    with serve(tmp_path, "--model", "my.remote-v1:0=http://127.0.0.1:9/v1"):
        assert outcrop(tmp_path, "aliases", "set", "anthropic.*", "my.remote-v1:0").returncode == 0
    gone = outcrop(tmp_path, "aliases", "set", "other.*", "my.remote-v1:0")
    assert "There are: outcrop.house-nano-v1:0" in gone.stderr


def test_a_running_server_obeys(tmp_path: Path) -> None:
    with serve(tmp_path, settings=settings("").replace('script = ""', "")) as server:
        assert call(server, CLAUDE, said("hi")).status == 400
        assert outcrop(tmp_path, "aliases", "set", "anthropic.*", MODEL).returncode == 0
        assert call(server, CLAUDE, said("hi")).status == 200
        assert outcrop(tmp_path, "aliases", "remove", "anthropic.*").returncode == 0
        for _ in range(100):
            if call(server, CLAUDE, said("hi")).status == 400:
                return
            time.sleep(0.05)
        raise AssertionError("the removed alias still answers")
