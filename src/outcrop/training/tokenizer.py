"""Byte-level BPE and the chat template.

The pre-tokenizer is the one that GGUF calls `smollm`: every digit alone, then GPT-2's pattern, under which punctuation
and letters never share a token. That matters here: a name in quotes is made of the same tokens as in running text, which
is what lets a small model copy it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
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
    """Renders as Hugging Face and llama.cpp do: sandboxed Jinja, blocks trimmed, `tojson` as plain `json.dumps`.

    `special` are the texts that templates know by name: `bos_token`, `eos_token`.
    """

    def __init__(self, source: str | None = None, special: Mapping[str, str] | None = None) -> None:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.Undefined)
        environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
        environment.globals["raise_exception"] = _refuse
        # Always the same day, so that the same record is the same tokens.
        environment.globals["strftime_now"] = lambda form: datetime(2026, 1, 1).strftime(form)
        self._template = environment.from_string(source or template_text())
        self._special = dict(special or {})

    def render(
        self, messages: Sequence[Message], tools: Sequence[dict[str, Any]] = (), *, generate: bool = False
    ) -> str:
        return self._template.render(
            self._special, messages=list(messages), tools=list(tools) or None, add_generation_prompt=generate
        )


def _refuse(text: str) -> None:
    raise TemplateRefusal(text)


class TemplateRefusal(Exception):
    """The template will not render such a conversation, and says why."""


class Unsteady(Exception):
    """A turn is rendered otherwise once another follows it, so a conversation is not one row."""


def encode_example(
    tokenizer: Tokenizer,
    template: Template,
    messages: Sequence[Message],
    tools: Sequence[dict[str, Any]] = (),
    *,
    ends: Container[int] | None = None,
    last_only: bool = False,
) -> tuple[list[int], list[bool]]:
    """Token ids, and for each whether the loss counts it: what assistants say, with the end of their turns.

    `ends` are the ids that end a turn (those of our own tokenizers if left out). Unsteady if the template is;
    with `last_only`, only the last turn counts, and only that one must be steady.
    """
    closing = {tokenizer.token_to_id(END_OF_TURN)} if ends is None else ends
    ids: list[int] = []
    counted: list[bool] = []
    done = ""
    spoken = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    for index in spoken[-1:] if last_only else spoken:
        before = template.render(messages[:index], tools, generate=True)
        after = template.render(messages[: index + 1], tools)
        if not before.startswith(done) or not after.startswith(before):
            raise Unsteady
        asked = tokenizer.encode(before[len(done) :], add_special_tokens=False).ids
        said = tokenizer.encode(after[len(before) :], add_special_tokens=False).ids
        ids += asked + said
        # The line break after the end of turn is the template's, not the model's.
        counts = next((place + 1 for place, token in enumerate(said) if token in closing), len(said))
        counted += [False] * len(asked) + [True] * counts + [False] * (len(said) - counts)
        done = after
    return ids, counted
