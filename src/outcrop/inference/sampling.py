"""How to pick tokens: inferenceConfig and what rides beside it."""

from __future__ import annotations

from outcrop.engines.engine import Sampling
from outcrop.errors import ValidationException
from outcrop.inference.fields import Extra
from outcrop.models.model import Model
from outcrop.shapes.bedrock_runtime import InferenceConfiguration


def sampling_of(config: InferenceConfiguration, extra: Extra, model: Model) -> Sampling:
    return Sampling(
        max_tokens=max_tokens(config.get("maxTokens"), model),
        temperature=config.get("temperature"),
        top_p=config.get("topP"),
        top_k=extra.top_k,
        seed=extra.seed,
        stop=tuple(config.get("stopSequences", ())),
        frequency_penalty=extra.frequency_penalty,
        presence_penalty=extra.presence_penalty,
    )


def max_tokens(asked: int | None, model: Model) -> int | None:
    """Refused above the model's limit, never lowered. None: as many as the model and its context let it."""
    limit = model.max_output_tokens
    if asked is not None and asked > limit:
        raise ValidationException(
            f"The maximum tokens you requested exceeds the model limit of {limit}. Try again with a maximum tokens "
            f"value that is lower than {limit}."
        )
    return model.default_max_tokens if asked is None else asked
