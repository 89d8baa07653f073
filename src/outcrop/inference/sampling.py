"""How to pick tokens: inferenceConfig and what rides beside it."""

from __future__ import annotations

from outcrop.engines.engine import Sampling
from outcrop.errors import ValidationException
from outcrop.inference.fields import Extra
from outcrop.inference.wording import Wording
from outcrop.models.model import Model
from outcrop.shapes.bedrock_runtime import InferenceConfiguration


def sampling_of(config: InferenceConfiguration, extra: Extra, model: Model, words: Wording) -> Sampling:
    return Sampling(
        max_tokens=max_tokens(config.get("maxTokens"), model, words),
        temperature=config.get("temperature"),
        top_p=config.get("topP"),
        top_k=extra.top_k,
        seed=extra.seed,
        stop=tuple(config.get("stopSequences", ())),
        frequency_penalty=extra.frequency_penalty,
        presence_penalty=extra.presence_penalty,
    )


def max_tokens(asked: int | None, model: Model, words: Wording) -> int | None:
    """Refused above the model's limit. None: as many as the model and its context let it.

    Through an alias it is lowered instead: clients that know Claude ask for as many tokens as Claude has, of themselves.
    """
    limit = model.max_output_tokens
    if asked is not None and asked > limit:
        if model.alias:
            return limit
        raise ValidationException(words.max_tokens.format(asked=asked, limit=limit, model=model.id))
    return model.default_max_tokens if asked is None else asked
