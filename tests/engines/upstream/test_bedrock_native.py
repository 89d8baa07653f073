"""Native bodies through an upstream Bedrock, vectors and scores, and who asks."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import orjson
import pytest

from outcrop.engines.engine import EngineBusy, EngineFailed, Native, NativeAnswer, Unsupported, Usage, native
from outcrop.engines.engine import Upstream as UpstreamError
from outcrop.engines.pool import Engines
from outcrop.engines.scripted import Scripted
from outcrop.engines.upstream.bedrock import Bedrock
from outcrop.request import HttpRequest
from outcrop.settings import EngineSettings, ModelSpec
from tests.conformance.loopback import Answer
from tests.engines.upstream.server import CLAUDE, Upstream, ask, collected, event, exception, spec, stop, text, used

# Not what any JSON writer would make of it.
BODY = b'{ "anthropic_version":"bedrock-2023-05-31",\n  "n" : 1.00, "u":"\\u00e9" }'


def chunk(data: bytes) -> bytes:
    return event("chunk", {"bytes": base64.b64encode(data).decode()})


def pooled(upstream: Upstream, tmp_path: Path, use: Any) -> Any:
    """Through the wrapper of the pool, which counts."""

    async def run() -> Any:
        engines = Engines([spec(upstream)], EngineSettings(), home=tmp_path)
        found = native(engines.get("ours"))
        assert found is not None
        try:
            return await use(found)
        finally:
            await engines.close()

    return asyncio.run(run())


def test_a_body_goes_and_comes_byte_for_byte(upstream: Upstream, tmp_path: Path) -> None:
    told = {"x_amzn_bedrock_input_token_count": "3", "x_other": "no", "content_type": "application/json"}
    upstream.says(200, BODY, **told)

    def invoke(engine: Native) -> Any:
        assert engine.models == (CLAUDE,)
        return engine.invoke(BODY, accept="*/*", headers={"x-amzn-bedrock-trace": "ENABLED"})

    answer = pooled(upstream, tmp_path, invoke)
    assert answer == NativeAnswer(BODY, "application/json", {"x-amzn-bedrock-input-token-count": "3"})
    seen = upstream.seen[-1]
    assert (seen.raw_path, seen.body) == ("/model/anthropic.claude-x-v1%3A0/invoke", BODY)
    assert (seen.header("accept"), seen.header("x-amzn-bedrock-trace")) == ("*/*", "ENABLED")


def test_chunks_byte_for_byte(upstream: Upstream, tmp_path: Path) -> None:
    pieces = [b'{"a": 1}', BODY, b"\x00\xff not even JSON"]
    upstream.streams(*map(chunk, pieces))
    assert pooled(upstream, tmp_path, lambda engine: collected(engine.invoke_streamed(BODY))) == pieces
    seen = upstream.seen[-1]
    assert (seen.raw_path, seen.body) == ("/model/anthropic.claude-x-v1%3A0/invoke-with-response-stream", BODY)
    assert seen.header("x-amzn-bedrock-accept") == "application/json"


def test_errors_of_native_bodies(upstream: Upstream, tmp_path: Path) -> None:
    upstream.streams(chunk(b"{}"), exception("throttlingException", {"message": "slow"}))
    with pytest.raises(EngineBusy):
        pooled(upstream, tmp_path, lambda engine: collected(engine.invoke_streamed(BODY)))
    upstream.streams(event("chunk", {"bytes": "?"}))
    with pytest.raises(EngineFailed, match="without bytes"):
        pooled(upstream, tmp_path, lambda engine: collected(engine.invoke_streamed(BODY)))
    upstream.says(400, {"message": "Malformed input request"}, x_amzn_errortype="ValidationException")
    with pytest.raises(UpstreamError, match="Malformed input request"):
        pooled(upstream, tmp_path, lambda engine: engine.invoke(BODY))


def test_other_engines_have_no_native_bodies(tmp_path: Path) -> None:
    specs = [ModelSpec(id="a", engine="scripted")]
    assert native(Scripted(specs[0])) is None
    assert native(Engines(specs, EngineSettings(), home=tmp_path).get("a")) is None


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("us.anthropic.claude-x-v1:0", "us.anthropic.claude-x-v1%3A0"),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/a.b", "arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Fa.b"),
    ],
)  # fmt: skip
def test_the_path_is_sent_as_it_was_signed(upstream: Upstream, model: str, path: str) -> None:
    upstream.streams(text("Hi"), stop())
    ask(upstream, model=model)
    assert upstream.seen[-1].raw_path == f"/model/{path}/converse-stream"
    signed = upstream.seen[-1].header("authorization") or ""
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=AKIAOPERATOR/")
    assert "/eu-west-1/bedrock/aws4_request" in signed


def test_a_key_instead_of_a_signature_is_never_told(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_KEY", "ABSK-secret")

    def repeats(request: HttpRequest) -> Answer:
        return 400, [("x-amzn-errortype", "ValidationException")], orjson.dumps({"message": "no: ABSK-secret"})

    upstream.answer = repeats
    with pytest.raises(UpstreamError) as caught:
        ask(upstream, api_key_env="UPSTREAM_KEY")
    assert upstream.seen[-1].header("authorization") == "Bearer ABSK-secret"
    assert "secret" not in str(caught.value)
    upstream.streams(text("Hi"), exception("validationException", {"message": "no: ABSK-secret"}))
    with pytest.raises(UpstreamError) as within:
        ask(upstream, api_key_env="UPSTREAM_KEY")
    assert str(within.value) == "no: ***"


def test_a_profile_of_the_operators_files(upstream: Upstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text("[theirs]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = x\n")
    (tmp_path / "config").write_text("[profile theirs]\nregion = eu-north-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    upstream.streams(text("Hi"), stop())
    ask(upstream, profile="theirs", region=None)
    assert "Credential=AKIAPROFILE/" in (upstream.seen[-1].header("authorization") or "")
    assert "/eu-north-1/bedrock/" in (upstream.seen[-1].header("authorization") or "")


def test_no_credentials_at_all(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    engine = Bedrock(spec(upstream), offline=True)
    with pytest.raises(UpstreamError, match="no working credentials") as caught:
        used(engine, lambda engine: engine.invoke(BODY))
    assert caught.value.kind == "denied"
    assert not upstream.seen


def test_amazons_own_address(upstream: Upstream) -> None:
    assert Bedrock(spec(upstream, url=None))._aws._base == "https://bedrock-runtime.eu-west-1.amazonaws.com"


def test_titans_vectors_one_by_one_in_order(upstream: Upstream) -> None:
    def vector(request: HttpRequest) -> Answer:
        said = orjson.loads(request.body)["inputText"]
        return 200, [], orjson.dumps({"embedding": [len(said), 0], "inputTextTokenCount": 2})

    upstream.answer = vector
    engine = Bedrock(spec(upstream, embeddings=True, model="amazon.titan-embed-text-v2:0"))
    assert engine.able.embeddings
    assert not engine.able.chat
    texts = ["a" * n for n in range(1, 21)]
    assert used(engine, lambda engine: engine.embed(texts)) == ([[float(n), 0.0] for n in range(1, 21)], Usage(40, 0))


@pytest.mark.parametrize("by_type", [False, True])
def test_coheres_vectors_in_batches(upstream: Upstream, by_type: bool) -> None:
    def vectors(request: HttpRequest) -> Answer:
        rows = [[float(text)] for text in orjson.loads(request.body)["texts"]]
        body = {"embeddings": {"float": rows} if by_type else rows}
        return 200, [("x-amzn-bedrock-input-token-count", str(len(rows)))], orjson.dumps(body)

    upstream.answer = vectors
    engine = Bedrock(spec(upstream, embeddings=True, model="cohere.embed-english-v3"))
    found = used(engine, lambda engine: engine.embed([str(n) for n in range(100)]))
    assert found == ([[float(n)] for n in range(100)], Usage(100, 0))
    assert sorted(len(orjson.loads(seen.body)["texts"]) for seen in upstream.seen) == [4, 96]
    assert upstream.body["input_type"] == "search_document"


@pytest.mark.parametrize("answer", [{}, {"embeddings": []}, {"embeddings": [1]}, {"embeddings": {"int8": [[1]]}}])
def test_vectors_that_are_none(upstream: Upstream, answer: object) -> None:
    upstream.says(200, answer)
    engine = Bedrock(spec(upstream, embeddings=True, model="cohere.embed-english-v3"))
    with pytest.raises(EngineFailed, match="no 1 vectors"):
        used(engine, lambda engine: engine.embed(["a"]))


@pytest.mark.parametrize(
    ("model", "version"), [("cohere.rerank-v3-5:0", {"api_version": 2}), ("amazon.rerank-v1:0", {})]
)
def test_scores_in_the_order_of_the_documents(upstream: Upstream, model: str, version: dict[str, int]) -> None:
    rows = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
    upstream.says(200, {"results": rows}, x_amzn_bedrock_input_token_count="8")
    engine = Bedrock(spec(upstream, model=model))
    assert engine.able.rerank
    assert used(engine, lambda engine: engine.rerank("q", ["a", "b"])) == ([0.1, 0.9], Usage(8, 0))
    assert upstream.body == {"query": "q", "documents": ["a", "b"], "top_n": 2, **version}
    upstream.says(200, {"results": rows[:1]})
    with pytest.raises(EngineFailed, match="scored 1 of 2"):
        used(Bedrock(spec(upstream, model=model)), lambda engine: engine.rerank("q", ["a", "b"]))


def test_a_chat_model_makes_neither(upstream: Upstream) -> None:
    with pytest.raises(Unsupported, match="embeddings"):
        used(Bedrock(spec(upstream)), lambda engine: engine.embed(["a"]))
    with pytest.raises(Unsupported, match="reranking"):
        used(Bedrock(spec(upstream)), lambda engine: engine.rerank("a", ["b"]))
