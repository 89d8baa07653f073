"""What is refused: requests that ask for what is not built, conversations that break the rules, engines that fail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from outcrop.engines.engine import EngineBusy, EngineFailed, InvalidRequest
from outcrop.errors import AwsError
from outcrop.inference.operations import (
    converse,
    converse_stream,
    invoke_model,
    invoke_model_with_response_stream,
)
from tests.inference.bench import Bench, assistant, user

GUARDRAIL = {"guardrailIdentifier": "abcdefghijkl", "guardrailVersion": "1"}


@pytest.mark.parametrize("operation", [converse, converse_stream])
@pytest.mark.parametrize(
    ("member", "words"),
    [
        ({"guardrailConfig": GUARDRAIL}, "Guardrails are not built"),
        ({"guardrailConfig": {}}, "Guardrails are not built"),
        ({"promptVariables": {"a": {"text": "b"}}}, "Prompt management is not built"),
        ({"serviceTier": {"type": "reserved"}}, "service tier reserved"),
        ({"performanceConfig": {"latency": "optimized"}}, "Latency performance configuration"),
        ({"outputConfig": {"effort": "low"}}, "outputConfig.effort"),
    ],
)
def test_converse_refuses_what_is_not_built(bench: Bench, operation: Any, member: dict[str, Any], words: str) -> None:
    with pytest.raises(AwsError, match=words) as caught:
        bench.call(operation, messages=[user("Hi")], **member)
    assert caught.value.code == "ValidationException"
    assert bench.engine.asked == []


@pytest.mark.parametrize("operation", [invoke_model, invoke_model_with_response_stream])
@pytest.mark.parametrize(
    ("member", "words"),
    [
        ({"guardrailIdentifier": "abcdefghijkl"}, "Guardrails are not built"),
        ({"guardrailVersion": "DRAFT"}, "Guardrails are not built"),
        ({"serviceTier": "reserved"}, "service tier reserved"),
        ({"performanceConfigLatency": "optimized"}, "Latency performance configuration"),
    ],
)
def test_invoke_refuses_what_is_not_built(bench: Bench, operation: Any, member: dict[str, Any], words: str) -> None:
    with pytest.raises(AwsError, match=words):
        bench.call(operation, body=b"{}", **member)
    assert bench.engine.asked == []


CALL = {"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([], "must start with a user message"),
        ([assistant("Hi")], "must start with a user message"),
        ([user("a"), user("b")], "must alternate"),
        ([user()], "content field in the Message object at messages.0 is empty"),
        ([user(" \n")], "messages.0.content.0 is blank"),
        ([user("a"), assistant("b"), user("c", "\t")], "messages.2.content.1 is blank"),
        ([user("a"), assistant({"image": {}})], "image block at messages.1.content.0"),
        ([user(CALL)], "toolUse block at messages.0.content.0"),
        ([user({"reasoningContent": {}})], "User messages cannot contain reasoning content"),
        ([user("a", {"video": {}})], "doesn't support video"),
        ([user("a", {"audio": {}})], "doesn't support audio"),
        ([user("a"), {"role": "system", "content": [{"text": "b"}]}], "system role in messages.1"),
    ],
)
def test_conversations_that_break_a_rule(bench: Bench, messages: list[Any], words: str) -> None:
    with pytest.raises(AwsError, match=words) as caught:
        bench.call(converse, messages=messages)
    assert caught.value.code == "ValidationException"
    assert bench.engine.asked == []


def test_more_tokens_than_the_model_has_are_refused_not_lowered(bench: Bench) -> None:
    with pytest.raises(AwsError, match="exceeds the model limit of 4096"):
        bench.call(converse, messages=[user("Hi")], inferenceConfig={"maxTokens": 4097})
    bench.call(converse, messages=[user("Hi")], inferenceConfig={"maxTokens": 4096})
    assert bench.asked.sampling.max_tokens == 4096


def test_system_several_turns_and_prefill_reach_the_engine(bench: Bench) -> None:
    bench.call(
        converse,
        system=[{"text": "Be brief."}, {"text": "Be kind."}],
        messages=[user("a"), assistant("b"), user("c", "d"), assistant("Well")],
    )
    assert [message.role for message in bench.asked.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert bench.asked_texts == ["Well"]


def test_a_model_without_system_messages_refuses_them(bench: Bench) -> None:
    bench.engine.able = replace(bench.engine.able, system=False)
    with pytest.raises(AwsError, match="doesn't support system messages"):
        bench.call(converse, system=[{"text": "x"}], messages=[user("Hi")])
    bench.call(converse, messages=[user("Hi")])
    with pytest.raises(AwsError, match=r"system\.0 is blank"):
        bench.call(converse, system=[{"text": " "}], messages=[user("Hi")])


def test_busy_says_when_to_come_again(bench: Bench) -> None:
    bench.engine.deltas = [EngineBusy("full", retry_after=2.5)]
    with pytest.raises(AwsError) as caught:
        bench.call(converse, messages=[user("Hi")])
    assert caught.value.headers == {"retry-after": "2", "x-amz-retry-after": "2500"}


def test_only_the_first_line_of_an_engines_log_is_told(bench: Bench) -> None:
    bench.engine.deltas = [EngineFailed("out of memory\n/secret/path", status=503)]
    with pytest.raises(AwsError) as caught:
        bench.call(converse, messages=[user("Hi")])
    assert caught.value.message == "out of memory"
    assert caught.value.members == {"originalStatusCode": 503, "resourceName": "test.parrot-v1:0"}


def test_the_models_own_words_are_wrapped_in_converse_only(bench: Bench) -> None:
    bench.engine.deltas = [InvalidRequest("bad picture")]
    with pytest.raises(AwsError) as caught:
        bench.call(converse, messages=[user("Hi")])
    assert caught.value.message == "The model returned the following errors: bad picture"
    body = b'{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}'
    for operation in (invoke_model, invoke_model_with_response_stream):
        with pytest.raises(AwsError) as caught:
            bench.call(operation, body=body)
        assert caught.value.message == "bad picture"


def test_a_broken_model_is_unavailable_and_an_unknown_one_invalid(bench: Bench) -> None:
    with pytest.raises(AwsError, match="The provided model identifier is invalid") as caught:
        bench.call(converse, messages=[user("Hi")], modelId="nobody.nothing-v1:0")
    assert caught.value.code == "ValidationException"
    bench.pool.broken.add("test.parrot-v1:0")
    with pytest.raises(AwsError, match="the file is damaged") as caught:
        bench.call(converse, messages=[user("Hi")])
    assert caught.value.code == "ServiceUnavailableException"
