"""Cohere's tools and their results in Converse's shapes.

Calls have no ids: a result repeats the call that it is of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from outcrop.inference.families.body import Member, array, boolean, mapping, string
from outcrop.shapes.bedrock_runtime import ContentBlock, Tool, ToolConfiguration

CALL = mapping({"name": string(required=True), "parameters": mapping(required=True)}, required=True)
RESULT = mapping({"call": CALL, "outputs": array(mapping(), required=True)})
DEFINITION: Mapping[str, Member] = {"description": string(), "type": string(required=True), "required": boolean()}
TOOL = mapping({
    "name": string(required=True, shortest=1),
    "description": string(required=True),
    "parameter_definitions": mapping(),
})  # fmt: skip

# Python's names of types, and JSON's own.
_TYPES = {
    "str": "string", "string": "string", "int": "integer", "integer": "integer", "float": "number", "number": "number",
    "bool": "boolean", "boolean": "boolean", "dict": "object", "object": "object",
}  # fmt: skip
_LIST = re.compile(r"(?:list|array)(?:\[(?P<item>.+)\])?", re.IGNORECASE)
_OPTIONAL = re.compile(r"Optional\[(?P<inner>.+)\]")


def configuration_of(tools: Sequence[Mapping[str, Any]]) -> ToolConfiguration | None:
    return {"tools": [_tool(tool) for tool in tools]} if tools else None


def _tool(tool: Mapping[str, Any]) -> Tool:
    definitions = tool.get("parameter_definitions", {})
    schema = {
        "type": "object",
        "properties": {name: _property(definition) for name, definition in definitions.items()},
        "required": [name for name, definition in definitions.items() if definition.get("required")],
    }
    return {
        "toolSpec": {"name": tool["name"], "description": tool["description"], "inputSchema": {"json": schema}}
    }  # fmt: skip


def _property(definition: Mapping[str, Any]) -> dict[str, Any]:
    schema = schema_of(definition["type"])
    return {**schema, "description": definition["description"]} if definition.get("description") else schema


def schema_of(name: str) -> dict[str, Any]:
    """The JSON schema of a Python type by its name; one that is not known may be anything."""
    name = name.strip()
    if (optional := _OPTIONAL.fullmatch(name)) is not None:
        return schema_of(optional["inner"])
    if (listed := _LIST.fullmatch(name)) is not None:
        return {"type": "array", "items": schema_of(listed["item"])} if listed["item"] else {"type": "array"}
    kind = _TYPES.get(name.partition("[")[0].lower())
    return {} if kind is None else {"type": kind}


def calls_of(results: Sequence[Mapping[str, Any]], prefix: str) -> list[ContentBlock]:
    """The calls that the results are of, with ids made of `prefix`."""
    return [
        {
            "toolUse": {
                "toolUseId": f"{prefix}_{n}",
                "name": result["call"]["name"],
                "input": result["call"]["parameters"],
            }
        }
        for n, result in enumerate(results)
    ]


def results_of(results: Sequence[Mapping[str, Any]], prefix: str) -> list[ContentBlock]:
    return [
        {"toolResult": {"toolUseId": f"{prefix}_{n}", "content": [{"json": output} for output in result["outputs"]]}}
        for n, result in enumerate(results)
    ]
