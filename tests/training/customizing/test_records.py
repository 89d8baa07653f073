"""Training records: each of Bedrock's forms, and a sentence for everything that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")

from outcrop.training.customizing.records import (
    InvalidData,
    Problems,
    Refused,
    Text,
    continued_pre_training,
    fine_tuning,
    lines,
)

USER, ANSWER = {"role": "user", "content": [{"text": "Hi"}]}, {"role": "assistant", "content": [{"text": "Hello"}]}
VERSION = "bedrock-conversation-2024"
SAID = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
BRIEF = {"role": "system", "content": "Be brief"}

SOUND: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "prompt and completion": ({"prompt": "Hi", "completion": "Hello"}, SAID),
    "a conversation": ({"schemaVersion": VERSION, "messages": [USER, ANSWER]}, SAID),
    "with a system prompt": (
        {"schemaVersion": VERSION, "system": [{"text": "Be "}, {"text": "brief"}], "messages": [USER, ANSWER] * 2},
        [BRIEF, *SAID, *SAID],
    ),
    "Claude's": ({"system": "Be brief", "messages": SAID}, [BRIEF, *SAID]),
    "Claude's with blocks": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, SAID[1]]},
        SAID,
    ),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_record(case: str) -> None:
    record, messages = SOUND[case]
    assert fine_tuning(record).messages == messages


def test_a_text() -> None:
    assert continued_pre_training({"input": "Once"}) == Text("Once")


def conversation(*messages: Any, **parts: Any) -> dict[str, Any]:
    return {"schemaVersion": VERSION, "messages": list(messages), **parts}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "its keys are none"),
    "other keys": ({"question": 1, "answer": 2}, "'answer', 'question'"),
    "no completion": ({"prompt": "Hi"}, '"completion" is missing'),
    "an empty completion": ({"prompt": "Hi", "completion": " \n"}, '"completion" is empty'),
    "a number": ({"prompt": "Hi", "completion": 7}, "must be a string, and is a number"),
    "text for pre-training": ({"input": "Once"}, "continued pre-training"),
    "another version": ({"schemaVersion": "2023", "messages": [USER, ANSWER]}, VERSION),
    "no messages": ({"schemaVersion": VERSION}, '"messages" must be a list'),
    "the assistant first": (conversation(ANSWER, USER), r'messages\[0\] must have the role "user"'),
    "the user twice": (conversation(USER, USER), r'messages\[1\] must have the role "assistant"'),
    "the user last": (conversation(USER, ANSWER, USER), "last message"),
    "an image": (
        conversation({"role": "user", "content": [{"image": {}}]}, ANSWER),
        "'image'.*only text and toolResult",
    ),
    "content without blocks": (conversation({"role": "user", "content": "Hi"}, ANSWER), "list of content blocks"),
    "a block of two": (conversation({"role": "user", "content": [{"text": "a", "b": 1}]}, ANSWER), "one key"),
    "a block of nothing": (conversation({"role": "user", "content": [{"text": ""}]}, ANSWER), "is empty"),
    "a message that is none": (conversation("Hi", ANSWER), "must be an object"),
    "a system prompt without blocks": (conversation(USER, ANSWER, system="Be brief"), '"system" must be a list'),
    "Claude's with a list": ({"system": ["x"], "messages": SAID}, '"system" must be a string'),
}


CALL = {"toolUse": {"toolUseId": "t1", "name": "add", "input": {"a": 1}}}
RESULT = {"toolResult": {"toolUseId": "t1", "content": [{"json": {"sum": 2}}, {"text": "!"}]}}
TOOLS = {"tools": [{"toolSpec": {"name": "add", "description": "Adds.", "inputSchema": {"json": {"type": "object"}}}}]}


def calling(call: Any = CALL, result: Any = RESULT, tools: Any = TOOLS) -> dict[str, Any]:
    used, told = {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}
    return conversation(USER, used, told, ANSWER, toolConfig=tools)


def test_a_call_and_its_result() -> None:
    found = fine_tuning(calling())
    function = {"name": "add", "arguments": '{"a": 1}'}
    assert found.messages == [
        SAID[0],
        {"role": "assistant", "content": "", "tool_calls": [{"id": "t1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "t1", "content": '{"sum": 2}!'},
        SAID[1],
    ]
    (tool,) = found.tools
    assert tool == {
        "type": "function",
        "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}},
    }


WRONG |= {
    "a call of nothing": (
        calling(call={"toolUse": {"toolUseId": "t1", "input": {}}}),
        r"toolUse\.name must be a string",
    ),
    "a call with a list": (calling(call={"toolUse": {"name": "add", "toolUseId": "t1", "input": []}}), '"input"'),
    "a call by the user": (conversation({"role": "user", "content": [CALL]}, ANSWER), "'toolUse'.*of the user's"),
    "a result of another call": (
        calling(result={"toolResult": {"toolUseId": "t2", "content": []}}),
        "answers 't2', which no toolUse",
    ),
    "a call without a result": (calling(result={"text": "Well?"}), "'t1' has no toolResult"),
    "a result that is an image": (
        calling(result={"toolResult": {"toolUseId": "t1", "content": [{"image": {}}]}}),
        "only text and json",
    ),
    "no tools": (calling(tools={"tools": []}), '"toolConfig" must be'),
    "a tool without a schema": (calling(tools={"tools": [{"toolSpec": {"name": "add"}}]}), "inputSchema.json"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_record(case: str) -> None:
    record, reason = WRONG[case]
    with pytest.raises(Refused, match=reason):
        fine_tuning(record)


def test_a_wrong_text() -> None:
    for record, reason in (
        ({"prompt": "Hi", "completion": "x"}, "for fine-tuning"),
        ({"text": "x"}, '"input" is missing'),
    ):
        with pytest.raises(Refused, match=reason):
            continued_pre_training(record)


def problems_of(path: Path, content: bytes) -> list[str]:
    file = path / "train.jsonl"
    file.write_bytes(content)
    problems = Problems()
    list(lines(file, problems))
    with pytest.raises(InvalidData) as refusal:
        problems.raise_if_any()
    return refusal.value.problems


def test_all_problems_of_a_file_are_told_with_their_lines(tmp_path: Path) -> None:
    found = problems_of(tmp_path, b'{"a": 1}\n{"a": \n\n\xff\xfe\n[1]\n{"b": 2}\n"x"')
    assert [problem.split(":")[0] for problem in found] == [f"train.jsonl line {n}" for n in (2, 4, 5, 7)]
    for problem, reason in zip(found, ("valid JSON", "UTF-8 (byte 1)", "is a list", "is a string"), strict=True):
        assert reason in problem


def test_an_empty_file_and_none_at_all(tmp_path: Path) -> None:
    assert problems_of(tmp_path, b"\n \n") == ["train.jsonl: The file has no records."]
    problems = Problems()
    assert not list(lines(tmp_path / "other.jsonl", problems))
    with pytest.raises(InvalidData, match=r"other\.jsonl: The file cannot be read: No such file"):
        problems.raise_if_any()


def test_more_problems_than_anyone_reads_are_counted(tmp_path: Path) -> None:
    found = problems_of(tmp_path, b"x\n" * 250)
    assert len(found) == 101
    assert found[-1] == "and 150 more"


def test_nesting_without_end(tmp_path: Path) -> None:
    assert "nested too deeply" in problems_of(tmp_path, b'{"a":' * 100_000)[0]


def test_blank_lines_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": 1}).encode() + b'\r\n\r\n{"a": 2}\n')
    problems = Problems()
    assert list(lines(file, problems)) == [(1, {"a": 1}), (3, {"a": 2})]
    problems.raise_if_any()
