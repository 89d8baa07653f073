"""A corpus of folders made to do harm: each is refused with a sentence, and none touches anything."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engines.weights import builders
from tests.model_import.imports import Imports

pytest.importorskip("gguf")

Files = dict[str, bytes]


class Harm:
    """What a pickle does when it is read."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.canary, "harmed")


def changed(files: Files, name: str, **members: object) -> Files:
    return files | {name: json.dumps({**json.loads(files[name]), **members}).encode()}


def without(files: Files, name: str) -> Files:
    return {other: body for other, body in files.items() if other != name}


def pickles_only(files: Files, canary: Path) -> Files:
    return without(files, "model.safetensors") | {"pytorch_model.bin": pickle.dumps(Harm(canary))}


def code(files: Files, canary: Path) -> Files:
    return files | {"modeling_evil.py": f"open({str(canary)!r}, 'w').write('harmed')".encode()}


def auto_map(files: Files, canary: Path) -> Files:
    return changed(files, "config.json", auto_map={"AutoModelForCausalLM": "evil--modeling.Evil"})


def tokenizer_code(files: Files, canary: Path) -> Files:
    return changed(files, "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Evil", None]})


def header_bomb(files: Files, canary: Path) -> Files:
    return files | {"model.safetensors": struct.pack("<Q", 2**62) + b"{}"}


def header_of_a_billion_shapes(files: Files, canary: Path) -> Files:
    return files | {
        "model.safetensors": builders.raw_safetensors(
            {"x": {"dtype": "F32", "shape": [2**47] * 8, "data_offsets": [0, 4]}}, bytes(4)
        )
    }


def deep_json(files: Files, canary: Path) -> Files:
    return files | {"config.json": b"[" * 100_000}


def index_that_leaves(files: Files, canary: Path) -> Files:
    return files | {"model.safetensors.index.json": json.dumps({"weight_map": {"x": f"../../{canary.name}"}}).encode()}


def a_template_that_runs(files: Files, canary: Path) -> Files:
    """Harmless to import: llama.cpp's templates have no way out. It must at least not run here."""
    evil = "{{ cycler.__init__.__globals__.os.system('touch " + str(canary) + "') }}"
    return changed(files, "tokenizer_config.json", chat_template=evil)


def gguf_of_a_million_tensors(files: Files, canary: Path) -> Files:
    return {"evil.gguf": builders.gguf(counts=(10**9, 10**9))}


def two_models(files: Files, canary: Path) -> Files:
    return files | {"evil.gguf": builders.gguf()}


def nothing(files: Files, canary: Path) -> Files:
    return {"README.md": b"nothing here"}


CORPUS: dict[str, tuple[Callable[[Files, Path], Files], str]] = {
    "pickles only": (pickles_only, "only pickles"),
    "code beside the weights": (code, "its own code"),
    "a configuration that names code": (auto_map, "auto_map"),
    "a tokenizer that names code": (tokenizer_code, "auto_map"),
    "a header of 2^62 bytes": (header_bomb, "safetensors"),
    "a header of absurd shapes": (header_of_a_billion_shapes, "safetensors"),
    "JSON a hundred thousand deep": (deep_json, "JSON"),
    "an index that leaves the folder": (index_that_leaves, "no file of the folder"),
    "a GGUF file of a billion tensors": (gguf_of_a_million_tensors, "GGUF"),
    "two models": (two_models, "several models"),
    "no model": (nothing, "no weights"),
}


@pytest.mark.parametrize("case", CORPUS)
def test_it_is_refused_and_touches_nothing(imports: Imports, tmp_path: Path, case: str) -> None:
    canary = tmp_path / "canary"
    make, sentence = CORPUS[case]
    whole = {file.name: file.read_bytes() for file in builders.folder(tmp_path / "model").iterdir()}
    job = imports.ended(imports.create(imports.put(make(whole, canary))))
    assert job["status"] == "Failed"
    assert sentence in job["failureMessage"]
    assert str(imports.server.home) not in job["failureMessage"]
    assert not canary.exists()
    assert "importedModelArn" not in job


def test_keys_that_leave_the_folder_are_no_files(imports: Imports, tmp_path: Path) -> None:
    whole = {file.name: file.read_bytes() for file in builders.folder(tmp_path / "model").iterdir()}
    climbing = {f"../{name}": b"x" for name in ("key", "outcrop.db")} | {
        "deeper/config.json": b"x",
        ".hidden.json": b"x",
    }
    key = (imports.server.home / "key").read_bytes()
    model = imports.model(whole | climbing)
    assert (imports.server.home / "key").read_bytes() == key
    kept = imports.server.home / "custom-models" / model["modelArn"].rpartition("/")[2]
    assert {file.name for file in kept.iterdir() if not file.name.startswith(".")} == {*whole, "model.gguf"}


def test_a_template_is_only_rendered_where_it_can_do_nothing(imports: Imports, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    whole = {file.name: file.read_bytes() for file in builders.folder(tmp_path / "model").iterdir()}
    model = imports.model(a_template_that_runs(whole, canary))
    with pytest.raises(Exception, match=r".+"):
        imports.runtime.converse(modelId=model["modelArn"], messages=[{"role": "user", "content": [{"text": "x"}]}])
    assert not canary.exists()
