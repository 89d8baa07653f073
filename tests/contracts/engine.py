"""What every engine keeps. A test module for an engine gives the fixture `subject` and imports these tests with `*`.

Nothing here asks for sense in an answer: a model may be as weak as it likes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import jsonschema
import pytest

from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    ContextOverflow,
    Delta,
    Engine,
    Finish,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    Sampling,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    ToolChoice,
    ToolResult,
    Unsupported,
)

T = TypeVar("T")

GREEDY = Sampling(max_tokens=160, temperature=0)
WEATHER = Tool(
    "get_weather",
    "Get the weather of a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
)
ORDER = Tool(
    "place_order",
    "Order a product",
    {
        "type": "object",
        "$defs": {"size": {"enum": ["small", "large"]}},
        "properties": {
            "product": {"type": "string", "enum": ["tea", "coffee"]},
            "count": {"type": "integer"},
            "size": {"$ref": "#/$defs/size"},
            "notes": {"type": "array", "items": {"type": "string", "enum": ["hot", "cold"]}},
        },
        "required": ["product", "count", "size"],
        "additionalProperties": False,
    },
    strict=True,
)
# No free text in it: a weak model never ends a string.
PERSON = {
    "type": "object",
    "properties": {
        "name": {"enum": ["Maria", "John"]},
        "age": {"type": "integer"},
        "city": {"anyOf": [{"type": "string", "enum": ["Oslo", "Rome"]}, {"type": "null"}]},
    },
    "required": ["name", "age", "city"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Subject:
    """How to open a fresh engine, and what it does not promise."""

    open: Callable[[], AbstractAsyncContextManager[Engine]]
    says_which_stop: bool = True
    counts: bool = True
    forces_tools: bool = True
    completes: bool = True
    seeds: bool = True

    def run(self, use: Callable[[Engine], Awaitable[T]]) -> T:
        async def inner() -> T:
            async with asyncio.timeout(120), self.open() as engine:
                return await use(engine)

        return asyncio.run(inner())

    def ask(self, request: ChatRequest) -> list[Delta]:
        return self.run(lambda engine: collected(engine.chat(request)))


async def collected(deltas: AsyncIterator[Delta]) -> list[Delta]:
    return [delta async for delta in deltas]


def user(text: str, **more: Any) -> ChatRequest:
    return ChatRequest((Message("user", (Text(text),)),), **{"sampling": GREEDY, **more})


def text_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def finish_of(deltas: Sequence[Delta]) -> Finish:
    """The one at the end; there is no other."""
    ends = [delta for delta in deltas if isinstance(delta, Finish)]
    assert len(ends) == 1
    assert deltas[-1] is ends[0]
    return ends[0]


def calls_of(deltas: Sequence[Delta]) -> list[tuple[str, Any]]:
    starts = {delta.index: delta.name for delta in deltas if isinstance(delta, ToolCallStart)}
    assert list(starts) == list(range(len(starts))), "calls are numbered from 0"
    pieces: dict[int, str] = dict.fromkeys(starts, "")
    for delta in deltas:
        if isinstance(delta, ToolCallDelta):
            pieces[delta.index] += delta.fragment
    return [(name, json.loads(pieces[index] or "{}")) for index, name in starts.items()]


def able(subject: Subject) -> Capabilities:
    return subject.run(lambda engine: engine.capabilities())


def needs(subject: Subject, *names: str) -> None:
    lacking = [name for name in names if not getattr(able(subject), name)]
    if lacking:
        pytest.skip(f"this model has no {', '.join(lacking)}")


def test_an_answer_ends_once_and_says_what_it_cost(subject: Subject) -> None:
    deltas = subject.ask(user("Hello"))
    finish = finish_of(deltas)
    assert finish.reason in ("stop", "length")
    assert text_of(deltas)
    assert 0 < finish.usage.output_tokens <= 160
    assert finish.usage.input_tokens > 0
    assert 0 <= finish.usage.cached_tokens <= finish.usage.input_tokens
    assert not [delta for delta in deltas if isinstance(delta, TextDelta | ReasoningDelta) and not delta.text]


@pytest.mark.parametrize("tools", [(), (WEATHER, ORDER)], ids=["plain", "tools"])
def test_counting_is_what_answering_costs(subject: Subject, tools: tuple[Tool, ...]) -> None:
    if not subject.counts:
        pytest.skip("this server cannot count")
    if tools:
        needs(subject, "tools")
    request = user("What is the weather in Oslo, and who are you?", tools=tools)

    async def both(engine: Engine) -> tuple[int, int]:
        return await engine.count_tokens(request), finish_of(await collected(engine.chat(request))).usage.input_tokens

    counted, used = subject.run(both)
    assert counted == used


def test_more_text_counts_more(subject: Subject) -> None:
    if not subject.counts:
        pytest.skip("this server cannot count")

    async def counts(engine: Engine) -> tuple[int, int]:
        return await engine.count_tokens(user("one")), await engine.count_tokens(user("one two three four"))

    short, long = subject.run(counts)
    assert 0 < short < long


def test_max_tokens_cuts_and_says_so(subject: Subject) -> None:
    deltas = subject.ask(user("Count from one to twelve.", sampling=Sampling(max_tokens=3, temperature=0)))
    finish = finish_of(deltas)
    assert finish.reason == "length"
    assert finish.usage.output_tokens == 3


def test_a_stop_sequence_cuts_before_itself(subject: Subject) -> None:
    whole = text_of(subject.ask(user("Count from one to twelve.")))
    assert len(whole) > 6
    stop = whole[4:6]
    deltas = subject.ask(user("Count from one to twelve.", sampling=replace(GREEDY, stop=("never met", stop))))
    finish = finish_of(deltas)
    assert text_of(deltas) == whole[: whole.find(stop)]
    if subject.says_which_stop:
        assert (finish.reason, finish.stop_sequence) == ("stop_sequence", stop)
        assert finish.usage.output_tokens > 0


def test_the_same_seed_gives_the_same_answer(subject: Subject) -> None:
    hot = Sampling(max_tokens=40, temperature=1.0, seed=11)
    if not subject.seeds:
        with pytest.raises(Unsupported):
            subject.ask(user("Tell me something.", sampling=hot))
        return

    async def twice(engine: Engine) -> list[str]:
        # The first fills the prefix cache, so that the two that are compared are computed alike.
        return [text_of(await collected(engine.chat(user("Tell me something.", sampling=hot)))) for _ in range(3)]

    _, first, second = subject.run(twice)
    assert first == second


def test_a_system_message_and_a_long_conversation(subject: Subject) -> None:
    turns = [Message("system", (Text("Be brief."),))]
    for number in range(4):
        turns += [Message("user", (Text(f"Say {number}."),)), Message("assistant", (Text(str(number)),))]
    turns.append(Message("user", (Text("Say 5."),)))
    assert finish_of(subject.ask(ChatRequest(tuple(turns), sampling=GREEDY))).usage.input_tokens > 20


def test_a_prefill_is_continued_and_not_repeated(subject: Subject) -> None:
    turns = (Message("user", (Text("Count from one to five."),)), Message("assistant", (Text("one, two,"),)))
    deltas = subject.ask(ChatRequest(turns, sampling=GREEDY))
    finish_of(deltas)
    assert not text_of(deltas).startswith("one, two,")


@pytest.mark.parametrize(
    "choice", [ToolChoice("any"), ToolChoice("tool", "place_order"), ToolChoice("tool", "get_weather")], ids=str
)
def test_a_call_that_must_happen_happens_and_fits(subject: Subject, choice: ToolChoice) -> None:
    needs(subject, "tools")
    if not subject.forces_tools:
        pytest.skip("this server does not hold a call to its schema")
    tools = {tool.name: tool for tool in (WEATHER, ORDER)}
    deltas = subject.ask(user("Hello, two large cups of tea please.", tools=tuple(tools.values()), tool_choice=choice))
    assert finish_of(deltas).reason == "tool_calls"
    calls = calls_of(deltas)
    assert calls
    for name, arguments in calls:
        assert choice.name in (None, name)
        jsonschema.validate(arguments, dict(tools[name].schema))


def test_no_call_where_none_may_happen(subject: Subject) -> None:
    needs(subject, "tools")
    deltas = subject.ask(user("What is the weather in Oslo?", tools=(WEATHER,), tool_choice=ToolChoice("none")))
    assert finish_of(deltas).reason in ("stop", "length")
    assert not calls_of(deltas)


def test_a_call_of_its_own_accord_is_whole_or_said_to_be_malformed(subject: Subject) -> None:
    needs(subject, "tools")
    deltas = subject.ask(user("What is the weather in Oslo?", tools=(WEATHER, ORDER)))
    if finish_of(deltas).reason == "tool_calls":
        assert all(
            name in ("get_weather", "place_order") and isinstance(given, dict) for name, given in calls_of(deltas)
        )


def test_the_result_of_a_tool_is_taken(subject: Subject) -> None:
    needs(subject, "tools")
    turns = (
        Message("user", (Text("What is the weather in Oslo?"),)),
        Message("assistant", (Reasoning("A tool knows."), ToolCall("c1", "get_weather", {"city": "Oslo"}))),
        Message("user", (ToolResult("c1", (Text('{"sky": "sunny"}'),)), Text("And in Rome?"))),
    )
    with_result = subject.ask(ChatRequest(turns, tools=(WEATHER,), sampling=GREEDY))
    finish_of(with_result)


def test_json_fits_its_schema(subject: Subject) -> None:
    needs(subject, "json_schema")
    for prompt in ("Extract the data: Maria is 34 and lives in Rome.", "Hello"):
        deltas = subject.ask(user(prompt, json_schema=PERSON))
        assert finish_of(deltas).reason == "stop"
        jsonschema.validate(json.loads(text_of(deltas)), PERSON)


def test_tools_and_a_schema_together(subject: Subject) -> None:
    """Whatever the model chooses fits: a call of a tool, or the answer's schema."""
    needs(subject, "tools", "json_schema")
    if not subject.forces_tools:
        pytest.skip("this server takes one or the other")
    for prompt in ("What is the weather in Oslo?", "Extract the data: Maria is 34 and lives in Rome."):
        deltas = subject.ask(user(prompt, tools=(ORDER,), json_schema=PERSON))
        calls = calls_of(deltas)
        assert finish_of(deltas).reason == ("tool_calls" if calls else "stop")
        for _, arguments in calls:
            jsonschema.validate(arguments, dict(ORDER.schema))
        if not calls:
            jsonschema.validate(json.loads(text_of(deltas)), PERSON)


def test_what_does_not_fit_the_context_is_refused(subject: Subject) -> None:
    limit = able(subject).context_tokens
    with pytest.raises(ContextOverflow):
        subject.ask(user("word " * (limit + 100)))


def test_a_closed_answer_frees_the_engine(subject: Subject) -> None:
    async def abandon_many(engine: Engine) -> Finish:
        for _ in range(12):
            deltas = cast(
                Any, engine.chat(user("Count from one to twelve.", sampling=Sampling(max_tokens=400, temperature=1.0)))
            )
            await anext(deltas)
            await deltas.aclose()
        return finish_of(await collected(engine.chat(user("Hello"))))

    assert subject.run(abandon_many).usage.output_tokens > 0


def test_many_at_once_do_not_mix(subject: Subject) -> None:
    questions = [f"Count from {n} to {n + 4}." for n in range(10, 18)]

    async def at_once(engine: Engine) -> list[list[Delta]]:
        return await asyncio.gather(*(collected(engine.chat(user(question))) for question in questions))

    together = subject.run(at_once)
    assert all(finish_of(deltas).usage.output_tokens > 0 for deltas in together)
    if subject.counts:

        async def counted(engine: Engine) -> list[int]:
            return [await engine.count_tokens(user(question)) for question in questions]

        assert [finish_of(deltas).usage.input_tokens for deltas in together] == subject.run(counted)


def test_start_and_close_may_be_called_again(subject: Subject) -> None:
    async def again(engine: Engine) -> bool:
        await engine.start()
        await engine.start()
        ready = engine.ready()
        await engine.close()
        await engine.close()
        await engine.start()
        finish_of(await collected(engine.chat(user("Hello"))))
        return ready

    assert subject.run(again)


def test_raw_completion(subject: Subject) -> None:
    request = CompletionRequest("one two three", sampling=Sampling(max_tokens=5, temperature=0))
    if not subject.completes:
        with pytest.raises(Unsupported):
            subject.run(lambda engine: collected(engine.complete(request)))
        return
    finish = finish_of(subject.run(lambda engine: collected(engine.complete(request))))
    assert 0 < finish.usage.output_tokens <= 5
    assert finish.usage.input_tokens > 0


def test_what_it_cannot_do_it_says(subject: Subject) -> None:
    can = able(subject)
    if not can.images:
        with pytest.raises(Unsupported):
            subject.ask(ChatRequest((Message("user", (Image("png", b"x"), Text("What is it?"))),)))
    if not can.embeddings:
        with pytest.raises(Unsupported):
            subject.run(lambda engine: engine.embed(["a"]))
    if not can.rerank:
        with pytest.raises(Unsupported):
            subject.run(lambda engine: engine.rerank("a", ["b"]))


def test_embeddings_and_scores(subject: Subject) -> None:
    needs(subject, "embeddings", "rerank")
    vectors, usage = subject.run(lambda engine: engine.embed(["red tea", "green tea", "red tea"]))
    assert len(vectors) == 3
    assert len({len(vector) for vector in vectors}) == 1
    assert vectors[0] == vectors[2] != vectors[1]
    assert usage.input_tokens > 0
    scores, _ = subject.run(lambda engine: engine.rerank("red tea", ["a car", "red tea"]))
    assert scores[1] > scores[0]
