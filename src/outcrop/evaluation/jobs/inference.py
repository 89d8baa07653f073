"""inferenceParams: how a model is asked, from a JSON string whose form AWS leaves to the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from outcrop.errors import ValidationException

# Where nothing else is said: the same job twice gives the same answers.
TEMPERATURE = 0.0
MAX_TOKENS = 1024

# Names that families have for the members of inferenceConfig.
_FLAT: Mapping[str, str] = {
    **dict.fromkeys(("maxTokens", "max_tokens", "maxTokenCount", "max_gen_len", "max_tokens_to_sample", "max_new_tokens"), "maxTokens"),
    "temperature": "temperature",
    **dict.fromkeys(("topP", "top_p"), "topP"),
    **dict.fromkeys(("stopSequences", "stop_sequences"), "stopSequences"),
}  # fmt: skip
_OBJECTS = ("inferenceConfig", "additionalModelRequestFields")


@dataclass(frozen=True, slots=True)
class Inference:
    """`config` is Converse's inferenceConfig, `extra` its additionalModelRequestFields."""

    config: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    performance: Mapping[str, Any] | None = None


def inference(text: str | None, performance: Mapping[str, Any] | None, most_tokens: int) -> Inference:
    """ValidationException for what is no JSON object, or has a key that means nothing. `most_tokens` is the model's limit."""
    given = _object(text)
    config: dict[str, Any] = {"temperature": TEMPERATURE, "maxTokens": min(MAX_TOKENS, most_tokens)}
    for name, value in given.items():
        if name in _FLAT:
            config[_FLAT[name]] = _number(name, value)
        elif name not in _OBJECTS:
            raise ValidationException(
                f"inferenceParams has the key {name}, which is not known. It takes inferenceConfig and "
                "additionalModelRequestFields, as Converse does, or maxTokens, temperature, topP and stopSequences."
            )
        elif not isinstance(value, dict):
            raise ValidationException(f"inferenceParams: {name} must be a JSON object.")
    config.update(given.get("inferenceConfig", {}))
    return Inference(config, given.get("additionalModelRequestFields", {}), performance)


def _object(text: str | None) -> dict[str, Any]:
    if not text or not text.strip():
        return {}
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise ValidationException(f"inferenceParams is not valid JSON: {problem}") from None
    if not isinstance(given, dict):
        raise ValidationException("inferenceParams must be a JSON object.")
    return given


def _number(name: str, value: Any) -> Any:
    """AWS's own examples write numbers as strings."""
    if not isinstance(value, str):
        return value
    try:
        return int(value) if _FLAT[name] == "maxTokens" else float(value)
    except ValueError:
        raise ValidationException(f"inferenceParams: {name} is not a number: {value[:100]}") from None
