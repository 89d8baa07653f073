"""What the embedded decoder makes of our grammars, and what happens where it cannot read one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import (
    ChatRequest,
    InvalidRequest,
    Json,
    Message,
    ReasoningDelta,
    Sampling,
    Text,
    Tool,
    ToolChoice,
)
from outcrop.engines.llamacpp import answers, grammar
from outcrop.engines.llamacpp.calls import CallReader
from outcrop.engines.llamacpp.engine import LlamaCpp
from outcrop.engines.llamacpp.grammar import MARK, call_grammar, is_held, probe
from outcrop.engines.openai.http import Http
from outcrop.models.specs import house_path
from outcrop.settings import EngineSettings, ModelSpec
from tests.inference.structured.house import House, calls_of, finish_of, opened, text_of
from tests.inference.structured.judging import fits

GREEDY = Sampling(max_tokens=120, temperature=0)
QUESTION = "What is the weather in Oslo?"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened(tmp_path_factory.mktemp("home")) as house:
        yield house


def weather(city: Json | bool, *, strict: bool = False) -> Tool:
    """The house model calls it with the city's name, whatever its schema says."""
    schema = {"type": "object", "properties": {"city": city}, "required": ["city"], "additionalProperties": False}
    return Tool("get_weather", "Get the weather of a city", schema, strict)


def test_a_grammar_that_the_decoder_cannot_read_holds_nothing(house: House) -> None:
    """Why grammars are tried: llama.cpp says nothing, and the answer is free."""

    async def said(text: str) -> str:
        http = await house.engine._current.started()
        body = {"prompt": "Hello", "grammar": text, "n_predict": 4, "temperature": 0}
        answer = await http.post("//completion", body)
        return str(answer["content"])

    bad = '%llguidance {}\nstart: answer\nanswer: %json {"uniqueItems": true}\n'
    good = '%llguidance {}\nstart: answer\nanswer: %json {"type": "integer"}\n'
    assert not house.run(said(bad)).strip().isdecimal()
    assert not is_held(house.run(said(probe(bad))), 4)
    assert is_held(house.run(said(probe(good))), 4)


@pytest.mark.parametrize(
    ("text", "held"),
    [(MARK[:4], True), (MARK, True), (MARK + "1", True), ("#", False), ("", False), ("# A title", False)],
)
def test_only_the_mark_shows_that_it_is_held(text: str, held: bool) -> None:
    assert is_held(text, 4) is held


def test_what_the_decoder_cannot_read_is_refused(house: House) -> None:
    """Lookahead: a pattern to JSON Schema, and none to a decoder."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^(?=a)b"}}, "required": ["a"]}
    with pytest.raises(InvalidRequest, match="cannot be enforced"):
        house.answer(schema)
    with pytest.raises(InvalidRequest, match="cannot be enforced"):
        house.call((Tool("f", "", schema),), ToolChoice("any"))
    # And again: what was found bad is not remembered to be good.
    with pytest.raises(InvalidRequest, match="cannot be enforced"):
        house.answer(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "null"}, "maxItems": 10**9},
        {"type": "array", "items": {"type": "array", "items": {"type": "null"}, "maxItems": 1000}, "minItems": 1000},
        {"type": "string", "minLength": 10**8},
        {"type": "string", "pattern": "^((a|b){0,60}c{0,60}){0,60}[ab]{500}$"},
        {"type": "object", "properties": {f"p{n}": {"type": "integer"} for n in range(1500)}},
        {"enum": [f"value {n}" for n in range(5000)]},
    ],
    ids=["items", "items of items", "letters", "pattern", "properties", "values"],
)
def test_a_schema_cannot_bring_the_model_down(house: House, schema: Json) -> None:
    """It is answered or refused, and the next one is served."""
    with contextlib.suppress(InvalidRequest):
        assert finish_of(house.answer(schema, tokens=20)).reason in ("stop", "length")
    assert json.loads(text_of(house.tame("Hello", json_schema={"const": 1}))) == 1


@pytest.mark.parametrize(
    "more",
    [{"json_schema": {"const": "first"}}, {"tools": (weather({"const": "a"}),), "tool_choice": ToolChoice("any")}],
    ids=["answer", "call"],
)
def test_trying_a_grammar_is_not_told_as_a_cached_prompt(house: House, more: dict[str, Any]) -> None:
    prompt = "A question that nobody has asked so far, of a length that shows in the counts: why is the sky blue?"
    house.tame("Something else.")
    first, again = (finish_of(house.tame(prompt, **more)).usage for _ in range(2))
    assert first.input_tokens == again.input_tokens > 40
    assert first.cached_tokens < 20 < again.cached_tokens


def test_a_grammar_is_tried_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    post = Http.post

    async def counted(self: Http, path: str, body: Any) -> Any:
        if path == "//completion":
            tried.append(body["grammar"])
        return await post(self, path, body)

    monkeypatch.setattr(Http, "post", counted)
    for _ in range(3):
        house.answer({"const": "tried once"})
        house.call((weather({"const": "once"}),), ToolChoice("any"))
    assert len(tried) == 2


@pytest.mark.parametrize(
    "city",
    [
        {"type": "string", "format": "ipv6"},
        {"type": "string", "format": "uri"},
        {"allOf": [{"type": "string"}, {"enum": ["Rome", "Bergen"]}]},
        {"type": "string", "anyOf": [{"const": "Rome"}, {"const": "Bergen"}]},
        {"$ref": "#/properties/other", "type": "string"},
    ],
    ids=str,
)  # fmt: skip
def test_a_strict_call_that_misses_its_schema_is_written_anew(
    house: House, city: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    anew: list[str] = []
    written = answers.Answers._written_anew

    def counted(self: Any, *given: Any) -> Any:
        anew.append(given[1])
        return written(self, *given)

    monkeypatch.setattr(answers.Answers, "_written_anew", counted)
    tool = weather(city, strict=True)
    properties: dict[str, Any] = {**dict(tool.schema)["properties"], "other": {"enum": ["Rome"]}}  # type: ignore[dict-item]  # JSON
    tool = replace(tool, schema={**tool.schema, "properties": properties})
    deltas = house.tame(QUESTION, tools=(tool,))
    assert finish_of(deltas).reason == "tool_calls"
    ((name, text),) = calls_of(deltas)
    assert name == "get_weather"
    assert fits(text, tool.schema)
    if "format" in city:
        assert anew == [""]
        assert finish_of(deltas).usage.output_tokens > 20


def test_a_call_that_is_written_anew_keeps_within_its_tokens(house: House) -> None:
    tool = weather({"type": "string", "format": "ipv6"}, strict=True)
    whole = finish_of(house.tame(QUESTION, tools=(tool,))).usage.output_tokens
    cuts = {most: finish_of(house.tame(QUESTION, most, tools=(tool,))) for most in range(1, whole + 1)}
    assert {most: finish.reason for most, finish in cuts.items()} == {
        most: "tool_calls" if most == whole else "length" for most in cuts
    }
    assert all(finish.usage.output_tokens <= most for most, finish in cuts.items())


def test_a_tool_that_is_not_strict_and_called_freely_is_left_alone(house: House) -> None:
    deltas = house.tame(QUESTION, tools=(weather({"type": "string", "format": "ipv6"}),))
    assert json.loads(calls_of(deltas)[0][1]) == {"city": "Oslo"}


THINKER = (
    "{%- for m in messages -%}<|im_start|>{{ m.role }}\n"
    "{%- if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}<|im_end|>\n"
    "{%- endfor -%}{%- if add_generation_prompt -%}<|im_start|>assistant\nOPENING"
    "{%- if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{%- endif -%}"
)


@pytest.mark.parametrize("opening", ["", "<think>\n"], ids=["may think", "is thinking"])
def test_thoughts_come_before_the_answer_and_are_not_held(
    tmp_path: Path, opening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Any thoughts, but short ones: the house model, which knows none, would never end them.
    monkeypatch.setattr(grammar, "_THOUGHT", "/[ -;=-~]{5,20}/")
    with thinking(tmp_path, THINKER.replace("OPENING", opening)) as thinker:
        thoughtful = 0
        for seed in range(8):
            deltas = thinker.answer({"enum": ["yes", "no"]}, seed=seed)
            assert finish_of(deltas).reason == "stop"
            assert json.loads(text_of(deltas)) in ("yes", "no")
            thoughts = "".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta))
            assert "think>" not in thoughts
            thoughtful += bool(thoughts)
    assert thoughtful == 8 if opening else thoughtful > 0


def test_thoughts_are_free(tmp_path: Path) -> None:
    """And are cut like any answer."""
    with thinking(tmp_path, THINKER.replace("OPENING", "<think>\n")) as thinker:
        deltas = thinker.answer({"enum": ["yes", "no"]}, tokens=50)
    assert finish_of(deltas).reason == "length"
    assert not text_of(deltas)
    assert len("".join(delta.text for delta in deltas if isinstance(delta, ReasoningDelta))) > 50


def thinking(home: Path, template: str) -> AbstractContextManager[House]:
    """The house model with another template."""

    class Thinker(LlamaCpp):
        def _parameters(self) -> dict[str, Any]:
            return {**super()._parameters(), "chat_template": template}

    spec = ModelSpec(id="thinker", engine="llamacpp", path=str(house_path()), threads=1, context_tokens=4096, slots=1)
    engine = Thinker(spec, EngineSettings(), home)
    engine.__dict__["file"] = replace(engine.file, chat_template=template)
    return opened(home, engine, closing=[["<", 8.0]])


@pytest.mark.parametrize(
    "city",
    [
        True,
        {"items": True},
        {"$ref": "#"},
        {"$ref": "#/nowhere"},
        {"type": "weird"},
        {"anyOf": [True]},
        {"type": "string", "pattern": "^(?=a)b$"},
    ],
    ids=str,
)
def test_a_tool_that_promises_nothing_is_called_whatever_its_schema(house: House, city: Any) -> None:
    deltas = house.tame(QUESTION, tools=(weather(city),))
    assert finish_of(deltas).reason in ("tool_calls", "stop")
    for name, text in calls_of(deltas):
        assert name == "get_weather"
        assert isinstance(json.loads(text), dict)


def test_calls_and_answers_are_told_apart_by_their_first_letter(house: House) -> None:
    """An answer that looks like a call is an answer."""
    schema = {"const": {"name": "get_weather", "arguments": {"city": "nowhere"}}}
    tool = weather({"const": "Oslo"}, strict=True)
    seen = set()
    for prompt in (QUESTION, "Extract the data: Maria is 34."):
        deltas = house.tame(prompt, tools=(tool,), json_schema=schema)
        if finish_of(deltas).reason == "stop":
            assert json.loads(text_of(deltas)) == schema["const"]
            assert not calls_of(deltas)
        else:
            assert json.loads(calls_of(deltas)[0][1]) == {"city": "Oslo"}
            assert not text_of(deltas)
        seen.add(finish_of(deltas).reason)
    assert seen == {"stop", "tool_calls"}


def test_a_tool_without_declared_properties_has_those_it_requires() -> None:
    assert '"properties":{"a":' in call_grammar(
        [Tool("f", "", {"type": "object", "properties": {}, "required": ["a"]})]
    )
    assert '"enum":[{}]' in call_grammar([Tool("f", "", {"type": "object", "properties": {}, "required": []})])


def test_names_of_tools_cannot_break_out_of_the_grammar() -> None:
    text = call_grammar([Tool('a"\n', "", {"type": "object"})])
    assert text.count("\n") == 5
    assert grammar.CALL.startswith("<")


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_call_is_read_from_pieces_of_any_size(size: int) -> None:
    text = '{"name": "f", "arguments": {"a": {"b": "}}"}}}'
    reader = CallReader(2)
    deltas = [delta for at in range(0, len(text), size) for delta in reader.feed(text[at : at + size])]
    assert calls_of([*deltas, *reader.end(whole=True)]) == [("f", '{"a": {"b": "}}"}}')]
    assert deltas[0].index == 2  # type: ignore[union-attr]  # a start


def test_requests_at_once_do_not_share_their_grammars(house: House) -> None:
    async def asked(value: int) -> str:
        request = ChatRequest((Message("user", (Text("Hello"),)),), json_schema={"const": value}, sampling=GREEDY)
        return text_of([delta async for delta in house.engine.chat(request)])

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(asked(value) for value in range(12)))

    assert house.run(all_at_once()) == [str(value) for value in range(12)]
