"""Ways of customizing: which there are, what each needs of a request, and what the trainer is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from outcrop.context import Context
from outcrop.customization import graders
from outcrop.customization.bases import Base, Bases
from outcrop.customization.hyperparameters import BETA, METHOD, OBJECTIVE, ODDS
from outcrop.errors import ValidationException
from outcrop.settings import CustomizationSettings
from outcrop.training.customizing.spec import (
    Distillation,
    Hyperparameters,
    Kind,
    Preference,
    Reinforcement,
    Spec,
    mistake,
)

# Bedrock's types and the trainer's kinds.
KINDS: Mapping[str, Kind] = {
    "FINE_TUNING": "fine-tuning",
    "CONTINUED_PRE_TRAINING": "continued-pre-training",
    "DISTILLATION": "distillation",
    "REINFORCEMENT_FINE_TUNING": "reinforcement",
}
# The part of customizationConfig that a type needs.
_CONFIG: Mapping[Kind, str] = {"distillation": "distillationConfig", "reinforcement": "rftConfig"}
# Of reinforcement, where the request does not say.
_EPOCHS, _BATCH, _RATE, _SAMPLES, _TOKENS, _PROMPT = 2, 16, 1e-4, 4, 128, 1024


def chosen(request: Mapping[str, Any]) -> Kind:
    """ValidationException for a type that cannot be had, and for parts of the request that belong to another."""
    name = request.get("customizationType", "FINE_TUNING")
    kind = KINDS.get(name)
    if kind is None:
        raise ValidationException(f"The customization type {name} is not known here. There are {', '.join(KINDS)}.")
    part = _CONFIG.get(kind)
    given = request.get("customizationConfig", {})
    if part is None and "customizationConfig" in request:
        raise ValidationException(f"customizationConfig does not belong to the customization type {name}.")
    if part is not None and part not in given:
        raise ValidationException(f"The customization type {name} needs customizationConfig.{part}.")
    if kind == "fine-tuning" and request.get("hyperParameters", {}).get(OBJECTIVE) == "preference":
        return "preference"
    return kind


def check(ctx: Context, kind: Kind, request: Mapping[str, Any], base: Base, chosen: Mapping[str, str]) -> None:
    """ValidationException if the method does not go with the base model, the teacher or the grader."""
    if base.adapter is not None and chosen[METHOD] == "full":
        raise ValidationException(
            f"The base model {base.arn} is an adapter, which can be trained further as one only. Leave {METHOD} out, or "
            "name the foundation model."
        )
    if kind == "distillation":
        _check_teacher(ctx, teacher_of(request), chosen)
    if kind == "reinforcement":
        graders.named(function_of(request), ctx.parts.settings.customization)
        effort = request["customizationConfig"]["rftConfig"].get("hyperParameters", {}).get("reasoningEffort")
        if effort is not None:
            raise ValidationException("reasoningEffort is for models that reason. Leave it out and try again.")


def _check_teacher(ctx: Context, teacher: str, chosen: Mapping[str, str]) -> None:
    model = ctx.catalogue.resolve(teacher, account=ctx.account, region=ctx.region)
    ctx.require("bedrock:InvokeModel", model.arn(ctx.region))
    if not model.capabilities.chat:
        raise ValidationException(f"The teacher {teacher} does not answer in text.")
    if chosen[ODDS] == "true":
        Bases(ctx.database, ctx.catalogue, ctx.engines.home).find(ctx.account, ctx.region, teacher)


def teacher_of(request: Mapping[str, Any]) -> str:
    return str(request["customizationConfig"]["distillationConfig"]["teacherModelConfig"]["teacherModelIdentifier"])


def function_of(request: Mapping[str, Any]) -> str:
    """The ARN of the reward function."""
    given = request["customizationConfig"]["rftConfig"].get("graderConfig", {}).get("lambdaGrader")
    if given is None:
        raise ValidationException("rftConfig needs graderConfig.lambdaGrader.lambdaArn.")
    return str(given["lambdaArn"])


def told(
    spec: Spec,
    request: Mapping[str, Any],
    chosen: Mapping[str, str],
    settings: CustomizationSettings,
    teacher: Path | None,
) -> Spec:
    """The spec with what belongs to its kind. ValidationException for what the trainer would not take."""
    found = spec
    if spec.kind == "preference":
        found = msgspec.structs.replace(spec, preference=Preference(beta=float(chosen[BETA])))
    if spec.kind == "distillation" and teacher is not None:
        found = msgspec.structs.replace(spec, distillation=Distillation(teacher=str(teacher)))
    if spec.kind == "reinforcement":
        found = _reinforced(spec, request, settings)
    if (wrong := mistake(found)) is not None:
        raise ValidationException(wrong)
    return found


def _reinforced(spec: Spec, request: Mapping[str, Any], settings: CustomizationSettings) -> Spec:
    given = request["customizationConfig"]["rftConfig"].get("hyperParameters", {})
    tokens = given.get("inferenceMaxTokens", _TOKENS)
    hyper: Hyperparameters = msgspec.structs.replace(
        spec.hyperparameters,
        epochs=given.get("epochCount", _EPOCHS),
        batch_size=given.get("batchSize", _BATCH),
        learning_rate=given.get("learningRate", _RATE),
        validate_every=given.get("evalInterval", 0),
        early_stopping_patience=None,
        early_stopping_threshold=None,
    )
    grader = graders.trainers(graders.named(function_of(request), settings))
    return msgspec.structs.replace(
        spec,
        context=given.get("maxPromptLength", _PROMPT) + tokens,
        hyperparameters=hyper,
        reinforcement=Reinforcement(
            grader=grader, samples=given.get("trainingSamplePerPrompt", _SAMPLES), max_tokens=tokens
        ),
    )
