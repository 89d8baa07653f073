"""What holds for all families."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from outcrop.engines.engine import (
    ContextOverflow,
    EngineBusy,
    EngineFailed,
    Finish,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from outcrop.errors import ModelErrorException, ThrottlingException, ValidationException
from outcrop.inference.families import FAMILIES
from outcrop.inference.families.family import computes
from outcrop.inference.families.forms import FORMS
from outcrop.inference.operations import count_tokens, invoke_model, invoke_model_with_response_stream
from outcrop.settings import FamilyName
from tests.inference.bench import MODEL
from tests.inference.families.calls import bench_of, embeds, invoke, malformed, not_computed, refused, stream, told

MESSAGES = [{"role": "user", "content": "Hi you"}]
NOVA_MESSAGES = [{"role": "user", "content": [{"text": "Hi you"}]}]
ANTHROPIC = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": MESSAGES}

# The smallest body of each family that generates.
PROMPTS: dict[FamilyName, dict[str, Any]] = {
    "anthropic": ANTHROPIC,
    "cohere-command": {"prompt": "Hi you"},
    "cohere-command-r": {"message": "Hi you"},
    "deepseek-r1": {"prompt": "Hi you"},
    "gpt-oss": {"messages": MESSAGES},
    "imported": {"prompt": "Hi you"},
    "jamba": {"messages": MESSAGES},
    "llama": {"prompt": "Hi you"},
    "mistral": {"prompt": "Hi you"},
    "mistral-chat": {"messages": MESSAGES},
    "nova": {"messages": NOVA_MESSAGES},
    "openai-chat": {"messages": MESSAGES},
    "titan-text": {"inputText": "Hi you"},
}
# And of each that computes.
COMPUTED: dict[FamilyName, dict[str, Any]] = {
    "amazon-rerank": {"query": "q", "documents": ["a", "b"]},
    "cohere-embed": {"texts": ["a"], "input_type": "search_query"},
    "cohere-embed-v4": {"texts": ["a"], "input_type": "search_query"},
    "cohere-rerank": {"query": "q", "documents": ["a", "b"], "api_version": 2},
    "titan-embed-image": {"inputText": "a"},
    "titan-embed-v1": {"inputText": "a"},
    "titan-embed-v2": {"inputText": "a"},
}
# What a family takes besides.
TAKEN: dict[FamilyName, tuple[str, ...]] = {
    "imported": ("messages",),
    "mistral": ("messages",),
    "mistral-chat": ("prompt",),
}
GENERATING = sorted(PROMPTS)
NAMES = sorted(get_args(FamilyName))


def test_each_name_has_a_family_and_a_form() -> None:
    assert sorted(FAMILIES) == sorted(FORMS) == NAMES == sorted([*PROMPTS, *COMPUTED])


@pytest.mark.parametrize("family", NAMES)
def test_a_family_computes_or_generates(family: FamilyName) -> None:
    assert computes(FAMILIES[family]) == (family in COMPUTED)


@pytest.mark.parametrize("family", GENERATING)
def test_whole_and_streamed_say_the_same(tmp_path: Path, family: FamilyName) -> None:
    bench = bench_of(tmp_path, family)
    bench.engine.deltas = told("Hel", "lo")
    assert "Hello" in json.dumps(invoke(bench, **PROMPTS[family]))
    chunks = json.dumps(stream(bench, **PROMPTS[family]))
    assert '"Hel"' in chunks
    assert '"lo"' in chunks


@pytest.mark.parametrize("family", GENERATING)
def test_an_empty_answer_is_an_answer(tmp_path: Path, family: FamilyName) -> None:
    bench = bench_of(tmp_path, family)
    bench.engine.deltas = told()
    assert invoke(bench, **PROMPTS[family])
    assert stream(bench, **PROMPTS[family])


@pytest.mark.parametrize("family", GENERATING)
def test_tokens_are_told_in_headers(tmp_path: Path, family: FamilyName) -> None:
    bench = bench_of(tmp_path, family)
    bench.engine.deltas = told("Hello")
    invoke(bench, **PROMPTS[family])
    headers = bench.ctx.response_headers
    counted = [headers[f"x-amzn-bedrock-{name}-token-count"] for name in ("input", "cache-read-input", "output")]
    assert counted == ["9", "2", "5"]


@pytest.mark.parametrize("family", sorted(set(GENERATING) - {"anthropic", "nova", "gpt-oss", "openai-chat"}))
def test_thoughts_are_not_said(tmp_path: Path, family: FamilyName) -> None:
    """No family of raw text has a member for them; those with messages have one beside the content."""
    bench = bench_of(tmp_path, family)
    bench.engine.deltas = [ReasoningDelta("hm"), TextDelta("Hello"), Finish("stop", Usage(1, 2))]
    answer = invoke(bench, **PROMPTS[family])
    if family in ("jamba", "mistral-chat"):
        assert answer["choices"][0]["message"].pop("reasoning_content") == "hm"
    assert "hm" not in json.dumps(answer)
    chunks = stream(bench, **PROMPTS[family])
    for chunk in chunks if family in ("jamba", "mistral-chat") else ():
        for choice in chunk.get("choices", ()):
            choice["delta"].pop("reasoning_content", None)
            choice.get("message", {}).pop("reasoning_content", None)
    assert "hm" not in json.dumps(chunks)


@pytest.mark.parametrize("family", GENERATING)
def test_engines_that_cannot_count_ahead(tmp_path: Path, family: FamilyName) -> None:
    bench = bench_of(tmp_path, family, count_tokens=False)
    bench.engine.deltas = told("Hello")
    assert "Hello" in json.dumps(stream(bench, **PROMPTS[family]))


@pytest.mark.parametrize("family", GENERATING)
def test_a_model_that_does_not_generate(tmp_path: Path, family: FamilyName) -> None:
    bench = bench_of(tmp_path, family, chat=False)
    assert refused(bench, **PROMPTS[family]).startswith("This model doesn't support ")


@pytest.mark.parametrize("family", GENERATING)
@pytest.mark.parametrize("operation", [invoke_model, invoke_model_with_response_stream])
def test_engines_that_fail(tmp_path: Path, family: FamilyName, operation: Any) -> None:
    bench = bench_of(tmp_path, family)
    body = json.dumps(PROMPTS[family]).encode()
    for problem, error in (
        (ContextOverflow(5000, 4096), ValidationException),
        (EngineBusy("full"), ThrottlingException),
        (EngineFailed("broken"), ModelErrorException),
    ):
        bench.engine.deltas = [problem]
        with pytest.raises(error):
            bench.call(operation, body=body)


@pytest.mark.parametrize("family", NAMES)
def test_a_body_that_is_no_object(tmp_path: Path, family: FamilyName) -> None:
    bench = embeds(tmp_path, family, chat=True)
    for body, problem in (
        (b"[]", malformed("#: expected type: JSONObject, found: JSONArray")),
        (b"{", "Malformed input request, please reformat your input and try again."),
        (b"", "Malformed input request, please reformat your input and try again."),
    ):
        with pytest.raises(ValidationException) as error:
            bench.call(invoke_model, body=body)
        assert error.value.message == problem


@pytest.mark.parametrize("family", NAMES)
def test_an_unknown_key(tmp_path: Path, family: FamilyName) -> None:
    bench = embeds(tmp_path, family, chat=True)
    body = {**PROMPTS, **COMPUTED}[family]
    assert not_computed(bench, **body, nonsense=1) == malformed("#: extraneous key [nonsense] is not permitted")


@pytest.mark.parametrize("family", NAMES)
def test_null_is_not_given(tmp_path: Path, family: FamilyName) -> None:
    bench = embeds(tmp_path, family, chat=True)
    body = {**PROMPTS, **COMPUTED}[family]
    bench.engine.scores = [1.0, 2.0]
    optional = {"llama": "top_p", "titan-text": "textGenerationConfig", "cohere-embed": "truncate", "jamba": "stop"}
    assert invoke(bench, **body, **{optional[family]: None} if family in optional else {})


@pytest.mark.parametrize("family", NAMES)
def test_a_body_of_another_family_is_told_what_this_one_takes(tmp_path: Path, family: FamilyName) -> None:
    bench = embeds(tmp_path, family, chat=True)
    taken = {*{**PROMPTS, **COMPUTED}[family], *TAKEN.get(family, ())}
    name, members = FORMS[family]
    for body in (*PROMPTS.values(), *COMPUTED.values(), {"input": "nobody's"}):
        if body.keys().isdisjoint(taken):
            told = not_computed(bench, **body)
            assert told.endswith(f" This model takes {name} bodies: {', '.join(members)}."), body


def test_the_words_of_a_foreign_body(tmp_path: Path) -> None:
    told = refused(bench_of(tmp_path, "llama"), **ANTHROPIC)
    assert told == malformed("4 schema violations found") + (
        " This model takes Meta Llama bodies: prompt, max_gen_len, temperature, top_p."
    )


def test_claudes_words_stay_as_they_are_for_its_own_body(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, "anthropic")
    assert refused(bench, max_tokens=9, messages=MESSAGES) == malformed("#: required key [anthropic_version] not found")


@pytest.mark.parametrize("family", sorted(COMPUTED))
def test_what_is_computed_is_not_streamed(tmp_path: Path, family: FamilyName) -> None:
    bench = embeds(tmp_path, family, chat=True, streaming=True)
    with pytest.raises(ValidationException, match=r"^The model is unsupported for streaming\.$"):
        bench.call(invoke_model_with_response_stream, body=json.dumps(COMPUTED[family]).encode())


@pytest.mark.parametrize("family", sorted(COMPUTED))
def test_what_is_computed_is_not_counted(tmp_path: Path, family: FamilyName) -> None:
    bench = embeds(tmp_path, family, count_tokens=True)
    with pytest.raises(ValidationException, match=r"^The provided model doesn't support counting tokens\.$"):
        bench.call(count_tokens, input={"invokeModel": {"body": json.dumps(COMPUTED[family]).encode()}})


@pytest.mark.parametrize("family", sorted(COMPUTED))
def test_a_model_that_computes_nothing(tmp_path: Path, family: FamilyName) -> None:
    bench = bench_of(tmp_path, family)
    what = "reranking" if "rerank" in family else "embeddings"
    assert not_computed(bench, **COMPUTED[family]) == f"This model doesn't support {what}."


@pytest.mark.parametrize("family", GENERATING)
def test_prompts_are_counted(tmp_path: Path, family: FamilyName) -> None:
    bench = bench_of(tmp_path, family)
    body = json.dumps(PROMPTS[family]).encode()
    counted = bench.call(count_tokens, input={"invokeModel": {"body": body}})["inputTokens"]
    raw = family in ("deepseek-r1", "imported", "llama", "mistral")
    assert counted == (2 if raw else 10)
    assert not bench.engine.asked


def test_a_body_that_cannot_be_counted(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, "llama")
    with pytest.raises(ValidationException) as problem:
        bench.call(count_tokens, input={"invokeModel": {"body": b'{"messages":[]}'}})
    assert "This model takes Meta Llama bodies" in problem.value.message


def test_the_model_is_the_bench_s(tmp_path: Path) -> None:
    assert bench_of(tmp_path, "llama").ctx.catalogue.resolve(MODEL, account="1", region="r").family == "llama"


@pytest.mark.parametrize("family", GENERATING)
def test_who_goes_away_ends_the_generation(tmp_path: Path, family: FamilyName) -> None:
    bench = bench_of(tmp_path, family)
    bench.engine.deltas = told("Hel", "lo")
    bench.engine.hold = True

    async def run() -> None:
        request: Any = {"modelId": MODEL, "body": json.dumps(PROMPTS[family]).encode()}
        chunks: Any = (await invoke_model_with_response_stream(bench.ctx, request))["body"]
        await anext(chunks)
        assert bench.engine.closed == 0
        await chunks.aclose()
        assert bench.engine.closed == 1

    asyncio.run(run())
