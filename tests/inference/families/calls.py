"""Bodies of a family by way of InvokeModel, on an engine that says what a test prepared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import CompletionRequest, Delta, Finish, FinishReason, TextDelta, Usage
from outcrop.errors import ValidationException
from outcrop.inference.operations import invoke_model, invoke_model_with_response_stream
from outcrop.settings import FamilyName, ModelSpec
from tests.inference.bench import ABLE, MODEL, Bench, Prepared, settings
from tests.inference.bench import bench as make

METRICS = "amazon-bedrock-invocationMetrics"


def bench_of(folder: Path, family: FamilyName, *, max_output_tokens: int | None = None, **able: Any) -> Bench:
    """A model whose native bodies are those of `family`. `able` changes what its engine can do."""
    spec = ModelSpec(id=MODEL, engine="scripted", family=family, max_output_tokens=max_output_tokens)
    return make(folder, engine=Prepared(able=replace(ABLE, **able)), chosen=settings(models=(spec,)))


def embeds(folder: Path, family: FamilyName, **able: Any) -> Bench:
    given = {"chat": False, "streaming": False, "embeddings": True, "rerank": True, "count_tokens": False, **able}
    return bench_of(folder, family, **given)


def invoke(bench: Bench, **body: Any) -> Any:
    return json.loads(bench.call(invoke_model, body=json.dumps(body).encode())["body"])


def stream(bench: Bench, **body: Any) -> list[Any]:
    """All chunks. The last one has the metrics, which are taken out of it, and no other has."""
    events = bench.stream(invoke_model_with_response_stream, body=json.dumps(body).encode())
    chunks = [json.loads(event["chunk"]["bytes"]) for event in events]
    assert [n for n, chunk in enumerate(chunks) if METRICS in chunk] == [len(chunks) - 1]
    metrics = chunks[-1].pop(METRICS)
    finish = next(delta for delta in bench.engine.deltas if isinstance(delta, Finish))
    assert metrics["inputTokenCount"] + metrics["cacheReadInputTokenCount"] == finish.usage.input_tokens
    assert metrics["outputTokenCount"] == finish.usage.output_tokens
    return chunks


def refused(bench: Bench, **body: Any) -> str:
    """What both operations say of a body; the engine is not asked."""
    told = set()
    for operation in (invoke_model, invoke_model_with_response_stream):
        with pytest.raises(ValidationException) as problem:
            bench.call(operation, body=json.dumps(body).encode())
        told.add(problem.value.message)
    assert not bench.engine.asked
    assert not bench.engine.completed
    assert len(told) == 1
    return told.pop()


def not_computed(bench: Bench, **body: Any) -> str:
    """What InvokeModel says of a body of embeddings or reranking."""
    with pytest.raises(ValidationException) as problem:
        invoke(bench, **body)
    return problem.value.message


def malformed(problem: str) -> str:
    return f"Malformed input request: {problem}, please reformat your input and try again."


def told(*pieces: str, reason: FinishReason = "stop", stop: str | None = None) -> list[Delta]:
    """An answer in these pieces, of a prompt of eleven tokens, two of them from the cache."""
    return [*map(TextDelta, pieces), Finish(reason, Usage(11, 5, 2), stop)]


def completed(bench: Bench) -> CompletionRequest:
    return bench.engine.completed[-1]
