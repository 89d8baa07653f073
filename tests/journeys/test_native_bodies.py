"""InvokeModel as applications call it that were written for one provider's models, each under a name of Bedrock's."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.engines import encoder
from tests.live import Server, serve

METRICS = "amazon-bedrock-invocationMetrics"
SAID = "The sky is blue today."
RULES = {
    "rules": [
        {"contains": "weather", "tool": "weather", "after_tool_result": False,
         "tool_calls": [{"name": "weather", "arguments": {"city": "Oslo"}}]},
        {"after_tool_result": True, "text": "It is cold."},
        {"contains": "sky", "text": SAID},
    ]
}  # fmt: skip
NAMES = {
    "llama": "us.meta.llama3-1-8b-instruct-v1:0",
    "mistral": "mistral.mistral-7b-instruct-v0:2",
    "mistral-chat": "mistral.pixtral-large-2502-v1:0",
    "titan": "amazon.titan-text-express-v1",
    "command": "cohere.command-text-v14",
    "command-r": "cohere.command-r-plus-v1:0",
    "jamba": "ai21.jamba-1-5-large-v1:0",
    "deepseek": "us.deepseek.r1-v1:0",
}
PROMPT = "What about the sky?"
MESSAGES = [{"role": "user", "content": PROMPT}]
BODIES: dict[str, dict[str, Any]] = {
    "llama": {"prompt": PROMPT, "max_gen_len": 100},
    "mistral": {"prompt": PROMPT, "max_tokens": 100},
    "mistral-chat": {"messages": MESSAGES, "max_tokens": 100},
    "titan": {"inputText": PROMPT},
    "command": {"prompt": PROMPT},
    "command-r": {"message": PROMPT},
    "jamba": {"messages": MESSAGES},
    "deepseek": {"prompt": PROMPT},
}
FAMILIES = sorted(NAMES)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A scripted model under the names of six providers, and the house model as Llama 3.3."""
    home = tmp_path_factory.mktemp("native")
    script = home / "script.json"
    script.write_text(json.dumps(RULES))
    aliases = ("us.meta.*", "mistral.*", "amazon.titan-*", "amazon.rerank*", "cohere.*", "ai21.*", "us.deepseek.*")
    lines = [f'"{pattern}" = "test.parrot-v1:0"' for pattern in aliases]
    lines.append('"meta.llama3-3-*" = "outcrop.house-nano-v1:0"')
    models = f'[[models]]\nid = "test.parrot-v1:0"\nengine = "scripted"\nscript = "{script}"\ncontext_tokens = 1000\n'
    if find_spec("gguf") is not None:
        lines.append('"cohere.embed-multilingual-*" = "test.embedding-v1:0"')
        for name, scores in (("embedding", False), ("scoring", True)):
            path = encoder.made(home, scores=scores)
            models += f'[[models]]\nid = "test.{name}-v1:0"\nengine = "llamacpp"\npath = "{path}"\n'
    with serve(home, settings=f"{models}\n[aliases]\n" + "\n".join(lines)) as running:
        yield running


@pytest.fixture(scope="module")
def runtime(server: Server) -> Any:
    environment = server.environment
    session = boto3.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )
    return session.client("bedrock-runtime", endpoint_url=server.url, config=Config(retries={"total_max_attempts": 1}))


def invoke(runtime: Any, model: str, **body: Any) -> Any:
    return json.loads(runtime.invoke_model(modelId=model, body=json.dumps(body))["body"].read())


def stream(runtime: Any, model: str, **body: Any) -> list[Any]:
    events = runtime.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))["body"]
    return [json.loads(event["chunk"]["bytes"]) for event in events]


def text_of(family: str, answer: Any) -> str:
    """As a client of that family finds it, in a whole answer or in a chunk."""
    if family == "llama":
        text = answer["generation"]
    elif family == "titan":
        text = answer["results"][0]["outputText"] if "results" in answer else answer["outputText"]
    elif family == "mistral":
        text = answer["outputs"][0]["text"]
    elif family == "command":
        text = answer["generations"][0]["text"] if "generations" in answer else answer["text"]
    elif family == "command-r":
        text = answer.get("text", "")
    elif family == "deepseek":
        text = answer["choices"][0]["text"]
    elif not answer.get("choices"):
        text = ""
    else:
        choice = answer["choices"][0]
        text = (choice["delta"] if "delta" in choice else choice["message"]).get("content", "")
    return str(text)


@pytest.mark.parametrize("family", FAMILIES)
def test_whole(runtime: Any, family: str) -> None:
    response = runtime.invoke_model(modelId=NAMES[family], body=json.dumps(BODIES[family]))
    assert text_of(family, json.loads(response["body"].read())) == SAID
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-bedrock-output-token-count"] == "5"
    assert int(headers["x-amzn-bedrock-input-token-count"]) >= 4


@pytest.mark.parametrize("family", FAMILIES)
def test_streamed(runtime: Any, family: str) -> None:
    chunks = stream(runtime, NAMES[family], **BODIES[family])
    assert [METRICS in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1][METRICS]["outputTokenCount"] == 5
    assert "".join(text_of(family, chunk) for chunk in chunks) == SAID
    assert len(chunks) > 5


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_counted_as_they_are_billed(runtime: Any, family: str) -> None:
    given = {"invokeModel": {"body": json.dumps(BODIES[family]).encode()}}
    counted = runtime.count_tokens(modelId=NAMES[family], input=given)["inputTokens"]
    response = runtime.invoke_model(modelId=NAMES[family], body=json.dumps(BODIES[family]))
    assert response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-bedrock-input-token-count"] == str(counted)


def test_cut_at_the_limit(runtime: Any) -> None:
    assert invoke(runtime, NAMES["llama"], prompt=PROMPT, max_gen_len=2)["stop_reason"] == "length"
    cut = invoke(runtime, NAMES["titan"], inputText=PROMPT, textGenerationConfig={"maxTokenCount": 2})
    assert cut["results"][0] == {"tokenCount": 2, "outputText": "The sky", "completionReason": "LENGTH"}
    assert stream(runtime, NAMES["mistral"], prompt=PROMPT, max_tokens=1)[-1]["outputs"][0]["stop_reason"] == "length"


def test_a_tool_loop_with_cohere(runtime: Any) -> None:
    tool = {
        "name": "weather", "description": "The weather in a city",
        "parameter_definitions": {"city": {"type": "str", "required": True}},
    }  # fmt: skip
    asked = invoke(runtime, NAMES["command-r"], message="How is the weather?", tools=[tool])
    (call,) = asked["tool_calls"]
    assert call == {"name": "weather", "parameters": {"city": "Oslo"}}
    results = [{"call": call, "outputs": [{"text": "-3 degrees"}]}]
    answer = invoke(runtime, NAMES["command-r"], message="How is the weather?", tools=[tool], tool_results=results)
    assert (answer["text"], answer["finish_reason"]) == ("It is cold.", "COMPLETE")


def test_a_tool_loop_with_mistral(runtime: Any) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
    messages: list[Any] = [{"role": "user", "content": "How is the weather?"}]
    choice = invoke(runtime, NAMES["mistral-chat"], messages=messages, tools=[tool], tool_choice="any")["choices"][0]
    assert choice["stop_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    messages += [choice["message"], {"role": "tool", "tool_call_id": call["id"], "content": "-3 degrees"}]
    answer = invoke(runtime, NAMES["mistral-chat"], messages=messages, tools=[tool])
    assert answer["choices"][0]["message"]["content"] == "It is cold."


def test_titan_embeddings(runtime: Any) -> None:
    answer = invoke(runtime, "amazon.titan-embed-text-v2:0", inputText="one two", dimensions=16)
    assert (len(answer["embedding"]), answer["inputTextTokenCount"]) == (16, 2)
    assert math.hypot(*answer["embedding"]) == pytest.approx(1)
    assert len(invoke(runtime, "amazon.titan-embed-text-v1", inputText="one two")["embedding"]) == 64
    assert len(invoke(runtime, "amazon.titan-embed-image-v1", inputText="one two")["embedding"]) == 64


def test_cohere_embeddings(runtime: Any) -> None:
    body = {"texts": ["one two", "three"], "input_type": "search_document"}
    vectors = invoke(runtime, "cohere.embed-english-v3", **body)["embeddings"]
    assert [len(vector) for vector in vectors] == [64, 64]
    by_type = invoke(runtime, "cohere.embed-v4:0", **body, embedding_types=["int8", "ubinary"])["embeddings"]
    assert [len(rows[0]) for rows in by_type.values()] == [64, 8]
    long = " ".join(["x"] * 1001)
    with pytest.raises(ClientError, match="Input is too long for requested model"):
        invoke(runtime, "cohere.embed-v4:0", texts=[long], input_type="search_query")
    assert invoke(runtime, "cohere.embed-v4:0", texts=[long], input_type="search_query", truncate="RIGHT")["embeddings"]


@pytest.mark.parametrize(("model", "more"), [("cohere.rerank-v3-5:0", {"api_version": 2}), ("amazon.rerank-v1:0", {})])
def test_reranking(runtime: Any, model: str, more: dict[str, Any]) -> None:
    documents = ["the sea", "a cold dark sky", "the cold sky"]
    results = invoke(runtime, model, query="the cold sky", documents=documents, top_n=2, **more)["results"]
    assert [(result["index"], result["relevance_score"]) for result in results] == [(2, 1), (1, pytest.approx(2 / 3))]


@pytest.mark.parametrize("model", ["amazon.titan-embed-text-v2:0", "cohere.embed-english-v3", "amazon.rerank-v1:0"])
def test_embeddings_are_neither_streamed_nor_counted(runtime: Any, model: str) -> None:
    with pytest.raises(ClientError, match=r"The model is unsupported for streaming\."):
        stream(runtime, model, inputText="a")
    with pytest.raises(ClientError, match=r"The provided model doesn't support counting tokens\."):
        runtime.count_tokens(modelId=model, input={"invokeModel": {"body": b'{"inputText": "a"}'}})


@pytest.mark.parametrize("call", [invoke, stream])
def test_a_body_for_another_model(runtime: Any, call: Any) -> None:
    with pytest.raises(ClientError) as problem:
        call(runtime, NAMES["llama"], anthropic_version="bedrock-2023-05-31", max_tokens=9, messages=MESSAGES)
    assert problem.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "Malformed input request: 4 schema violations found, please reformat your input and try again. "
        "This model takes Meta Llama bodies: prompt, max_gen_len, temperature, top_p.",
    }


def test_the_house_model_as_a_llama(runtime: Any) -> None:
    """A raw prompt, really continued, whole and streamed alike; no chat template comes between."""
    body = {"prompt": "Question: what is 2 + 2?\nAnswer:", "max_gen_len": 12, "temperature": 0}
    whole = invoke(runtime, "meta.llama3-3-70b-instruct-v1:0", **body)
    assert whole["generation"]
    assert 0 < whole["generation_token_count"] <= 12
    assert whole["stop_reason"] == ("length" if whole["generation_token_count"] == 12 else "stop")
    given = {"invokeModel": {"body": json.dumps(body).encode()}}
    counted = runtime.count_tokens(modelId="meta.llama3-3-70b-instruct-v1:0", input=given)["inputTokens"]
    assert whole["prompt_token_count"] == counted
    chunks = stream(runtime, "meta.llama3-3-70b-instruct-v1:0", **body)
    assert "".join(chunk["generation"] for chunk in chunks) == whole["generation"]
    assert [chunk["prompt_token_count"] for chunk in chunks] == [counted] + [None] * (len(chunks) - 1)
    assert chunks[-1]["generation_token_count"] == whole["generation_token_count"]


@pytest.mark.skipif(find_spec("gguf") is None, reason="the model that embeds is made with the package gguf")
def test_a_real_model_embeds_what_fits_of_a_text(runtime: Any) -> None:
    model, long = "cohere.embed-multilingual-v3", "a " * 1000
    vectors = invoke(runtime, model, texts=[long, "b"], input_type="search_document")["embeddings"]
    assert [len(vector) for vector in vectors] == [encoder.DIMENSIONS] * 2
    body = {"texts": ["a" * 80 + " bcd" * 480], "input_type": "search_document"}
    with pytest.raises(ClientError, match=r"Input is too long for requested model\."):
        invoke(runtime, model, **body)
    response = runtime.invoke_model(modelId=model, body=json.dumps({**body, "truncate": "END"}))
    assert len(json.loads(response["body"].read())["embeddings"]) == 1
    counted = int(response["ResponseMetadata"]["HTTPHeaders"]["x-amzn-bedrock-input-token-count"])
    assert 0.9 * encoder.CONTEXT <= counted <= encoder.CONTEXT


@pytest.mark.skipif(find_spec("gguf") is None, reason="the model that scores is made with the package gguf")
def test_a_real_model_scores(runtime: Any) -> None:
    """A model of nobody's that scores takes Cohere's bodies."""
    body = {"query": "the cold sky", "documents": ["the sea", "a cold sky", "the sea"], "api_version": 2}
    results = invoke(runtime, "test.scoring-v1:0", **body)["results"]
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert 0 < scores[-1] < scores[0] < 1
    assert sorted(result["index"] for result in results) == [0, 1, 2]
