"""Bodies with anything anywhere: an answer, or a refusal in words; never an error of ours."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outcrop.errors import ValidationException
from outcrop.inference.families import FAMILIES
from outcrop.inference.families.family import computes
from outcrop.inference.operations import count_tokens, invoke_model
from outcrop.settings import FamilyName
from tests.inference.bench import Bench
from tests.inference.families.calls import bench_of

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
MESSAGES = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": [{"type": "text", "text": "a"}]},
    {"role": "assistant", "content": "b", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "c", "content": "d"},
]
FUNCTION = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
CHAT = {
    "messages": MESSAGES, "max_tokens": 9, "temperature": 0, "top_p": 0.5, "stop": ["x"], "tools": [FUNCTION],
    "tool_choice": "auto", "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
}  # fmt: skip
CALL = {"name": "f", "parameters": {"a": 1}}
RESULT = {"call": CALL, "outputs": [{"text": "x"}]}
PROMPT = {"prompt": "a", "max_tokens": 9, "temperature": 0, "top_p": 0.5, "stop": ["x"]}
EMBED = {"texts": ["a"], "input_type": "search_query", "truncate": "NONE", "embedding_types": ["float", "binary"]}
ANTHROPIC = {
    "anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "system": [{"type": "text", "text": "s"}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "d"}]}]},
    ],
    "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto"},
    "stop_sequences": ["x"], "temperature": 0, "top_p": 0.5, "top_k": 1,
}  # fmt: skip
NOVA = {
    "schemaVersion": "messages-v1", "system": [{"text": "s"}],
    "messages": [
        {"role": "user", "content": [{"text": "a"}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c", "name": "f", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "c", "content": [{"text": "d"}]}}]},
    ],
    "inferenceConfig": {"maxTokens": 9, "temperature": 0, "topP": 0.5, "topK": 1, "stopSequences": ["x"]},
    "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]},
}  # fmt: skip
# Bodies with every member that a family knows, or nearly.
BODIES: dict[FamilyName, dict[str, Any]] = {
    "amazon-rerank": {"query": "q", "documents": ["a", "b"], "top_n": 1},
    "anthropic": ANTHROPIC,
    "cohere-command": {
        "prompt": "a", "max_tokens": 9, "temperature": 0, "p": 0.5, "k": 1, "stop_sequences": ["x"], "stream": False,
        "return_likelihoods": "NONE", "num_generations": 1, "logit_bias": {}, "truncate": "NONE",
    },
    "cohere-command-r": {
        "message": "m", "preamble": "p", "documents": [{"title": "t", "snippet": "s"}], "tool_results": [RESULT],
        "chat_history": [
            {"role": "USER", "message": "a"}, {"role": "CHATBOT", "message": "b", "tool_calls": [CALL]},
            {"role": "TOOL", "tool_results": [RESULT]},
        ],
        "tools": [{"name": "f", "description": "d", "parameter_definitions": {"a": {"type": "int", "required": True}}}],
        "max_tokens": 9, "temperature": 0, "p": 0.5, "k": 1, "seed": 1, "stop_sequences": ["x"],
    },
    "cohere-embed": {**EMBED},
    "cohere-embed-v4": {
        **{k: v for k, v in EMBED.items() if k != "texts"}, "output_dimension": 2,
        "inputs": [{"content": [{"type": "text", "text": "a"}]}],
    },
    "cohere-rerank": {"query": "q", "documents": ["a", "b"], "api_version": 2, "top_n": 1},
    "deepseek-r1": PROMPT,
    "gpt-oss": CHAT,
    "imported": {**PROMPT, "structured_outputs": {"json": SCHEMA}, "stream_options": {"include_usage": True}},
    "jamba": {**CHAT, "n": 1},
    "llama": {"prompt": "a", "max_gen_len": 9, "temperature": 0, "top_p": 0.5, "images": []},
    "mistral": {**PROMPT, "top_k": 1},
    "mistral-chat": {**CHAT, "random_seed": 1},
    "nova": NOVA,
    "openai-chat": CHAT,
    "titan-embed-image": {"inputText": "a", "embeddingConfig": {"outputEmbeddingLength": 2}},
    "titan-embed-v1": {"inputText": "a"},
    "titan-embed-v2": {"inputText": "a", "dimensions": 2, "normalize": True, "embeddingTypes": ["float", "binary"]},
    "titan-text": {
        "inputText": "User: a\nBot:",
        "textGenerationConfig": {"maxTokenCount": 9, "temperature": 0, "topP": 0.5, "stopSequences": ["x"]},
    },
}  # fmt: skip

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 10)
    | st.sampled_from([1.5, -1e308, 2**63, 10**400])
    | st.text(max_size=3)
)
NAMES = st.sampled_from(["role", "type", "name", "content", "text", "call", "function", "schema", "x", ""])
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=4
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to everything in a body."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


@st.composite
def changed(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    """The body with one to three of its values replaced, or left out."""
    made = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(made))
        if not places:
            break
        *path, last = draw(st.sampled_from(places))
        holder: Any = made
        for key in path:
            holder = holder[key]
        if draw(st.booleans()) and isinstance(holder, dict):
            del holder[last]
        else:
            holder[last] = draw(ANYTHING)
    return made


@pytest.mark.parametrize("family", sorted(get_args(FamilyName)))
def test_anything_anywhere(tmp_path: Path, family: FamilyName) -> None:
    bench = bench_of(tmp_path, family, embeddings=True, rerank=True)
    bench.engine.scores = [0.1, 0.2]
    _call(bench, family, BODIES[family])

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
    @given(changed(BODIES[family]))
    def hold(body: dict[str, Any]) -> None:
        with contextlib.suppress(ValidationException):
            _call(bench, family, body)

    hold()


def _call(bench: Bench, family: FamilyName, body: dict[str, Any]) -> None:
    """ValidationException, from counting too only for what cannot be counted."""
    data = json.dumps(body).encode()
    assert isinstance(json.loads(bench.call(invoke_model, body=data)["body"]), dict)
    if not computes(FAMILIES[family]):
        assert bench.call(count_tokens, input={"invokeModel": {"body": data}})["inputTokens"] >= 0
