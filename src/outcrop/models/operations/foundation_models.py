"""ListFoundationModels, GetFoundationModel, GetFoundationModelAvailability.

What is listed is what is there. An alias is listed under the id that callers use, and its name says what answers.
"""

from __future__ import annotations

from collections.abc import Iterator

from outcrop.context import Context
from outcrop.errors import ResourceNotFoundException
from outcrop.identity import arns
from outcrop.models.catalogue import invalid_identifier
from outcrop.models.customizable import types_of
from outcrop.models.identifiers import parse, without_geography
from outcrop.models.model import Model
from outcrop.shapes.bedrock import (
    FoundationModelDetails,
    FoundationModelSummary,
    GetFoundationModelAvailabilityRequest,
    GetFoundationModelAvailabilityResponse,
    GetFoundationModelRequest,
    GetFoundationModelResponse,
    ListFoundationModelsRequest,
    ListFoundationModelsResponse,
)
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")


@bedrock
def list_foundation_models(ctx: Context, request: ListFoundationModelsRequest) -> ListFoundationModelsResponse:
    return {"modelSummaries": [summary for summary in _listed(ctx) if _fits(summary, request)]}


@bedrock
def get_foundation_model(ctx: Context, request: GetFoundationModelRequest) -> GetFoundationModelResponse:
    model_id, model = _found(ctx, request["modelIdentifier"])
    details: FoundationModelDetails = {**_summary(model_id, model, ctx)}
    return {"modelDetails": details}


@bedrock
def get_foundation_model_availability(
    ctx: Context, request: GetFoundationModelAvailabilityRequest
) -> GetFoundationModelAvailabilityResponse:
    """A model that is here may be used: there are no agreements and no model access to ask for."""
    model_id, _ = _found(ctx, request["modelId"])
    return {
        "modelId": model_id,
        "agreementAvailability": {"status": "AVAILABLE"},
        "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE",
        "regionAvailability": "AVAILABLE",
    }


def _found(ctx: Context, identifier: str) -> tuple[str, Model]:
    """The id that the caller used, and the model that answers for it."""
    name = parse(identifier)
    if name.kind == "foundation-model" and (name.arn is None or name.arn.region != ctx.region):
        raise _unresolved(identifier)
    model = ctx.catalogue.find(name.name) if name.kind in ("id", "foundation-model") else None
    if model is not None and without_geography(name.name) != model.id:
        return name.name, model
    # Profiles are no models: GetInferenceProfile tells of `us.x`.
    raise _unresolved(identifier) if name.arn is not None else invalid_identifier()


def _unresolved(identifier: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"Could not resolve the foundation model from the model identifier: {identifier}")


def _listed(ctx: Context) -> Iterator[FoundationModelSummary]:
    for model in ctx.catalogue.models():
        yield _summary(model.id, model, ctx)
    for alias, model in ctx.catalogue.exact_aliases():
        if not alias.startswith("arn:") and without_geography(alias) is None:
            yield _summary(alias, model, ctx)


def _summary(model_id: str, model: Model, ctx: Context) -> FoundationModelSummary:
    spec = ctx.catalogue.spec(model_id)
    return {
        "modelArn": arns.build("foundation-model", ctx.region, "", model=model_id),
        "modelId": model_id,
        "modelName": model.name if model_id == model.id else f"{model.name} (alias of {model.id})",
        "providerName": model.provider,
        "inputModalities": model.input_modalities,
        "outputModalities": model.output_modalities,
        "responseStreamingSupported": model.streaming,
        "customizationsSupported": [] if spec is None else types_of(spec),
        "inferenceTypesSupported": [
            *model.inference_types,
            *(["PROVISIONED"] if ctx.engines.reservable(model.id) else []),
        ],
        "modelLifecycle": {"status": "ACTIVE"},
    }


def _fits(summary: FoundationModelSummary, request: ListFoundationModelsRequest) -> bool:
    provider = request.get("byProvider")
    wanted = (
        (request.get("byOutputModality"), summary["outputModalities"]),
        (request.get("byInferenceType"), summary["inferenceTypesSupported"]),
        (request.get("byCustomizationType"), summary["customizationsSupported"]),
    )
    by_provider = provider is None or provider.lower() == summary["providerName"].lower()
    return by_provider and all(value is None or value in offered for value, offered in wanted)
