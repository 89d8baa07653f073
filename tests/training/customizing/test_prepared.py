"""From records to rows: what the loss counts, what is too long, templates of all tempers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")

from outcrop.training.customizing import base as bases
from outcrop.training.customizing.base import Base
from outcrop.training.customizing.prepared import PARSERS, Encoder, prepare
from outcrop.training.customizing.records import Conversation, InvalidData, Refused, Text
from outcrop.training.tokenizer import Message
from tests.training.customizing.conftest import write_lines

TALK: list[Message] = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "first"},
    {"role": "user", "content": "two"},
    {"role": "assistant", "content": "second"},
]


@pytest.fixture
def base(tiny_base: Path) -> Base:
    return bases.load(tiny_base)


def counted(base: Base, messages: list[Message]) -> list[list[str]]:
    """For each row, the runs of tokens that the loss counts, as text."""
    found = []
    for ids, counts in Encoder(base, 500).rows(Conversation(messages)):
        runs: list[list[int]] = []
        for place, (token, counts_here) in enumerate(zip(ids, counts, strict=True)):
            if counts_here:
                if not place or not counts[place - 1]:
                    runs.append([])
                runs[-1].append(token)
        found.append([base.tokenizer.decode(run, skip_special_tokens=False) for run in runs])
    return found


def test_only_what_the_assistant_says_counts(base: Base) -> None:
    assert counted(base, TALK) == [["first<|im_end|>", "second<|im_end|>"]]


def test_calls_of_tools_are_learnt_and_their_results_are_not(base: Base) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    messages: list[Message] = [
        TALK[0],
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "secret"},
        TALK[1],
    ]
    tool = {"type": "function", "function": {"name": "add", "description": "", "parameters": {"type": "object"}}}
    assert counted(base, messages) == [
        ['<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call><|im_end|>', "first<|im_end|>"]
    ]
    ((ids, _),) = Encoder(base, 500).rows(Conversation(messages, [tool]))
    assert "Tools:" in base.tokenizer.decode(ids)
    for template in (None, "{% for m in messages %}{{ m.content }}{% endfor %}"):
        with pytest.raises(Refused, match="knows no tools"):
            counted(replace(base, chat_template=template), messages)


def test_a_template_that_forgets_earlier_answers_makes_a_row_of_each(base: Base) -> None:
    forgetful = (
        "{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}...{% else %}"
        "[{{ m.role[0] }}]{{ m.content }}{{ eos_token if m.role == 'assistant' else '' }}{% endif %}{% endfor %}"
        "{{ '[a]' if add_generation_prompt else '' }}"
    )
    assert counted(replace(base, chat_template=forgetful), TALK) == [["first<|im_end|>"], ["second<|im_end|>"]]


def test_a_template_that_nothing_can_be_done_with(base: Base) -> None:
    moody = replace(base, chat_template="{{ messages | length }}{{ add_generation_prompt }}")
    with pytest.raises(Refused, match="otherwise once it is answered"):
        counted(moody, TALK)
    strict = replace(base, chat_template="{{ raise_exception('Talk of the weather.') }}")
    with pytest.raises(Refused, match="Talk of the weather"):
        counted(strict, TALK)


def test_without_a_template_the_prompt_is_continued(base: Base) -> None:
    plain = replace(base, chat_template=None)
    ((ids, counts),) = Encoder(plain, 500).rows(Conversation(TALK[:2]))
    assert base.tokenizer.decode(ids, skip_special_tokens=False) == "onefirst<|im_end|>"
    assert counts[: counts.index(True)] == [False] * len(base.tokenizer.encode("one").ids)
    with pytest.raises(Refused, match="no chat template"):
        list(Encoder(plain, 500).rows(Conversation(TALK)))


def test_a_long_text_is_cut_and_nothing_of_it_is_lost(base: Base) -> None:
    text = "It was a dark and stormy night. " * 20
    rows = list(Encoder(base, 50).rows(Text(text)))
    assert len(rows) > 2
    assert all(len(ids) <= 50 and all(counts) for ids, counts in rows)
    ids = [token for row, _ in rows for token in row]
    assert base.tokenizer.decode(ids, skip_special_tokens=False) == text + "<|im_end|>"


def test_problems_of_all_files_are_told_at_once_and_nothing_is_kept(tmp_path: Path, base: Base) -> None:
    good = {"prompt": "Hi", "completion": "Hello"}
    long = {"prompt": "x" * 3000, "completion": "y"}
    train = write_lines(tmp_path / "train.jsonl", [good, long, {"prompt": "?"}])
    held = write_lines(tmp_path / "held.jsonl", [{"input": "x"}, good])
    files = {"training": [str(train), str(tmp_path / "gone.jsonl")], "validation": [str(held)]}
    with pytest.raises(InvalidData) as refusal:
        prepare(base, PARSERS["fine-tuning"], files, tmp_path / "rows", 512)
    starts = ["train.jsonl line 2: The record has", "train.jsonl line 3:", "gone.jsonl: ", "held.jsonl line 1:"]
    for problem, start in zip(refusal.value.problems, starts, strict=True):
        assert problem.startswith(start)
    write_lines(train, [good])
    rows = prepare(base, PARSERS["fine-tuning"], {"training": [str(train)], "validation": []}, tmp_path / "rows", 512)
    assert rows["training"] is not None
    assert len(rows["training"]) == 1
    assert rows["validation"] is None


def test_rows_are_made_once_of_the_same_files(tmp_path: Path, base: Base) -> None:
    train = write_lines(tmp_path / "train.jsonl", [{"prompt": "Hi", "completion": "Hello"}])
    files = {"training": [str(train)]}
    prepare(base, PARSERS["fine-tuning"], files, tmp_path / "rows", 512)
    index = tmp_path / "rows" / "training" / "index.json"
    before = index.stat().st_ino, index.stat().st_mtime_ns
    prepare(base, PARSERS["fine-tuning"], files, tmp_path / "rows", 512)
    assert (index.stat().st_ino, index.stat().st_mtime_ns) == before
    write_lines(train, [{"prompt": "Hi", "completion": "Hello"}] * 2)
    rows = prepare(base, PARSERS["fine-tuning"], files, tmp_path / "rows", 512)
    assert rows["training"] is not None
    assert len(rows["training"]) == 2
