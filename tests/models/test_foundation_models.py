"""ListFoundationModels, GetFoundationModel, GetFoundationModelAvailability."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from outcrop.errors import AwsError
from outcrop.models.operations.foundation_models import (
    get_foundation_model,
    get_foundation_model_availability,
    list_foundation_models,
)
from outcrop.settings import ModelSpec
from tests.inference.bench import ABLE, ACCOUNT, MODEL, REGION, Bench, Prepared, bench, settings

EMBEDDER = "acme.embed-v1"


@pytest.fixture
def several(tmp_path: Path) -> Bench:
    specs = (*settings().models, ModelSpec(id=EMBEDDER, engine="scripted", name="Embed", provider="Acme"))
    made = bench(tmp_path, chosen=settings(models=specs, aliases={"anthropic.claude-x": MODEL, "b.*": MODEL}))
    embeds = Prepared(able=replace(ABLE, chat=False, images=False, embeddings=True))
    made.pool.engines = {MODEL: made.engine, EMBEDDER: embeds}
    return made


def listed(bench: Bench, **filters: Any) -> list[str]:
    return [model["modelId"] for model in list_foundation_models(bench.ctx, filters)["modelSummaries"]]  # type: ignore[arg-type]  # filters are the request


def test_a_model_that_answers_through_profiles_only(tmp_path: Path) -> None:
    spec = ModelSpec(id="acme.m-v1", engine="scripted", on_demand=False)
    made = bench(tmp_path, chosen=settings(models=(spec,), aliases={"acme.alias": "acme.m-v1"}))
    (summary,) = [s for s in list_foundation_models(made.ctx, {})["modelSummaries"] if s["modelId"] == "acme.m-v1"]
    assert summary["inferenceTypesSupported"] == ["INFERENCE_PROFILE"]
    resolve = partial(made.ctx.catalogue.resolve, account=ACCOUNT, region=REGION)
    for plain in ("acme.m-v1", "acme.alias", f"arn:aws:bedrock:{REGION}::foundation-model/acme.m-v1"):
        with pytest.raises(AwsError, match="with on-demand throughput isn\u2019t supported") as caught:
            resolve(plain)
        assert caught.value.code == "ValidationException"
    assert resolve("us.acme.m-v1").id == "acme.m-v1"
    assert resolve(f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/us.acme.m-v1").id == "acme.m-v1"


def test_the_flags_are_what_the_engine_can_do(several: Bench) -> None:
    parrot, embed, alias = list_foundation_models(several.ctx, {})["modelSummaries"]
    assert parrot == {
        "modelArn": f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}",
        "modelId": MODEL,
        "modelName": "Parrot",
        "providerName": "Test",
        "inputModalities": ["TEXT", "IMAGE"],
        "outputModalities": ["TEXT"],
        "responseStreamingSupported": True,
        "customizationsSupported": [],
        "inferenceTypesSupported": ["ON_DEMAND"],
        "modelLifecycle": {"status": "ACTIVE"},
    }
    assert (embed["inputModalities"], embed["outputModalities"]) == (["TEXT"], ["EMBEDDING"])
    assert embed["responseStreamingSupported"] is False
    assert (alias["modelId"], alias["modelName"]) == ("anthropic.claude-x", f"Parrot (alias of {MODEL})")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [MODEL, EMBEDDER, "anthropic.claude-x"]),
        ({"byProvider": "ACME"}, [EMBEDDER]),
        ({"byOutputModality": "EMBEDDING"}, [EMBEDDER]),
        ({"byOutputModality": "IMAGE"}, []),
        ({"byInferenceType": "PROVISIONED"}, []),
        ({"byInferenceType": "ON_DEMAND", "byProvider": "test"}, [MODEL, "anthropic.claude-x"]),
        ({"byCustomizationType": "FINE_TUNING"}, []),
    ],
)
def test_filters(several: Bench, filters: dict[str, str], found: list[str]) -> None:
    assert listed(several, **filters) == found


def test_a_broken_model_is_left_out_and_the_others_are_listed(several: Bench) -> None:
    several.pool.broken.add(MODEL)
    assert listed(several) == [EMBEDDER]
    several.pool.broken.clear()
    assert listed(several) == [MODEL, EMBEDDER, "anthropic.claude-x"]


@pytest.mark.parametrize("name", [MODEL, "anthropic.claude-x", "b.anything"])
def test_get_by_id_and_arn(several: Bench, name: str) -> None:
    for identifier in (name, f"arn:aws:bedrock:{REGION}::foundation-model/{name}"):
        details = get_foundation_model(several.ctx, {"modelIdentifier": identifier})["modelDetails"]
        assert details["modelId"] == name
        available = get_foundation_model_availability(several.ctx, {"modelId": identifier})
        assert (available["modelId"], available["authorizationStatus"]) == (name, "AUTHORIZED")


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ("nobody.nothing", "ValidationException"),
        (f"us.{MODEL}", "ValidationException"),
        (f"arn:aws:bedrock:{REGION}::foundation-model/nobody.nothing", "ResourceNotFoundException"),
        (f"arn:aws:bedrock:eu-west-1::foundation-model/{MODEL}", "ResourceNotFoundException"),
        (f"arn:aws:bedrock:{REGION}:111122223333:inference-profile/us.{MODEL}", "ResourceNotFoundException"),
    ],
)
def test_what_is_no_foundation_model(several: Bench, identifier: str, code: str) -> None:
    for ask in (
        lambda: get_foundation_model(several.ctx, {"modelIdentifier": identifier}),
        lambda: get_foundation_model_availability(several.ctx, {"modelId": identifier}),
    ):
        with pytest.raises(AwsError) as caught:
            ask()
        assert caught.value.code == code
