"""AI21's own client of Bedrock. Run in the clients' environment, by test_native_bodies.py."""

from __future__ import annotations

import json
import os
from typing import Any

from ai21 import AI21BedrockClient
from ai21.models.chat import ChatMessage

client = AI21BedrockClient(base_url=os.environ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"], region=os.environ["AWS_REGION"])
messages = [ChatMessage(role="user", content="What about the sky?")]
said: dict[str, Any] = {}

answer = client.chat.completions.create(model="ai21.jamba-1-5-large-v1:0", messages=messages, max_tokens=50)
choice = answer.choices[0]
said["chat"] = [choice.message.content, choice.finish_reason, answer.usage.completion_tokens]

chunks = list(client.chat.completions.create(model="ai21.jamba-1-5-large-v1:0", messages=messages, stream=True))
said["streamed"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

print(json.dumps(said))
