"""toolConfig as the engine's tools and tool choice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from outcrop.engines.engine import CachePoint, Tool, ToolChoice
from outcrop.errors import ValidationException
from outcrop.inference.failures import ModelRefused
from outcrop.inference.structured_output import check_schema
from outcrop.models.model import Model
from outcrop.shapes.bedrock_runtime import ToolChoice as Choice
from outcrop.shapes.bedrock_runtime import ToolConfiguration, ToolSpecification


def tools_of(configuration: ToolConfiguration | None, model: Model) -> tuple[tuple[Tool, ...], ToolChoice]:
    if configuration is None:
        return (), ToolChoice()
    if not model.capabilities.tools:
        raise ValidationException("This model doesn't support tool use.")
    tools = []
    for i, entry in enumerate(configuration["tools"]):
        if "systemTool" in entry:
            raise ValidationException("This model doesn't support system tools.")
        if "toolSpec" in entry:
            tools.append(_tool(i, entry["toolSpec"]))
        elif "cachePoint" in entry and tools and model.capabilities.cache_points:
            ttl: Any = entry["cachePoint"].get("ttl")
            tools[-1] = replace(tools[-1], cache=CachePoint(ttl))
    check_names(tools)
    if not tools:
        raise ValidationException("The toolConfig.tools field has no toolSpec. Add a tool and try again.")
    return tuple(tools), _choice(configuration.get("toolChoice"), tools)


def check_names(tools: list[Tool]) -> None:
    if len({tool.name for tool in tools}) < len(tools):
        raise ModelRefused("tools: Tool names must be unique.")


def check_choice(choice: ToolChoice, tools: list[Tool]) -> ToolChoice:
    """A choice can only name a tool that is there."""
    if choice.mode == "tool" and choice.name not in {tool.name for tool in tools}:
        raise ModelRefused(f"Tool '{choice.name}' not found in provided tools")
    return choice


def _tool(i: int, spec: ToolSpecification) -> Tool:
    where = f"toolConfig.tools.{i}.toolSpec.inputSchema.json"
    schema: Any = spec["inputSchema"].get("json")
    if not isinstance(schema, dict):
        raise ValidationException(
            f"The format of the value at {where} is invalid. Provide a json object for the field and try again."
        )
    if schema.get("type") != "object":
        raise ValidationException(f"The value at {where}.type must be one of the following: object.")
    strict = spec.get("strict", False)
    if strict:
        check_schema(schema, f"tools.{i}.custom.input_schema")
    return Tool(spec["name"], spec.get("description", ""), schema, strict)


def _choice(choice: Choice | None, tools: list[Tool]) -> ToolChoice:
    if choice is None or "auto" in choice:
        return ToolChoice()
    if "any" in choice:
        return ToolChoice("any")
    return check_choice(ToolChoice("tool", choice["tool"]["name"]), tools)
