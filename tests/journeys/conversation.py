"""What the journeys say, in each client's own way: one tool, one schema, one question."""

from __future__ import annotations

import json
from typing import Any

MODEL = "outcrop.house-nano-v1:0"
QUESTION = "What is Outcrop?"
WEATHER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: dict[str, Any] = {
    "toolSpec": {"name": "get_weather", "description": "Get the weather", "inputSchema": {"json": WEATHER_SCHEMA}}
}
PERSON_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": text}]}


def json_output(schema: dict[str, Any]) -> dict[str, Any]:
    structure = {"jsonSchema": {"name": "answer", "schema": json.dumps(schema)}}
    return {"textFormat": {"type": "json_schema", "structure": structure}}
