"""The JSON schema that the answer of an imported model is held to, by whichever member says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outcrop.errors import ValidationException
from outcrop.inference.families.openai_request import ANY_OBJECT
from outcrop.inference.structured_output import checked
from outcrop.models.model import Model


def response_format_of(given: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """`structured_outputs` as a `response_format`, or that itself."""
    asked = given.get("structured_outputs")
    if asked is None:
        return given.get("response_format")
    if "response_format" in given:
        raise ValidationException("Give one of response_format and structured_outputs.")
    if list(asked) != ["json"]:
        told = ", ".join(map(repr, sorted(asked))) or "nothing"
        raise ValidationException(f"structured_outputs: This model supports 'json', a schema, and not {told}.")
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": asked["json"]}}


def schema_of(given: Mapping[str, Any], model: Model) -> Mapping[str, Any] | None:
    """ValidationException for a schema that cannot be kept to."""
    wanted = response_format_of(given) or {"type": "text"}
    if wanted.get("type") == "text":
        return None
    if wanted.get("type") == "json_object":
        return checked(ANY_OBJECT, "response_format", model)
    if wanted.get("type") != "json_schema":
        raise ValidationException("response_format.type: Use 'text', 'json_object' or 'json_schema'.")
    # Bedrock's own form has the bare schema here, OpenAI's one in an object with its name.
    inner = wanted.get("json_schema")
    named = isinstance(inner, dict) and isinstance(inner.get("schema"), dict)
    return checked(inner["schema"] if named else inner, "response_format.json_schema", model)  # type: ignore[index]  # a dict
