"""`outcrop pull`, against a hub that breaks connections, redirects, wants tokens, and lies about names, sizes and checksums."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from outcrop.cli.pull import pull
from outcrop.engines.weights import WeightsError
from outcrop.engines.weights.pull import Hub, HubFile, select
from tests.engines.weights import builders
from tests.engines.weights.hub import MODEL, FakeHub

GGUF = builders.gguf(data_bytes=300_000)
FOLDER = {
    "config.json": b'{"architectures": []}',
    "tokenizer.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "model.safetensors": bytes(range(256)) * 1000,
    "pytorch_model.bin": b"pickled",
    "modeling_small.py": b"print('never')",
    "optimizer.pt": b"pickled",
    "training_args.json": b"{}",
    "onnx/model.onnx": b"other",
    "README.md": b"# small",
}


def run(hub: FakeHub, folder: Path, *arguments: str, token: str = "") -> Result:
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": token, "OUTCROP_HOME": str(folder), "NO_PROXY": "*"}
    return CliRunner().invoke(pull, [MODEL, *arguments], env=environment)


def test_a_folder_comes_without_pickles_and_code(tmp_path: Path) -> None:
    with FakeHub(FOLDER) as hub:
        result = run(hub, tmp_path)
    assert result.exit_code == 0, result.output
    target = tmp_path / "models" / MODEL
    assert {path.name for path in target.iterdir()} == {
        "config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors",
    }  # fmt: skip
    assert all((target / path.name).read_bytes() == FOLDER[path.name] for path in target.iterdir())
    assert f"outcrop serve --model org.small-v1:0={target}" in result.output


def test_one_gguf_file(tmp_path: Path) -> None:
    with FakeHub({"a-q4.gguf": b"", "a-q8.gguf": GGUF, "README.md": b""}) as hub:
        unclear = run(hub, tmp_path)
        result = run(hub, tmp_path, "--file", "a-q8.gguf", "--to", str(tmp_path / "here"))
    assert unclear.exit_code == 1
    assert "name one with --file: a-q4.gguf, a-q8.gguf." in unclear.output
    assert result.exit_code == 0, result.output
    assert (tmp_path / "here" / "a-q8.gguf").read_bytes() == GGUF
    assert f"={tmp_path / 'here' / 'a-q8.gguf'}" in result.output


def test_a_model_in_several_files_comes_whole(tmp_path: Path) -> None:
    parts = {f"a-0000{i}-of-00002.gguf": GGUF for i in (2, 1)}
    with FakeHub(parts) as hub:
        result = run(hub, tmp_path, "--to", str(tmp_path / "here"))
        named = run(hub, tmp_path, "--to", str(tmp_path / "named"), "--file", "a-00001-of-00002.gguf")
    for folder, said in (("here", result), ("named", named)):
        assert {path.name for path in (tmp_path / folder).iterdir()} == set(parts)
        assert f"={tmp_path / folder / 'a-00001-of-00002.gguf'}" in said.output


def test_goes_on_where_the_connection_broke(tmp_path: Path) -> None:
    with FakeHub({"a.gguf": GGUF}, breaks={"a.gguf": 2}) as hub:
        result = run(hub, tmp_path, "--to", str(tmp_path))
        ranges = [headers.get("range") for headers in hub.asked("a.gguf")]
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.gguf").read_bytes() == GGUF
    half = len(GGUF) // 2
    assert ranges == [None, f"bytes={half}-", f"bytes={half + (len(GGUF) - half) // 2}-"]


def test_goes_on_in_a_later_call(tmp_path: Path) -> None:
    (tmp_path / "a.gguf.partial").write_bytes(GGUF[:1000])
    with FakeHub({"a.gguf": GGUF}) as hub:
        assert run(hub, tmp_path, "--to", str(tmp_path)).exit_code == 0
        assert hub.asked("a.gguf")[0]["range"] == "bytes=1000-"
    assert (tmp_path / "a.gguf").read_bytes() == GGUF
    assert not (tmp_path / "a.gguf.partial").exists()


def test_starts_anew_where_the_hub_knows_no_ranges(tmp_path: Path) -> None:
    (tmp_path / "a.gguf.partial").write_bytes(GGUF[:1000])
    with FakeHub({"a.gguf": GGUF}, ignores_ranges=True) as hub:
        assert run(hub, tmp_path, "--to", str(tmp_path)).exit_code == 0
    assert (tmp_path / "a.gguf").read_bytes() == GGUF


def test_gives_up_a_connection_that_always_breaks_and_keeps_what_came(tmp_path: Path) -> None:
    with FakeHub({"a.gguf": GGUF}, breaks={"a.gguf": 99}) as hub:
        result = run(hub, tmp_path, "--to", str(tmp_path))
    assert result.exit_code == 1
    assert "Run the same command again." in result.output
    kept = (tmp_path / "a.gguf.partial").read_bytes()
    assert len(GGUF) > len(kept) > len(GGUF) // 2
    assert GGUF.startswith(kept)


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    with FakeHub({"a.gguf": GGUF}) as hub:
        assert run(hub, tmp_path, "--to", str(tmp_path)).exit_code == 0
        assert run(hub, tmp_path, "--to", str(tmp_path)).exit_code == 0
        assert len(hub.asked("a.gguf")) == 1


def test_a_wrong_checksum_is_refused_and_removed(tmp_path: Path) -> None:
    with FakeHub({"a.gguf": GGUF}, checksums={"a.gguf": "0" * 64}) as hub:
        result = run(hub, tmp_path, "--to", str(tmp_path))
    assert result.exit_code == 1
    assert "does not have the checksum" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_partial_of_something_else_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "a.gguf.partial").write_bytes(b"x" * 1000)
    with FakeHub({"a.gguf": GGUF}) as hub:
        assert "checksum" in run(hub, tmp_path, "--to", str(tmp_path)).output
        assert run(hub, tmp_path, "--to", str(tmp_path)).exit_code == 0
    assert (tmp_path / "a.gguf").read_bytes() == GGUF


def test_more_than_was_announced_is_not_written(tmp_path: Path) -> None:
    with FakeHub({"a.gguf": GGUF}, sizes={"a.gguf": 1000}) as hub:
        result = run(hub, tmp_path, "--to", str(tmp_path))
    assert result.exit_code == 1
    assert "longer than the 1000 bytes" in result.output
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000


def test_the_token_goes_to_the_hub_and_not_to_where_it_redirects(tmp_path: Path) -> None:
    with FakeHub({"a.gguf": GGUF}) as storage, FakeHub({"a.gguf": GGUF}, token="hf_secret") as hub:
        hub.elsewhere = storage.endpoint
        refused = run(hub, tmp_path, "--to", str(tmp_path))
        result = run(hub, tmp_path, "--to", str(tmp_path), token="hf_secret")
        there, here = storage.asked("a.gguf"), hub.asked("a.gguf")
    assert refused.exit_code == 1
    assert "set HF_TOKEN" in refused.output
    assert result.exit_code == 0, result.output
    assert [headers.get("authorization") for headers in here] == ["Bearer hf_secret"]
    assert [headers.get("authorization") for headers in there] == [None]
    assert (tmp_path / "a.gguf").read_bytes() == GGUF


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"pytorch_model.bin": b"x", "config.json": b"{}"}, "Pickled weights are never fetched"),
        ({"model.pt": b"x"}, "Pickled weights are never fetched"),
        ({}, "neither safetensors nor GGUF"),
    ],
)
def test_pickles_only(tmp_path: Path, files: dict[str, bytes], sentence: str) -> None:
    with FakeHub(files) as hub:
        result = run(hub, tmp_path)
    assert result.exit_code == 1
    assert sentence in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil.gguf", "a/../../evil.gguf", "/tmp/evil.gguf", "..\\evil.gguf", "a\0.gguf"])
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    with FakeHub({name: GGUF}) as hub:
        for result in (run(hub, tmp_path), run(hub, tmp_path, "--file", name)):
            assert result.exit_code == 1
            assert "would leave its folder" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["pytorch_model.bin", "modeling_small.py", "config.json", "other.gguf"])
def test_only_weights_can_be_chosen(tmp_path: Path, name: str) -> None:
    with FakeHub(FOLDER) as hub:
        result = run(hub, tmp_path, "--file", name)
    assert result.exit_code == 1
    assert "has no weights" in result.output


@pytest.mark.parametrize("model", ["small", "org/small/more", "../small", "org/..", "https://hub/org/small", "org/"])
def test_names_of_models(model: str) -> None:
    with pytest.raises(WeightsError, match="give ORG/NAME"):
        Hub(model, "main")


@pytest.mark.parametrize(
    "listing",
    [b"<html>", b"[]", b"{}", b'{"siblings": 3}', b'{"siblings": [3]}', b'{"siblings": [{"size": 1}]}',
     b'{"siblings": [{"rfilename": "a.gguf", "size": "many"}]}', b'{"siblings": [{"rfilename": "a", "lfs": [1]}]}'],
)  # fmt: skip
def test_a_hub_that_talks_nonsense(tmp_path: Path, listing: bytes) -> None:
    with FakeHub({}, listing=listing) as hub:
        result = run(hub, tmp_path)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert MODEL in result.output


def test_no_hub_at_all(tmp_path: Path) -> None:
    with FakeHub({}) as hub:
        gone = hub.endpoint
    environment = {"HF_ENDPOINT": gone, "OUTCROP_HOME": str(tmp_path), "NO_PROXY": "*"}
    result = CliRunner().invoke(pull, [MODEL], env=environment)
    assert result.exit_code == 1
    assert f"{gone} cannot be asked for {MODEL}" in result.output


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with FakeHub({}) as hub:
        result = run(hub, tmp_path, "--revision", "v2/../main")
        assert result.exit_code == 1
        assert "is not on" in result.output
        assert orjson.dumps(hub.seen[0][0]).endswith(b'revision/v2/../main"')


def test_shards_and_their_index_are_chosen() -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"]
    files = [HubFile(name, 1, None) for name in [*names, "original/consolidated.safetensors", "rng_state.json"]]
    assert [file.name for file in select(files, None, MODEL)] == names
