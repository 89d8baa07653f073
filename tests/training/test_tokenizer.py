"""The tokenizer gives back every text; the loss counts what assistants say, with the end of their turns, and nothing else."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tokenizers")

from tokenizers import Tokenizer

from outcrop.engines.weights.vocabulary import pre_tokenizer
from outcrop.training.generators import training_example
from outcrop.training.tokenizer import CONTROL, END_OF_TURN, GGUF_PRE, USER_DEFINED, Template, encode_example
from outcrop.training.tokenizer import train as train_tokenizer

CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
TOOL = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}


@given(text=st.text(max_size=80))
def test_every_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


@given(text=st.text(alphabet="0123456789", max_size=30))
def test_every_digit_is_a_token(tokenizer: Tokenizer, text: str) -> None:
    assert len(tokenizer.encode(text).ids) == len(text)


def test_markers_are_single_tokens_and_tags_survive_decoding(tokenizer: Tokenizer) -> None:
    for marker in (*CONTROL, *USER_DEFINED):
        assert tokenizer.encode(marker).ids == [tokenizer.token_to_id(marker)]
    whole = "".join([*CONTROL, *USER_DEFINED, "x"])
    assert tokenizer.decode(tokenizer.encode(whole).ids, skip_special_tokens=True) == "".join([*USER_DEFINED, "x"])


def test_llama_cpp_knows_the_pre_tokenizer(tokenizer: Tokenizer) -> None:
    assert pre_tokenizer(json.loads(tokenizer.to_str())["pre_tokenizer"]) == GGUF_PRE


def test_the_same_texts_make_the_same_tokenizer() -> None:
    texts = [f"a text with the number {i} and the word {'ab' * (i % 7)}" for i in range(300)]
    assert train_tokenizer(texts, 320).to_str() == train_tokenizer(texts, 320).to_str()


CONVERSATIONS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]] = {
    "one answer": (
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
        [],
        ["Hello<|im_end|>"],
    ),
    "two answers": (
        [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "first"},
            {"role": "user", "content": "two"},
            {"role": "assistant", "content": "second"},
        ],
        [],
        ["first<|im_end|>", "second<|im_end|>"],
    ),
    "a call and its result": (
        [
            {"role": "user", "content": "add"},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "1", "content": "secret"},
            {"role": "assistant", "content": "done"},
        ],
        [TOOL],
        ['<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call><|im_end|>', "done<|im_end|>"],
    ),
}


@pytest.mark.parametrize("case", CONVERSATIONS)
def test_the_loss_counts_what_assistants_say(tokenizer: Tokenizer, case: str) -> None:
    messages, tools, said = CONVERSATIONS[case]
    ids, counted = encode_example(tokenizer, Template(), messages, tools)
    runs: list[list[int]] = []
    for place, (token, counts) in enumerate(zip(ids, counted, strict=True)):
        if counts:
            if not place or not counted[place - 1]:
                runs.append([])
            runs[-1].append(token)
    assert [tokenizer.decode(run, skip_special_tokens=False) for run in runs] == said


def test_an_example_s_tokens_are_those_of_the_rendered_conversation(tokenizer: Tokenizer) -> None:
    """What the model reads when it serves is what it was trained on."""
    random, template = Random("rendered"), Template()
    for _ in range(100):
        example = training_example(random)
        ids, counted = encode_example(tokenizer, template, example.messages, example.tools)
        whole = template.render(example.messages, example.tools)
        assert tokenizer.decode(ids, skip_special_tokens=False) == whole
        assert ids == tokenizer.encode(whole, add_special_tokens=False).ids
        turns = sum(message["role"] == "assistant" for message in example.messages)
        end = tokenizer.token_to_id(END_OF_TURN)
        assert sum(t == end for t, c in zip(ids, counted, strict=True) if c) == turns
