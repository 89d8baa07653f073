"""What a router sees of a request, in Converse's shape and in native bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcrop.inference import outlines
from outcrop.models.difficulty import Outline
from tests.inference.bench import assistant, user

PICTURE: dict[str, Any] = {"image": {"format": "png", "source": {"bytes": b"x"}}}
TOOLS: dict[str, Any] = {"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {"type": "object"}}}}] * 3}


def converse(**request: Any) -> Outline:
    given: Any = {"modelId": "m", **request}
    return outlines.of_converse(given, streaming=False)


def body(given: Any) -> Outline:
    return outlines.of_body(json.dumps(given).encode(), streaming=False)


def test_a_conversation() -> None:
    found = converse(
        messages=[user("Hello"), assistant("Hi there"), user("Why?", "Tell me.")],
        system=[{"text": "Be brief."}],
        inferenceConfig={"maxTokens": 7},
    )
    assert found == Outline(
        text="Why?\nTell me.", characters=34, turns=2, needs=frozenset({"chat", "system"}), max_tokens=7
    )


def test_the_beginning_of_an_answer_is_no_question() -> None:
    assert converse(messages=[user("Why?"), assistant("Because")]).text == "Why?"
    prefilled = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because"}]
    assert body({"messages": prefilled}).text == "Why?"


def test_in_a_tool_loop_the_question_stays_what_it_was() -> None:
    result = {"toolResult": {"toolUseId": "a", "content": [{"text": "12 degrees"}, {"json": {"a": 1}}, PICTURE]}}
    call = {"toolUse": {"toolUseId": "a", "name": "t", "input": {}}}
    found = converse(messages=[user("How warm is it?"), assistant(call), user(result)], toolConfig=TOOLS)
    assert (found.text, found.turns, found.tools, found.images) == ("How warm is it?", 2, 3, 1)
    assert found.characters == len("How warm is it?") + len("12 degrees") + len('{"a":1}')
    assert found.needs == {"chat", "tools", "images"}


def test_documents_marked_content_schemas_and_reasoning() -> None:
    plain = {"document": {"name": "d", "format": "txt", "source": {"bytes": b"1234567"}}}
    pdf = {"document": {"name": "e", "format": "pdf", "source": {"bytes": b"1234567"}}}
    marked = {"guardContent": {"text": {"text": "marked"}}}
    thought = {"reasoningContent": {"reasoningText": {"text": "hm"}}}
    found = converse(
        messages=[user("a"), assistant(thought, "b"), user(marked, plain, pdf, {"guardContent": PICTURE})],
        outputConfig={"textFormat": {"type": "json_schema"}},
    )
    assert (found.text, found.characters, found.images) == ("marked", 2 + 6 + 7, 1)
    assert found.needs == {"chat", "images", "reasoning", "json_schema"}


def test_nothing_at_all() -> None:
    assert converse().text == ""
    assert converse(messages=[]).turns == 0


@pytest.mark.parametrize(
    ("given", "text", "characters", "turns"),
    [
        ({"messages": [{"role": "user", "content": "Why?"}], "system": "Brief."}, "Why?", 10, 1),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "One"}, {"text": "Two"}]},
                          {"role": "assistant", "content": "x"}, {"role": "user", "content": [{"type": "tool_result"}]}]},
            "One\nTwo", 7, 2,
        ),
        ({"prompt": "[INST] Why? [/INST]"}, "[INST] Why? [/INST]", 19, 1),
        ({"inputText": "User: Why?"}, "User: Why?", 10, 1),
        ({"message": "Why?", "chat_history": [{"role": "USER", "message": "Hi"}]}, "Why?", 6, 1),
        ({"messages": "nonsense", "tools": {}, "prompt": 5}, "", 0, 1),
    ],
)  # fmt: skip
def test_native_bodies(given: dict[str, Any], text: str, characters: int, turns: int) -> None:
    found = body(given)
    assert (found.text, found.characters, found.turns) == (text, characters, turns)
    assert found.needs == {"chat"}


def test_tools_and_images_of_native_bodies() -> None:
    picture = {"type": "image", "source": {"type": "base64", "data": "eA=="}}
    url = {"type": "image_url", "image_url": {"url": "data:"}}
    nova = {"image": {"format": "png", "source": {"bytes": "eA=="}}}
    found = body(
        {"messages": [{"role": "user", "content": [picture, url, nova]}], "tools": [{}, {}], "images": ["eA=="]}
    )
    assert (found.images, found.tools, found.needs) == (4, 2, frozenset({"chat", "tools", "images"}))
    assert body({"toolConfig": {"tools": [{}]}}).tools == 1


@given(st.one_of(st.binary(), st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), lambda inner: (
    st.lists(inner) | st.dictionaries(
        st.sampled_from(["messages", "role", "content", "text", "tools", "toolConfig", "images", "image", "type", "prompt"]),
        inner,
    )
)).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_no_body_is_too_strange(given: bytes) -> None:
    found = outlines.of_body(given, streaming=True)
    assert found.needs >= {"chat", "streaming"}


def test_a_body_nested_deeply() -> None:
    outlines.of_body(b'{"content":' * 900 + b"1" + b"}" * 900, streaming=False)
