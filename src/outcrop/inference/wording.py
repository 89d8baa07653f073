"""How each wire format words the rules that both share, and which of them hold in it.

The texts are Bedrock's own where public error reports show them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Wording:
    """Texts with {i} (message), {before} (the one before it), {j} (block) and {ids}. None: the rule does not hold.

    `names_documents`: documents have unique, plain names and a text beside them.
    """

    none: str
    start: str | None
    alternate: str | None
    empty: str
    blank: str | None
    missing_results: str
    too_many_results: str
    no_tools: str | None
    too_long: str
    max_tokens: str
    names_documents: bool
    streams_timeouts: bool

    def overflow(self, tokens: int | None, limit: int | None) -> str:
        """Of a prompt that is too long; an engine does not always know by how much."""
        known = tokens is not None and limit is not None
        return (self.too_long if known else CONVERSE.too_long).format(tokens=tokens, limit=limit)


_START = "A conversation must start with a user message. Try again with a conversation that starts with a user message."

CONVERSE = Wording(
    none=_START,
    start=_START,
    alternate="A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
    "between user and assistant roles and try again.",
    empty="The content field in the Message object at messages.{i} is empty. Add a ContentBlock object to the content "
    "field and try again.",
    blank="The text field in the ContentBlock object at messages.{i}.content.{j} is blank. Add text to the text field, "
    "and try again.",
    missing_results="Expected toolResult blocks at messages.{i}.content for the following Ids: {ids}",
    too_many_results="The number of toolResult blocks at messages.{i}.content exceeds the number of toolUse blocks of "
    "previous turn.",
    no_tools="The toolConfig field must be defined when using toolUse and toolResult content blocks.",
    too_long="Input is too long for requested model.",
    max_tokens="The maximum tokens you requested exceeds the model limit of {limit}. Try again with a maximum tokens "
    "value that is lower than {limit}.",
    names_documents=True,
    streams_timeouts=False,
)

ANTHROPIC = Wording(
    none="messages: at least one message is required",
    start='messages: first message must use the "user" role',
    # The Messages API joins consecutive turns of one role.
    alternate=None,
    empty="messages.{i}: all messages must have non-empty content except for the optional final assistant message",
    blank="messages: text content blocks must contain non-whitespace text",
    missing_results="messages.{before}: `tool_use` ids were found without `tool_result` blocks immediately after: "
    "{ids}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
    too_many_results="messages.{i}: unexpected `tool_use_id` found in `tool_result` blocks: {ids}. Each `tool_result` "
    "block must have a corresponding `tool_use` block in the previous message.",
    no_tools=None,
    too_long="prompt is too long: {tokens} tokens > {limit} maximum",
    max_tokens="max_tokens: {asked} > {limit}, which is the maximum allowed number of output tokens for {model}",
    names_documents=False,
    streams_timeouts=True,
)

OPENAI = Wording(
    none="messages: There must be a message of the user or the assistant.",
    start=None,
    alternate=None,
    empty="messages.{i}: The content is empty.",
    blank=None,
    missing_results="An assistant message with 'tool_calls' must be followed by tool messages responding to each "
    "'tool_call_id'. The following tool_call_ids did not have response messages: {ids}",
    too_many_results="messages with role 'tool' must be a response to a preceding message with 'tool_calls': {ids}",
    no_tools=None,
    too_long="This model's maximum context length is {limit} tokens. However, your messages resulted in {tokens} "
    "tokens. Please reduce the length of the messages.",
    max_tokens="max_tokens is too large: {asked}. This model supports at most {limit} completion tokens.",
    names_documents=False,
    streams_timeouts=True,
)

# InvokeModel, of everybody else's bodies.
NATIVE = replace(CONVERSE, names_documents=False, streams_timeouts=True)
