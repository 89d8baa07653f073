"""Whatever is asked, the body is one that its interface takes: judged by botocore's model and by the makers' own SDK types."""

from __future__ import annotations

import string
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import orjson
import pytest
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from botocore.session import Session
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from outcrop.engines.engine import (
    CachePoint,
    ChatRequest,
    Image,
    Message,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from outcrop.engines.openai.bodies import chat_body
from outcrop.engines.openai.cloud import cloud_body
from outcrop.engines.upstream.anthropic_body import messages_body
from outcrop.engines.upstream.converse import converse_body

RUNTIME = Session().get_service_model("bedrock-runtime")
CONVERSE = RUNTIME.operation_model("ConverseStream").input_shape
ANTHROPIC: TypeAdapter[Any] = TypeAdapter(MessageCreateParamsStreaming)
OPENAI: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsStreaming)

texts = st.builds(Text, st.text(max_size=8) | st.just(" \n"))
images = st.builds(Image, st.sampled_from(["png", "jpeg", "gif", "webp"]), st.binary(max_size=9))
objects = st.dictionaries(st.text(max_size=4), st.none() | st.integers(-9, 9) | st.text(max_size=4), max_size=2)
names = st.text(string.ascii_letters, min_size=1, max_size=8)
results = st.builds(ToolResult, names, st.lists(texts | images, max_size=3).map(tuple), st.booleans())
points = st.builds(CachePoint, st.sampled_from([None, "5m", "1h"]))
said = st.one_of(
    texts,
    points,
    st.builds(Reasoning, st.text(max_size=5), st.none() | st.text(max_size=5)),
    st.builds(ToolCall, names, names, objects),
)
users = st.builds(Message, st.just("user"), st.lists(st.one_of(texts, images, results, points), max_size=4).map(tuple))
assistants = st.builds(Message, st.just("assistant"), st.lists(said, max_size=4).map(tuple))
systems = st.builds(Message, st.just("system"), st.lists(texts | points, max_size=3).map(tuple))
schemas = objects.map(lambda more: {**more, "type": "object"})
tools = st.lists(
    st.builds(Tool, names, st.text(max_size=4), schemas, st.booleans(), st.none() | points), max_size=3
).map(tuple)
choices = st.sampled_from([ToolChoice(), ToolChoice("any"), ToolChoice("tool", "f"), ToolChoice("none")])
samplings = st.builds(
    Sampling,
    max_tokens=st.none() | st.integers(1, 9),
    temperature=st.none() | st.floats(0, 1),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 9),
    stop=st.lists(names, max_size=2).map(tuple),
)


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    """Beginning with the user and taking turns, as callers are held to."""
    turns = [draw(systems)] if draw(st.booleans()) else []
    turns += [draw(assistants if n % 2 else users) for n in range(draw(st.integers(1, 4)))]
    return ChatRequest(
        tuple(turns),
        draw(tools),
        draw(choices),
        draw(st.none() | schemas),
        draw(samplings),
        draw(st.sampled_from([None, Thinking(), Thinking(2000)])),
    )


@settings(max_examples=150, deadline=None)
@given(requests(), st.sampled_from(["anthropic.x", "us.amazon.nova-x"]))
def test_converse(request: ChatRequest, model: str) -> None:
    body = orjson.loads(orjson.dumps(converse_body(request, model)))
    report = ParamValidator().validate({**body, "modelId": model}, CONVERSE)
    assert not report.has_errors(), report.generate_report()
    roles = [message["role"] for message in body["messages"]]
    assert all(before != after for before, after in pairwise(roles))
    blocks = [block for message in body["messages"] for block in message["content"]]
    assert all(len(block) == 1 for block in blocks)
    assert all(block["text"].strip() for block in blocks if "text" in block)
    assert all(message["content"] and "cachePoint" not in message["content"][0] for message in body["messages"])
    if "toolConfig" not in body:
        assert not any("toolUse" in block or "toolResult" in block for block in blocks)


@settings(max_examples=150, deadline=None)
@given(requests())
def test_messages(request: ChatRequest) -> None:
    body = orjson.loads(orjson.dumps(messages_body(request, most_tokens=9)))
    _whole(ANTHROPIC.validate_python({**body, "model": "claude-x", "stream": True}))
    # Newer models have no sampling: they say so themselves to who asks for it.
    assert set(body) - _keys(MessageCreateParamsStreaming) <= {"temperature", "top_p", "top_k"}


@settings(max_examples=150, deadline=None)
@given(requests().filter(lambda request: request.messages[-1].role == "user"))
def test_chat_completions_of_a_cloud(request: ChatRequest) -> None:
    request = _without_points(request)
    body = orjson.loads(orjson.dumps(cloud_body(chat_body(request), request)))
    _whole(OPENAI.validate_python({**body, "model": "gpt-x", "stream": True}))
    # Only what the caller asked for that OpenAI does not have may be there: it says so itself.
    assert set(body) - _keys(CompletionCreateParamsStreaming) <= {"top_k"}


def _without_points(request: ChatRequest) -> ChatRequest:
    """Engines that did not ask for cache points are shown none."""
    turns = (
        replace(turn, parts=tuple(p for p in turn.parts if not isinstance(p, CachePoint))) for turn in request.messages
    )
    return replace(request, messages=tuple(turns))


def _keys(params: Any) -> set[str]:
    return set(params.__required_keys__ | params.__optional_keys__)


def _whole(validated: Any) -> None:
    """Pydantic validates what the types call iterable only when it is iterated."""
    if isinstance(validated, dict):
        for value in validated.values():
            _whole(value)
    elif isinstance(validated, Iterable) and not isinstance(validated, str):
        for value in validated:
            _whole(value)


def test_the_judges_can_refuse() -> None:
    wrong = {"modelId": "x", "messages": [{"role": "user", "content": [{"text": 1}]}]}
    assert ParamValidator().validate(wrong, CONVERSE).has_errors()
    body = {
        "model": "x",
        "stream": True,
        "max_tokens": 1,
        "messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}],
    }
    for judge in (ANTHROPIC, OPENAI):
        with pytest.raises(ValueError, match="validation error"):
            _whole(judge.validate_python(body))
