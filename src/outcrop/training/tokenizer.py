"""Byte-level BPE and the chat template.

The pre-tokenizer is the one that GGUF calls `smollm`: every digit alone, then GPT-2's pattern, under which punctuation
and letters never share a token. That matters here: a name in quotes is made of the same tokens as in running text, which
is what lets a small model copy it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

import jinja2
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

END_OF_TEXT, START_OF_TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CONTROL = (END_OF_TEXT, START_OF_TURN, END_OF_TURN)
# Seen by users and parsers, so never dropped when decoding; still one token each.
USER_DEFINED = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
GGUF_PRE = "smollm"

Message = dict[str, Any]


def train(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(text, special=True, normalized=False) for text in CONTROL]
    special += [AddedToken(text, special=False, normalized=False) for text in USER_DEFINED]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    # The trainer marks all of them special; tags must survive decoding with skip_special_tokens.
    document = json.loads(tokenizer.to_str())
    for token in document["added_tokens"]:
        token["special"] = token["content"] in CONTROL
    return Tokenizer.from_str(json.dumps(document))


def template_text() -> str:
    return resources.files("outcrop.training").joinpath("chat_template.jinja").read_text("utf-8")


class Template:
    """Renders as Hugging Face and llama.cpp do: sandboxed Jinja, blocks trimmed, `tojson` as plain `json.dumps`."""

    def __init__(self, source: str | None = None) -> None:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.Undefined)
        environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
        self._template = environment.from_string(source or template_text())

    def render(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]] = (), *, generate: bool = False
    ) -> str:
        return self._template.render(messages=list(messages), tools=list(tools) or None, add_generation_prompt=generate)


def encode_example(
    tokenizer: Tokenizer, template: Template, messages: Sequence[Message], tools: Sequence[dict[str, Any]] = ()
) -> tuple[list[int], list[bool]]:
    """Token ids, and for each whether the loss counts it: what assistants say, with the end of their turns."""
    end = tokenizer.token_to_id(END_OF_TURN)
    assert end is not None, "the tokenizer was made by `train`"
    ids: list[int] = []
    counted: list[bool] = []
    done = ""
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = template.render(messages[:index], tools, generate=True)
        after = template.render(messages[: index + 1], tools)
        asked = tokenizer.encode(before[len(done) :], add_special_tokens=False).ids
        said = tokenizer.encode(after[len(before) :], add_special_tokens=False).ids
        ids += asked + said
        # The line break after the end of turn is the template's, not the model's.
        spoken = [True] * (said.index(end) + 1)
        counted += [False] * len(asked) + spoken + [False] * (len(said) - len(spoken))
        done = after
    return ids, counted
