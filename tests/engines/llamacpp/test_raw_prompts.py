"""Raw prompts of models whose tokenizer puts a token in front of every text."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from outcrop.engines.engine import CompletionRequest, Engine, Finish, Sampling, TextDelta
from outcrop.engines.pool import Engines
from outcrop.models.specs import house_path
from outcrop.settings import EngineSettings, ModelSpec

START = "<|im_start|>"


def _beginning(folder: Path) -> Path:
    """The house model, as one that begins every text with <|im_start|>."""
    gguf = pytest.importorskip("gguf")
    given = gguf.GGUFReader(house_path())
    path = folder / "beginning.gguf"
    writer = gguf.GGUFWriter(path, given.fields["general.architecture"].contents())
    left_out = ("general.architecture", "tokenizer.ggml.add_bos_token", "tokenizer.ggml.bos_token_id")
    for name, entry in given.fields.items():
        if not name.startswith("GGUF.") and name not in left_out:
            kind, *inner = entry.types
            writer.add_key_value(name, entry.contents(), kind, sub_type=inner[-1] if inner else None)
    writer.add_bos_token_id(given.fields["tokenizer.ggml.tokens"].contents().index(START))
    writer.add_add_bos_token(True)
    for tensor in given.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


async def _answer(engine: Engine, prompt: str) -> tuple[str, int]:
    """The text, and the tokens of the prompt."""
    deltas = [d async for d in engine.complete(CompletionRequest(prompt, sampling=Sampling(12, temperature=0)))]
    finish = deltas[-1]
    assert isinstance(finish, Finish)
    return "".join(d.text for d in deltas if isinstance(d, TextDelta)), finish.usage.input_tokens


def test_the_first_token_is_there_once(tmp_path: Path) -> None:
    rest = "user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\n"

    async def run() -> None:
        spec = ModelSpec(id="e", engine="llamacpp", path=str(_beginning(tmp_path)), threads=1)
        engines = Engines([spec], EngineSettings(), home=tmp_path)
        engine = engines.get("e")
        try:
            written, added = await _answer(engine, START + rest), await _answer(engine, rest)
            assert written == added
            counted = [await engine.count_tokens(CompletionRequest(prompt)) for prompt in (START + rest, rest)]
            assert counted == [written[1]] * 2
        finally:
            await engines.close()

    asyncio.run(run())
