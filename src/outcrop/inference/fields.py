"""additionalModelRequestFields in, additionalModelResponseFields out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outcrop.engines.engine import Finish, Thinking
from outcrop.errors import ValidationException
from outcrop.inference.failures import ModelRefused
from outcrop.inference.malformed import Violations
from outcrop.models.model import Model

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")


@dataclass(frozen=True, slots=True)
class Extra:
    """Sampling parameters that Converse has no member for, whether to think, and Claude's own `output_config`."""

    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    thinking: Thinking | None = None
    output: Mapping[str, Any] = field(default_factory=dict)


def extra_of(fields: object, model: Model, max_tokens: int | None) -> Extra:
    """ValidationException for what no model here understands: nothing is silently dropped but `anthropic_beta`."""
    if fields is None:
        return Extra()
    if not isinstance(fields, dict):
        raise ValidationException(
            "The format of the value at additionalModelRequestFields is invalid. Provide a json object for the field "
            "and try again."
        )
    flat = _flattened(fields)
    problems = Violations()
    for name in flat:
        if name not in _READ:
            problems.extraneous("#", name)
    top_k = problems.integer(flat, "top_k", 0, 500)
    seed = problems.integer(flat, "seed", 0, 2**32 - 1)
    frequency = problems.number(flat, "frequency_penalty", -2, 2)
    presence = problems.number(flat, "presence_penalty", -2, 2)
    output = flat.get("output_config", {})
    if problems.kind("#/output_config", output, "JSONObject"):
        problems.keys("#/output_config", output, (), ("format", "effort"))
    if problems:
        raise ModelRefused(problems.text())
    return Extra(top_k, seed, frequency, presence, thinking_of(flat.get("thinking"), model, max_tokens), output)


_READ = frozenset(
    {"top_k", "seed", "frequency_penalty", "presence_penalty", "thinking", "anthropic_beta", "output_config"}
)
# Nova's names.
_SPELLINGS = {"topK": "top_k"}


def _flattened(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Nova puts topK into an `inferenceConfig` of its own; null means not given."""
    inner = fields.get("inferenceConfig")
    rest = {name: value for name, value in fields.items() if name != "inferenceConfig" or not isinstance(inner, dict)}
    merged = {**rest, **(inner if isinstance(inner, dict) else {})}
    return {_SPELLINGS.get(name, name): value for name, value in merged.items() if value is not None}


def thinking_of(thinking: object, model: Model, max_tokens: int | None) -> Thinking | None:
    """Many models that reason do it unasked: switching it on is accepted for all of them and refused for others."""
    if thinking is None or (isinstance(thinking, dict) and thinking.get("type") == "disabled"):
        return None
    if not isinstance(thinking, dict) or thinking.get("type") not in ("enabled", "adaptive"):
        raise ModelRefused("thinking.type: Input should be 'adaptive', 'disabled' or 'enabled'")
    if not model.capabilities.reasoning:
        raise ModelRefused("thinking: This model doesn't support extended thinking.")
    if thinking["type"] == "adaptive":
        return Thinking()
    return Thinking(_budget(thinking.get("budget_tokens"), max_tokens))


def _budget(budget: object, max_tokens: int | None) -> int:
    if not isinstance(budget, int) or isinstance(budget, bool):
        raise ModelRefused("thinking.enabled.budget_tokens: Field required")
    if budget < 1024:
        raise ModelRefused("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if max_tokens is not None and budget >= max_tokens:
        raise ModelRefused("`max_tokens` must be greater than `thinking.budget_tokens`.")
    return budget


def check_pointers(paths: Sequence[str] | None) -> None:
    for i, path in enumerate(paths or ()):
        if _POINTER.fullmatch(path) is None:
            raise ValidationException(
                f"The value at additionalModelResponseFieldPaths.{i} is not a valid JSON Pointer: {path}. "
                "A JSON Pointer begins with a slash."
            )


def response_fields(paths: Sequence[str] | None, finish: Finish, stop_reason: str) -> dict[str, Any] | None:
    """What the pointers find in the model's own response, nested under the same keys; None if they find nothing."""
    native = {"stop_reason": stop_reason, "stop_sequence": finish.stop_sequence}
    found: dict[str, Any] = {}
    for path in paths or ():
        keys = [key.replace("~1", "/").replace("~0", "~") for key in path.split("/")[1:]]
        if len(keys) == 1 and keys[0] in native:
            found[keys[0]] = native[keys[0]]
    return found or None
