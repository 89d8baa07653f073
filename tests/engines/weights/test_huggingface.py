"""Hugging Face folders: a sound one is read; a hostile or useless one is refused with a sentence."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outcrop.engines.weights import WeightsError, safetensors, servable
from outcrop.engines.weights.huggingface import check
from tests.engines.weights import builders
from tests.engines.weights.builders import raw_safetensors


def test_a_sound_folder(tmp_path: Path) -> None:
    found = check(builders.folder(tmp_path / "model"))
    assert found.architecture.name == "llama"
    assert found.chat_template == "{{ messages }}"
    assert set(found.tensors) == set(builders.weight_shapes())


def test_the_template_file_goes_before_the_configuration(tmp_path: Path) -> None:
    folder = builders.folder(tmp_path / "model")
    (folder / "chat_template.jinja").write_text("the file's")
    assert check(folder).chat_template == "the file's"


def test_named_templates(tmp_path: Path) -> None:
    folder = builders.folder(tmp_path / "model")
    named = [{"name": "rag", "template": "no"}, {"name": "default", "template": "yes"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert check(folder).chat_template == "yes"


def test_the_hub_s_own_cache_of_links_is_read(tmp_path: Path) -> None:
    whole = builders.folder(tmp_path / "whole")
    snapshot, blobs = tmp_path / "cache" / "snapshots" / "abc", tmp_path / "cache" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for file in whole.iterdir():
        file.rename(blobs / file.name)
        (snapshot / file.name).symlink_to(Path("../../blobs") / file.name)
    assert check(snapshot).architecture.name == "llama"


def merged(name: str, **values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / name
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return change


def overwritten(name: str, data: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return change


def removed(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def pickles_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def link_away(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    (folder / "model.safetensors").symlink_to(folder.parent / "elsewhere.safetensors")


def link_to_foreign_blobs(folder: Path) -> None:
    (folder.parent / "x" / "y" / "blobs").mkdir(parents=True)
    (folder / "model.safetensors").rename(folder.parent / "x" / "y" / "blobs" / "weights")
    (folder / "model.safetensors").symlink_to(folder.parent / "x" / "y" / "blobs" / "weights")


def dangling_link(folder: Path) -> None:
    (folder / "extra.json").symlink_to(folder / "nowhere.json")


def index(*files: object) -> Callable[[Path], None]:
    names = {f"w{i}": file for i, file in enumerate(files)}
    return overwritten("model.safetensors.index.json", json.dumps({"weight_map": names}).encode())


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickles only": (pickles_only, "pickles"),
    "no weights": (removed("model.safetensors"), "no weights"),
    "no configuration": (removed("config.json"), "no config.json"),
    "no tokenizer": (removed("tokenizer.json"), "no tokenizer.json"),
    "remote code": (merged("config.json", auto_map={"AutoModel": "modeling_x.X"}), "own code"),
    "remote tokenizer code": (merged("tokenizer_config.json", auto_map={"AutoTokenizer": ["t.T", None]}), "own tok"),
    "a module": (overwritten("modeling_x.py", b"print('hello')"), "never runs"),
    "a link away": (link_away, "leads out"),
    "a link into some folder called blobs": (link_to_foreign_blobs, "leads out"),
    "a link to nowhere": (dangling_link, "leads nowhere"),
    "an unknown architecture": (merged("config.json", architectures=["MambaForCausalLM"]), "Qwen3ForCausalLM"),
    "no architecture": (merged("config.json", architectures=None), "cannot be converted"),
    "an architecture that is an object": (merged("config.json", architectures=[{}]), "cannot be converted"),
    "architectures that are an object": (merged("config.json", architectures={"a": 1}), "cannot be converted"),
    "an index that leaves": (index("../../etc/passwd.safetensors"), "no file of the folder"),
    "an absolute index": (index("/etc/passwd.safetensors"), "no file of the folder"),
    "an index of pickles": (index("pytorch_model.bin"), "no file of the folder"),
    "an index of objects": (index({"a": 1}), "no file of the folder"),
    "an index of what is not there": (index("other.safetensors"), "not there"),
    "an index that is a list": (overwritten("model.safetensors.index.json", b"[]"), "not a JSON object"),
    "an index without a map": (overwritten("model.safetensors.index.json", b"{}"), "no weight_map"),
    "broken JSON": (overwritten("config.json", b"{"), "not valid JSON"),
    "JSON a million deep": (overwritten("config.json", b"[" * 1_000_000), "not valid JSON"),
    "a template that is not UTF-8": (overwritten("chat_template.jinja", b"\xff\xfe"), "not UTF-8"),
    "weights that are nothing": (overwritten("model.safetensors", b""), "header"),
    "a header of 2^64 bytes": (overwritten("model.safetensors", b"\xff" * 8 + b"{}"), "absurd"),
    "a header longer than the file": (overwritten("model.safetensors", struct.pack("<Q", 99) + b"{}"), "longer"),
    "a header that is no JSON": (overwritten("model.safetensors", struct.pack("<Q", 2) + b"{]"), "not JSON"),
    "a header that is a list": (overwritten("model.safetensors", raw_safetensors([])), "not an object"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_sentence(tmp_path: Path, case: str) -> None:
    change, sentence = REFUSED[case]
    folder = builders.folder(tmp_path / "model")
    change(folder)
    with pytest.raises(WeightsError, match=sentence) as refusal:
        check(folder)
    assert str(refusal.value).endswith(".")


DAMAGED: dict[str, object] = {
    "beyond the end": {"w": ENTRY | {"data_offsets": [8, 16]}},
    "far beyond": {"w": ENTRY | {"shape": [2**40], "data_offsets": [0, 2**42]}},
    "backwards": {"w": ENTRY | {"data_offsets": [8, 0]}},
    "negative": {"w": ENTRY | {"data_offsets": [-8, 0]}},
    "fractions": {"w": ENTRY | {"data_offsets": [0.0, 8.0]}},
    "overlapping": {"v": ENTRY, "w": ENTRY},
    "another size than the shape": {"w": ENTRY | {"shape": [3]}},
    "an unknown type": {"w": ENTRY | {"dtype": "F4"}},
    "a type that is a list": {"w": ENTRY | {"dtype": []}},
    "a shape that is a text": {"w": ENTRY | {"shape": "22"}},
    "a shape of nothing": {"w": ENTRY | {"shape": None}},
    "a million dimensions": {"w": ENTRY | {"shape": [2**47] * 1_000_000}},
    "one offset": {"w": ENTRY | {"data_offsets": [0]}},
    "no description": {"w": {}},
    "a description that is a list": {"w": []},
    "a number of 2^64": {"w": ENTRY | {"data_offsets": [0, 2**64]}},
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_safetensors_are_refused(tmp_path: Path, case: str) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(raw_safetensors(DAMAGED[case], bytes(8)))
    with pytest.raises(WeightsError, match="not a sound safetensors file"):
        safetensors.tensors(file)


def test_an_empty_tensor_may_lie_where_another_begins(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    file.write_bytes(raw_safetensors({"w": ENTRY, "empty": empty}, bytes(8)))
    assert set(safetensors.tensors(file)) == {"w", "empty"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.sampled_from(["F32", "w", ""]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["w", "dtype", "shape", "data_offsets", "__metadata__"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=JSON | st.fixed_dictionaries({"w": st.fixed_dictionaries(dict.fromkeys(ENTRY, JSON))}))
def test_any_header_is_refused_or_harmless(tmp_path: Path, header: object) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(raw_safetensors(header, bytes(8)))
    try:
        found = safetensors.tensors(file)
    except WeightsError:
        return
    assert all(8 <= tensor.start <= tensor.end <= file.stat().st_size for tensor in found.values())


@pytest.mark.parametrize("name", ["missing", "notes.txt", "empty"])
def test_what_is_neither_is_not_servable(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("nothing to serve")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError):
        servable(tmp_path / name, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_gguf_file_is_served_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(builders.gguf())
    assert servable(file, tmp_path / "cache") == file


def test_a_folder_without_the_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(WeightsError, match=r"pip install 'outcrop\[train\]'"):
        servable(builders.folder(tmp_path / "model"), tmp_path / "cache")
