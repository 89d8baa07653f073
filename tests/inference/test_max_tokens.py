"""More tokens than the model can: refused by its own id, lowered through an alias."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outcrop.errors import AwsError
from outcrop.inference.operations import converse, invoke_model
from outcrop.settings import ModelSpec
from tests.inference.bench import MODEL, Bench, bench, settings, user

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@pytest.fixture
def limited(tmp_path: Path) -> Bench:
    spec = ModelSpec(id=MODEL, engine="scripted", max_output_tokens=50)
    return bench(tmp_path, chosen=settings(models=(spec,), aliases={CLAUDE: MODEL}))


@pytest.mark.parametrize("name", [MODEL, f"us.{MODEL}"])
def test_its_own_id_refuses(limited: Bench, name: str) -> None:
    with pytest.raises(AwsError, match="exceeds the model limit of 50"):
        limited.call(converse, modelId=name, messages=[user("Hi")], inferenceConfig={"maxTokens": 51})


@pytest.mark.parametrize("name", [CLAUDE, f"us.{CLAUDE}"])
def test_an_alias_lowers(limited: Bench, name: str) -> None:
    limited.call(converse, modelId=name, messages=[user("Hi")], inferenceConfig={"maxTokens": 64_000})
    assert limited.asked.sampling.max_tokens == 50
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 64_000,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    limited.call(invoke_model, modelId=name, body=json.dumps(body).encode())
    assert limited.asked.sampling.max_tokens == 50
    limited.call(converse, modelId=name, messages=[user("Hi")], inferenceConfig={"maxTokens": 20})
    assert limited.asked.sampling.max_tokens == 20
