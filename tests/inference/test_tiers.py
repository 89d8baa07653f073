"""serviceTier and performanceConfig: the class in which the engine is asked, and their echo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from outcrop.engines import admission
from outcrop.errors import AwsError
from outcrop.inference.operations import converse, converse_stream, invoke_model
from outcrop.settings import ModelSpec
from tests.inference.bench import MODEL, Bench, Prepared, bench, settings, user


class Noticing(Prepared):
    """An engine that remembers in which class it was asked."""

    def chat(self, request: Any) -> Any:
        self.tiers = [*getattr(self, "tiers", []), admission._tier.get()]
        return super().chat(request)


@pytest.fixture
def asked(tmp_path: Path) -> tuple[Bench, Noticing]:
    engine = Noticing()
    spec = ModelSpec(id=MODEL, engine="scripted", latency_optimized=True)
    return bench(tmp_path, engine=engine, chosen=settings(models=(spec,))), engine


@pytest.mark.parametrize("tier", ["default", "priority", "flex"])
def test_the_tier_is_the_class_and_is_echoed(asked: tuple[Bench, Noticing], tier: str) -> None:
    made, engine = asked
    answer = made.call(converse, messages=[user("Hi")], serviceTier={"type": tier})
    assert answer["serviceTier"] == {"type": tier}
    events = made.stream(converse_stream, messages=[user("Hi")], serviceTier={"type": tier})
    assert events[-1]["metadata"]["serviceTier"] == {"type": tier}
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    invoked = made.call(invoke_model, body=json.dumps(body).encode(), serviceTier=tier)
    assert invoked["serviceTier"] == tier
    assert engine.tiers == [tier] * 3


def test_who_asks_for_nothing_is_in_the_default_class(asked: tuple[Bench, Noticing]) -> None:
    made, engine = asked
    assert "serviceTier" not in made.call(converse, messages=[user("Hi")])
    assert engine.tiers == ["default"]


def test_latency(asked: tuple[Bench, Noticing]) -> None:
    made, engine = asked
    answer = made.call(converse, messages=[user("Hi")], performanceConfig={"latency": "optimized"})
    assert answer["performanceConfig"] == {"latency": "optimized"}
    made.call(converse, messages=[user("Hi")], performanceConfig={"latency": "standard"})
    assert engine.tiers == ["priority", "default"]


def test_latency_where_the_model_is_not_set_up_for_it(bench: Bench) -> None:
    with pytest.raises(AwsError, match=f"Latency performance configuration is not supported for {MODEL}"):
        bench.call(converse, messages=[user("Hi")], performanceConfig={"latency": "optimized"})
