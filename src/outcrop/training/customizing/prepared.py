"""Records as rows of tokens, written to disk once: what training reads, and where bad data is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jinja2

from outcrop.training import parallel
from outcrop.training.customizing import records
from outcrop.training.customizing.base import Base
from outcrop.training.customizing.records import Conversation, InvalidData, Pair, Problems, Prompt, Refused, Text
from outcrop.training.rows import Rows, RowWriter
from outcrop.training.tokenizer import Message, TemplateRefusal, Unsteady, encode_example

Encoded = tuple[list[int], list[bool]]
Record = Conversation | Text | Pair | Prompt
Parse = Callable[[Mapping[str, Any]], Record]
PARSERS: Mapping[str, Parse] = {
    "fine-tuning": records.fine_tuning,
    "continued-pre-training": records.continued_pre_training,
    "distillation": records.fine_tuning,
    "preference": records.preference,
}


class Encoder:
    """Rows of a record: of a pair two, the preferred answer's first; of a prompt its own, in which nothing counts.

    Refused if it cannot be one or has more than `context` tokens; long texts are cut instead.
    """

    def __init__(self, base: Base, context: int) -> None:
        self._base = base
        self._context = context
        self._template = base.template()

    def rows(self, record: Record) -> Iterator[Encoded]:
        if isinstance(record, Text):
            yield from self._cut(record.text)
        elif isinstance(record, Pair):
            pair = [self._answer([*record.messages, answer]) for answer in (record.preferred, record.other)]
            yield from map(self._fits, pair)
        elif isinstance(record, Prompt):
            ids = self._asked(record.messages)
            yield self._fits((ids, [False] * len(ids)))
        else:
            yield from map(self._fits, self._conversation(record))

    def _cut(self, text: str) -> Iterator[Encoded]:
        ids = [*self._base.tokenizer.encode(text, add_special_tokens=False).ids, self._base.ends[0]]
        for start in range(0, len(ids), self._context):
            piece = ids[start : start + self._context]
            # A single token predicts nothing.
            if len(piece) > 1:
                yield piece, [True] * len(piece)

    def _conversation(self, record: Conversation) -> Iterator[Encoded]:
        """One row; or one for each answer, where the template shows earlier turns otherwise than the last."""
        tokenizer, ends, messages = self._base.tokenizer, self._base.ends, record.messages
        calls = record.tools or any("tool_calls" in message for message in messages)
        if calls and "tool_calls" not in (self._base.chat_template or ""):
            raise Refused("The model's chat template knows no tools.")
        if self._template is None:
            yield self._plain(messages)
            return
        with _refusals():
            try:
                yield encode_example(tokenizer, self._template, messages, record.tools, ends=ends)
            except Unsteady:
                for end in range(2, len(messages) + 1):
                    if messages[end - 1]["role"] == "assistant":
                        yield encode_example(
                            tokenizer, self._template, messages[:end], record.tools, ends=ends, last_only=True
                        )

    def _answer(self, messages: Sequence[Message]) -> Encoded:
        """A conversation of which only the last answer counts."""
        if self._template is None:
            return self._plain(messages)
        with _refusals():
            return encode_example(self._base.tokenizer, self._template, messages, ends=self._base.ends, last_only=True)

    def _asked(self, messages: Sequence[Message]) -> list[int]:
        """What the model is to go on from."""
        encode = self._base.tokenizer.encode
        if self._template is None:
            if len(messages) != 1:
                raise Refused("The model has no chat template, so only a single prompt can be answered.")
            return list(encode(messages[0]["content"], add_special_tokens=True).ids)
        with _refusals():
            return list(encode(self._template.render(messages, generate=True), add_special_tokens=False).ids)

    def _plain(self, messages: Sequence[Message]) -> Encoded:
        """A model without a chat template continues the prompt as it stands."""
        if len(messages) != 2:
            raise Refused("The model has no chat template, so only prompt and completion can be trained on.")
        encode = self._base.tokenizer.encode
        asked = encode(messages[0]["content"], add_special_tokens=True).ids
        said = [*encode(messages[1]["content"], add_special_tokens=False).ids, self._base.ends[0]]
        return asked + said, [False] * len(asked) + [True] * len(said)

    def _fits(self, row: Encoded) -> Encoded:
        if len(row[0]) > self._context:
            raise Refused(f"The record has {len(row[0])} tokens, and may have {self._context}.")
        return row


@contextmanager
def _refusals() -> Iterator[None]:
    """What the template says of a conversation, as what is wrong with its record."""
    try:
        yield
    except Unsteady:
        raise Refused("The model's chat template shows a prompt otherwise once it is answered.") from None
    except (TemplateRefusal, jinja2.TemplateError) as problem:
        raise Refused(f"The model's chat template refuses the conversation: {str(problem)[:200]}") from None


def prepare(
    base: Base, parse: Parse, files: Mapping[str, Sequence[str]], folder: Path, context: int
) -> dict[str, Rows | None]:
    """Rows of each set of files ("training", "validation") by its name; None where there are no files.

    InvalidData with all problems of all files. What an earlier start made of the same files is used again.
    """

    def written() -> list[str]:
        try:
            _write(base, parse, files, folder, context)
        except InvalidData as refusal:
            return refusal.problems
        return []

    # All processes refuse: one that waited for the first would wait for ever.
    if problems := parallel.first_ones(written):
        raise InvalidData(problems)
    return {name: Rows(folder / name) if paths else None for name, paths in files.items()}


def parsed(paths: Sequence[str], parse: Parse) -> list[Record]:
    """All records of files that are known to be sound."""
    problems = Problems()
    return [parse(record) for path in paths for _, record in records.lines(Path(path), problems)]


def _write(base: Base, parse: Parse, files: Mapping[str, Sequence[str]], folder: Path, context: int) -> None:
    stamp = json.dumps({name: [_stamp(Path(path)) for path in paths] for name, paths in files.items()})
    kept = folder / "made-of.json"
    if kept.exists() and kept.read_text() == stamp:
        return
    shutil.rmtree(folder, ignore_errors=True)
    encoder, problems = Encoder(base, context), Problems()
    for name, paths in files.items():
        if paths:
            with RowWriter(folder / name, base.config.vocab_size) as writer:
                for path in map(Path, paths):
                    for number, record in records.lines(path, problems):
                        try:
                            for ids, counted in encoder.rows(parse(record)):
                                writer.append(ids, counted)
                        except Refused as refusal:
                            problems.add(path, number, str(refusal))
    problems.raise_if_any()
    kept.write_text(stamp)


def _stamp(path: Path) -> list[Any]:
    try:
        found = path.stat()
    except OSError:
        return [str(path)]
    return [str(path), found.st_size, found.st_mtime_ns]
