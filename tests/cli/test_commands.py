"""The command line as a person meets it: in a process of its own, in an empty home."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import clean_environment

HEAVY = ("torch", "granian", "botocore", "aiohttp", "cryptography", "rich", "xllamacpp", "numpy", "orjson")


def outcrop(home: Path, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-m", "outcrop", *arguments],
        env=clean_environment(home), check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    done = outcrop(tmp_path, "--help", options=("-X", "importtime"))
    assert done.returncode == 0
    for name in ("serve", "env", "keys", "aliases", "operations", "pull", "train"):
        assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not imported & set(HEAVY)


@pytest.mark.parametrize("command", ["serve", "env", "keys", "aliases", "operations", "pull", "train"])
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    done = outcrop(tmp_path, command, "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout


def test_operations_lists_all_and_what_is_built(tmp_path: Path) -> None:
    rows = json.loads(outcrop(tmp_path, "operations", "--json").stdout)
    assert len(rows) >= 240
    built = {row["operation"] for row in rows if row["built"]}
    assert {"Converse", "ConverseStream", "CountTokens", "InvokeModel", "ListFoundationModels", "TagResource"} <= built
    assert "CreateGuardrail" not in built
    table = outcrop(tmp_path, "operations").stdout
    assert f"{len(built)} of {len(rows)} operations are built." in table


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--model", "nonsense"], "--model takes LEFT=RIGHT"),
        (["--model", "a.b-v1:0=/no/such/file.gguf"], "/no/such/file.gguf does not exist"),
        (["--alias", "x=nobody.nothing-v1:0"], "names nobody.nothing-v1:0, which is not a model here"),
        (["--settings", "/no/such/settings.toml"], "The settings file /no/such/settings.toml does not exist"),
        (["--port", "99999"], "99999"),
    ],
)
def test_serve_refuses_with_a_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    done = outcrop(tmp_path, "serve", *arguments)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = outcrop(tmp_path, "serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode != 0
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[server", "is not valid TOML"),
        ("[server]\nprot = 1", "unknown field `prot` - at `$.server`"),
        ('[server]\nport = "x"', "Expected `int`, got `str` - at `$.server.port`"),
        ('[[models]]\nid = "a"', "missing required field `engine`"),
        ('[[models]]\nid = "a"\nengine = "magic"', "Invalid enum value 'magic' - at `$.models[0].engine`"),
    ],
)
def test_a_mistake_in_the_settings_names_file_and_key(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "settings.toml").write_text(text)
    done = outcrop(tmp_path, "serve")
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "settings.toml" in done.stderr
    assert "Traceback" not in done.stderr


def test_training_without_torch_says_what_to_install(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('name = "x"\ndescription = "x"\n[train]\ntokens = 8192\n')
    hidden = "import sys; sys.modules['torch'] = None; sys.argv[1:1] = []; from outcrop.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hidden, "train", str(recipe)],
        env=clean_environment(tmp_path), check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert "pip install 'outcrop[train]'" in done.stderr


def test_the_reference_is_what_the_code_says() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "scripts/generate-reference", "--check"], cwd=root, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
