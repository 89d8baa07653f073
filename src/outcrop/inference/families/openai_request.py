"""A chat completion's body as a chat request, by way of Converse's shape, whose rules it shares.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import secrets
import string as letters
from collections.abc import Mapping, Sequence
from typing import Any

from outcrop.context import Context
from outcrop.engines.engine import ChatRequest, Tool, ToolChoice
from outcrop.errors import ValidationException
from outcrop.inference.conversation import Reader, turns_of
from outcrop.inference.families.body import Member, array, boolean, integer, mapping, number, opened, string
from outcrop.inference.families.family import Asked
from outcrop.inference.families.openai_messages import messages_of
from outcrop.inference.fields import Extra
from outcrop.inference.reasoning import Signer
from outcrop.inference.sampling import sampling_of
from outcrop.inference.structured_output import checked
from outcrop.inference.tools import check_choice, tools_of
from outcrop.inference.wording import OPENAI
from outcrop.models.model import Model
from outcrop.shapes.bedrock_runtime import InferenceConfiguration, ToolConfiguration
from outcrop.shapes.bedrock_runtime import Tool as ToolEntry

MOST_STOP_SEQUENCES = 10
_LETTERS = letters.ascii_letters + letters.digits
# Free-form JSON: what `response_format: json_object` asks for.
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}

MEMBERS: Mapping[str, Member] = {
    "messages": array(required=True),
    "model": string(),
    "stream": boolean(),
    "stream_options": mapping(),
    "max_tokens": integer(1),
    "max_completion_tokens": integer(1),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "top_k": integer(0),
    "seed": integer(),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "stop": Member(("String", "JSONArray")),
    "tools": array(),
    "tool_choice": Member(("String", "JSONObject")),
    "parallel_tool_calls": boolean(),
    "response_format": mapping(),
    "service_tier": string(),
    "n": integer(1),
    "logprobs": boolean(),
    "top_logprobs": integer(0),
    "logit_bias": mapping(),
    "modalities": array(),
    "reasoning_effort": string(),
    # They say nothing about the answer.
    "user": string(),
    "metadata": mapping(),
    "store": boolean(),
    "safety_identifier": string(),
    "prompt_cache_key": string(),
    "prompt_cache_retention": string(),
}


def tool_call_id() -> str:
    return "call_" + "".join(secrets.choice(_LETTERS) for _ in range(24))


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    """ValidationException for whatever is wrong with the body or cannot be done by this model."""
    given = opened(body, MEMBERS)
    if not model.capabilities.chat:
        raise ValidationException("This model doesn't support chat completions.")
    _refuse(given)
    _check_model(ctx, model, given.get("model"))
    return await asked(ctx, model, given)


async def asked(ctx: Context, model: Model, given: Mapping[str, Any]) -> Asked:
    """The same, of a body whose members are known to be of their types."""
    configuration = _tool_configuration(given.get("tools", []), given.get("tool_choice"))
    tools, _ = tools_of(configuration, model)
    choice = _choice(given.get("tool_choice", "auto"), list(tools))
    messages, system = messages_of(given["messages"])
    reader = Reader(model, OPENAI, Signer(ctx.parts.vault))
    turns = await turns_of(reader, messages, system, configuration)
    schema = _schema(given.get("response_format", {}), model)
    extra = Extra(given.get("top_k"), given.get("seed"), given.get("frequency_penalty"), given.get("presence_penalty"))
    chat = ChatRequest(turns, tools, choice, schema, sampling_of(_inference(given), extra, model, OPENAI))
    return Asked(chat, given, OPENAI, tool_call_id, given.get("parallel_tool_calls") is False)


def _refuse(given: Mapping[str, Any]) -> None:
    """What would change the answer and cannot be done."""
    if given.get("n", 1) > 1:
        raise ValidationException("n: This model gives one choice a request. Use 1 and try again.")
    if given.get("logprobs") or given.get("top_logprobs"):
        raise ValidationException("logprobs: This model doesn't support log probabilities.")
    if given.get("logit_bias"):
        raise ValidationException("logit_bias: This model doesn't support logit biases.")
    if given.get("modalities", ["text"]) != ["text"]:
        raise ValidationException("modalities: This model answers with text only.")
    if "reasoning_effort" in given:
        raise ValidationException("reasoning_effort: This model doesn't support the reasoning_effort parameter.")


def _check_model(ctx: Context, model: Model, name: str | None) -> None:
    if name is None:
        return
    named = ctx.catalogue.resolve(name, account=ctx.account, region=ctx.region)
    if named.id != model.id:
        raise ValidationException(f"The model {name} in the body is not the model of the request.")


def _inference(given: Mapping[str, Any]) -> InferenceConfiguration:
    config: InferenceConfiguration = {}
    if (most := given.get("max_completion_tokens", given.get("max_tokens"))) is not None:
        config["maxTokens"] = most
    if "temperature" in given:
        config["temperature"] = given["temperature"]
    if "top_p" in given:
        config["topP"] = given["top_p"]
    if "stop" in given:
        config["stopSequences"] = _stops(given["stop"])
    return config


def _stops(stop: str | list[Any]) -> list[str]:
    stops = [stop] if isinstance(stop, str) else stop
    if len(stops) > MOST_STOP_SEQUENCES or not all(isinstance(text, str) and text for text in stops):
        raise ValidationException(f"stop: Give up to {MOST_STOP_SEQUENCES} texts, none of them empty.")
    return stops


def _schema(wanted: Mapping[str, Any], model: Model) -> Mapping[str, Any] | None:
    kind = wanted.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        if not model.capabilities.json_schema:
            raise ValidationException("This model doesn't support structured output.")
        return ANY_OBJECT
    if kind != "json_schema" or not isinstance(wanted.get("json_schema"), dict):
        raise ValidationException("response_format.type: Use 'text', 'json_object' or 'json_schema', with its schema.")
    return checked(wanted["json_schema"].get("schema"), "response_format.json_schema.schema", model)


def _tool_configuration(tools: Sequence[Any], choice: Any) -> ToolConfiguration | None:
    entries = [_tool(i, tool) for i, tool in enumerate(tools)]
    allowed = _allowed(choice)
    kept = [entry for entry in entries if allowed is None or entry["toolSpec"]["name"] in allowed]
    return {"tools": kept} if kept else None


def _tool(i: int, tool: Any) -> ToolEntry:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or tool.get("type") != "function":
        raise ValidationException(f"tools.{i}: Only tools of the type 'function' are supported, with their function.")
    name, parameters = function.get("name"), function.get("parameters")
    if not isinstance(name, str) or not name:
        raise ValidationException(f"tools.{i}.function.name: A name is required.")
    description = function.get("description")
    return {
        "toolSpec": {
            "name": name,
            "description": description if isinstance(description, str) else "",
            "inputSchema": {"json": {"type": "object", "properties": {}} if parameters is None else parameters},
            "strict": function.get("strict") is True,
        }
    }


def _allowed(choice: Any) -> set[str] | None:
    """The names that `tool_choice` leaves of the tools, None if all of them."""
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return None
    offered = choice.get("allowed_tools", choice)
    named = offered.get("tools", []) if isinstance(offered, dict) else []
    return {str((tool.get("function") or tool).get("name")) for tool in named if isinstance(tool, dict)}


def _choice(choice: str | Mapping[str, Any], tools: list[Tool]) -> ToolChoice:
    modes = {"auto": "auto", "none": "none", "required": "any"}
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        offered = choice.get("allowed_tools", choice)
        choice = str(offered.get("mode", "auto")) if isinstance(offered, dict) else "auto"
    if isinstance(choice, str):
        if choice not in modes:
            raise ValidationException("tool_choice: Use 'auto', 'none', 'required', or the function to call.")
        if choice == "required" and not tools:
            raise ValidationException("tool_choice: 'required' needs tools.")
        return ToolChoice(modes[choice])  # type: ignore[arg-type]  # the values of `modes`
    function = choice.get("function", choice)
    if choice.get("type") != "function" or not isinstance(function, dict):
        raise ValidationException("tool_choice: Use 'auto', 'none', 'required', or the function to call.")
    return check_choice(ToolChoice("tool", str(function.get("name"))), tools)
