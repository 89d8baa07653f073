"""Cohere Command R."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import (
    CompletionRequest,
    Delta,
    Finish,
    FinishReason,
    Sampling,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    ToolResult,
    Usage,
)
from outcrop.inference.families.cohere_tools import schema_of
from tests.inference.bench import Bench
from tests.inference.families.calls import bench_of, completed, invoke, malformed, refused, stream, told

TOOL = {
    "name": "weather",
    "description": "The weather in a city",
    "parameter_definitions": {
        "city": {"description": "Its name", "type": "str", "required": True},
        "days": {"type": "int"},
    },
}
CALL = {"name": "weather", "parameters": {"city": "Oslo"}}
RESULT = {"call": CALL, "outputs": [{"text": "cold"}, {"degrees": -3}]}
CALLING: list[Delta] = [
    TextDelta("I look."), ToolCallStart(0, "0", "weather"), ToolCallDelta(0, '{"city":'), ToolCallDelta(0, '"Oslo"}'),
    ToolCallStart(1, "1", "weather"), Finish("tool_calls", Usage(10, 3, 4)),
]  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return bench_of(tmp_path, "cohere-command-r")


def spoken(bench: Bench) -> list[tuple[str, Any]]:
    return [(turn.role, turn.parts) for turn in bench.asked.messages]


def test_the_conversation(bench: Bench) -> None:
    history = [
        {"role": "USER", "message": "Hi"}, {"role": "CHATBOT", "message": "Hello"},
        {"role": "SYSTEM", "message": "Short."},
    ]  # fmt: skip
    invoke(bench, message="More", chat_history=history, preamble="Be kind.")
    assert spoken(bench) == [
        ("system", (Text("Be kind.\nShort."),)),
        ("user", (Text("Hi"),)),
        ("assistant", (Text("Hello"),)),
        ("user", (Text("More"),)),
    ]


def test_turns_of_one_role_are_joined(bench: Bench) -> None:
    invoke(bench, message="b", chat_history=[{"role": "USER", "message": "a"}])
    assert spoken(bench) == [("user", (Text("a"), Text("b")))]


def test_documents_stand_before_the_message(bench: Bench) -> None:
    invoke(bench, message="Who?", documents=[{"title": "T", "snippet": "S"}, {"id": "mine", "text": "x"}])
    assert bench.asked_texts == [
        '<document id="doc_0">\ntitle: T\nsnippet: S\n</document>',
        '<document id="mine">\ntext: x\n</document>',
        "Who?",
    ]


def test_defaults_and_parameters(bench: Bench) -> None:
    invoke(bench, message="a")
    assert bench.asked.sampling == Sampling(None, 0.3, 0.75)
    invoke(bench, message="a", max_tokens=9, temperature=0, p=0.5, k=7, seed=1, stop_sequences=["x"],
           frequency_penalty=0.1, presence_penalty=0.2, search_queries_only=False, prompt_truncation="OFF",
           return_prompt=False, raw_prompting=False)  # fmt: skip
    assert bench.asked.sampling == Sampling(9, 0, 0.5, 7, 1, ("x",), 0.1, 0.2)


def test_tools_have_schemas(bench: Bench) -> None:
    invoke(bench, message="a", tools=[TOOL])
    (tool,) = bench.asked.tools
    assert (tool.name, tool.description) == ("weather", "The weather in a city")
    assert tool.schema == {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Its name"}, "days": {"type": "integer"}},
        "required": ["city"],
    }


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("str", {"type": "string"}),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("number", {"type": "number"}),
        ("List[int]", {"type": "array", "items": {"type": "integer"}}),
        ("list[list[str]]", {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}),
        ("list", {"type": "array"}),
        ("Dict[str, int]", {"type": "object"}),
        ("Optional[str]", {"type": "string"}),
        ("Literal['a', 'b']", {}),
    ],
)
def test_types_of_parameters(name: str, schema: dict[str, Any]) -> None:
    assert schema_of(name) == schema


def test_results_follow_the_message_that_they_are_for(bench: Bench) -> None:
    """One step: the question is sent again, with what its calls gave."""
    invoke(bench, message="Weather?", tools=[TOOL], tool_results=[RESULT, RESULT])
    assert spoken(bench) == [
        ("user", (Text("Weather?"),)),
        ("assistant", tuple(ToolCall(f"call_{n}", "weather", {"city": "Oslo"}) for n in (0, 1))),
        ("user", tuple(ToolResult(f"call_{n}", (Text('{"text": "cold"}'), Text('{"degrees": -3}'))) for n in (0, 1))),
    ]


def test_results_follow_the_calls_of_the_history(bench: Bench) -> None:
    """Several steps: no message, and the history ends with the calls."""
    history = [
        {"role": "USER", "message": "Weather?"},
        {"role": "CHATBOT", "message": "I look.", "tool_calls": [CALL]},
        {"role": "TOOL", "tool_results": [RESULT]},
        {"role": "CHATBOT", "message": "Again.", "tool_calls": [CALL]},
    ]
    invoke(bench, message="", chat_history=history, tools=[TOOL], tool_results=[RESULT])
    roles = [(turn.role, [type(part).__name__ for part in turn.parts]) for turn in bench.asked.messages]
    assert roles == [
        ("user", ["Text"]), ("assistant", ["Text", "ToolCall"]), ("user", ["ToolResult"]),
        ("assistant", ["Text", "ToolCall"]), ("user", ["ToolResult"]),
    ]  # fmt: skip
    ids = [part.id for turn in bench.asked.messages for part in turn.parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 2


def test_what_comes_back_can_be_sent_on(bench: Bench) -> None:
    bench.engine.deltas = CALLING[:4] + CALLING[-1:]
    first = invoke(bench, message="Weather?", tools=[TOOL])
    bench.engine.deltas = told("Cold.")
    second = invoke(bench, message="", tools=[TOOL], chat_history=first["chat_history"], tool_results=[RESULT])
    third = invoke(bench, message="Thanks", tools=[TOOL], chat_history=second["chat_history"])
    assert [turn.role for turn in bench.asked.messages] == ["user", "assistant", "user", "assistant", "user"]
    assert third["chat_history"][-2:] == [
        {"role": "USER", "message": "Thanks"}, {"role": "CHATBOT", "message": "Cold."},
    ]  # fmt: skip


def test_raw_prompting(bench: Bench) -> None:
    invoke(bench, message="<BOS>Hi", raw_prompting=True)
    assert completed(bench) == CompletionRequest("<BOS>Hi", None, Sampling(None, 0.3, 0.75))
    assert stream(bench, message="<BOS>Hi", raw_prompting=True)[0]["text"] == "Hello"


def test_whole(bench: Bench) -> None:
    bench.engine.deltas = CALLING
    answer = invoke(bench, message="Weather?", tools=[TOOL])
    assert answer.pop("response_id") != answer.pop("generation_id")
    calls = [CALL, {"name": "weather", "parameters": {}}]
    assert answer == {
        "text": "I look.",
        "finish_reason": "COMPLETE",
        "tool_calls": calls,
        "chat_history": [
            {"role": "USER", "message": "Weather?"},
            {"role": "CHATBOT", "message": "I look.", "tool_calls": calls},
        ],
        "meta": {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 10, "output_tokens": 3}},
    }


def test_streamed(bench: Bench) -> None:
    bench.engine.deltas = CALLING
    text, calls, end = stream(bench, message="Weather?", tools=[TOOL])
    assert text == {"event_type": "text-generation", "is_finished": False, "text": "I look."}
    assert calls == {
        "event_type": "tool-calls-generation",
        "is_finished": False,
        "tool_calls": [CALL, {"name": "weather", "parameters": {}}],
    }
    assert (end["event_type"], end["is_finished"], end["finish_reason"]) == ("stream-end", True, "COMPLETE")
    assert (end["response"]["text"], end["response"]["tool_calls"]) == ("I look.", calls["tool_calls"])


@pytest.mark.parametrize(
    ("reason", "word"), [("length", "MAX_TOKENS"), ("context", "ERROR_LIMIT"), ("content_filter", "ERROR_TOXIC")]
)
def test_finish_reasons(bench: Bench, reason: FinishReason, word: str) -> None:
    bench.engine.deltas = told("a", reason=reason)
    assert invoke(bench, message="a")["finish_reason"] == word
    assert stream(bench, message="a")[-1]["finish_reason"] == word


def test_a_call_that_cannot_be_read(bench: Bench) -> None:
    bench.engine.deltas = [ToolCallStart(0, "0", "f"), ToolCallDelta(0, "{"), Finish("tool_calls", Usage(1, 1))]
    answer = invoke(bench, message="a", tools=[TOOL])
    assert (answer["finish_reason"], "tool_calls" in answer) == ("ERROR", False)


def test_tools_that_the_model_cannot_use(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, "cohere-command-r", tools=False)
    assert refused(bench, message="a", tools=[TOOL]) == "This model doesn't support tool use."


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"message": None}, malformed("#: required key [message] not found")),
        ({"message": ""}, malformed("#/message: expected minLength: 1, actual: 0")),
        ({"temperature": 2}, malformed("#/temperature: 2 is not less or equal to 1")),
        ({"chat_history": [{"role": "user", "message": "x"}]},
         malformed("#/chat_history/0/role: user is not a valid enum value")),
        ({"chat_history": [{"message": "x"}]}, malformed("#/chat_history/0: required key [role] not found")),
        ({"tools": [{"name": "f"}]}, malformed("#/tools/0: required key [description] not found")),
        ({"tools": [{"name": "f", "description": "", "parameter_definitions": {"a": {}}}]},
         malformed("#/tools/0/parameter_definitions/a: required key [type] not found")),
        ({"tools": [{"name": "f", "description": "", "parameter_definitions": {"a": 1}}]},
         malformed("#/tools/0/parameter_definitions/a: expected type: JSONObject, found: Integer")),
        ({"tool_results": [{"outputs": []}]}, malformed("#/tool_results/0: required key [call] not found")),
        ({"tool_results": [RESULT]}, "tools: They must be given where tool_results are."),
        ({"chat_history": [{"role": "CHATBOT", "message": "x"}]},
         "chat_history: A conversation must start with a message of the USER."),
        ({"chat_history": [{"role": "USER", "message": "x"},
                           {"role": "CHATBOT", "message": "", "tool_calls": [CALL]}]},
         "chat_history.1.tool_calls: The results of these calls are missing."),
        ({"chat_history": [{"role": "USER", "message": "x"}, {"role": "CHATBOT", "tool_calls": [CALL]},
                           {"role": "USER", "message": "y"}]},
         "chat_history.1.tool_calls: The results of these calls are missing."),
        ({"search_queries_only": True}, "search_queries_only: This model doesn't support search queries."),
        ({"return_prompt": True}, "return_prompt: This model doesn't support returning the prompt."),
        ({"prompt_truncation": "AUTO_PRESERVE_ORDER"},
         "prompt_truncation: This model doesn't cut prompts. Use OFF and try again."),
        ({"raw_prompting": True, "preamble": "x", "tools": [TOOL]},
         "raw_prompting: The message is the whole prompt. Remove preamble, tools."),
        ({"max_tokens": 5000}, malformed("#/max_tokens: 5000 is not less or equal to 4096")),
    ],
)  # fmt: skip
def test_refusals(bench: Bench, changes: dict[str, Any], problem: str) -> None:
    assert refused(bench, **{"message": "a", **changes}) == problem
