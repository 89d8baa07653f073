"""Cohere's own client of Bedrock, unmodified. Run in the clients' environment, by test_native_bodies.py.

It always calls Amazon's host name; where that leads to is the resolver's answer, which is OUTCROP_PORT of this machine.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

_resolve = socket.getaddrinfo


def _here(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
    if str(host).endswith(".amazonaws.com"):
        return _resolve("127.0.0.1", int(os.environ["OUTCROP_PORT"]), *rest, **options)
    return _resolve(host, port, *rest, **options)


socket.getaddrinfo = _here

import cohere  # noqa: E402 - after the resolver

client = cohere.BedrockClient()
said: dict[str, Any] = {}

answer = client.chat(model="cohere.command-r-v1:0", message="What about the sky?", temperature=0)
said["chat"] = [answer.text, answer.finish_reason, answer.meta.billed_units.output_tokens]
said["history"] = [message.message for message in answer.chat_history]

events = list(client.chat_stream(model="cohere.command-r-v1:0", message="What about the sky?"))
said["streamed"] = [
    "".join(event.text for event in events if event.event_type == "text-generation"),
    events[-1].event_type,
    events[-1].response.text,
]

tool = {
    "name": "weather",
    "description": "The weather",
    "parameter_definitions": {"city": {"type": "str", "required": True}},
}
asked = client.chat(model="cohere.command-r-v1:0", message="How is the weather?", tools=[tool])
(call,) = asked.tool_calls
said["call"] = [call.name, call.parameters]
result = {"call": {"name": call.name, "parameters": call.parameters}, "outputs": [{"text": "-3 degrees"}]}
answered = client.chat(
    model="cohere.command-r-v1:0", message="How is the weather?", tools=[tool], tool_results=[result]
)
said["answered"] = answered.text
events = list(client.chat_stream(model="cohere.command-r-v1:0", message="How is the weather?", tools=[tool]))
said["streamed call"] = [c.parameters for e in events if e.event_type == "tool-calls-generation" for c in e.tool_calls]

generated = client.generate(model="cohere.command-text-v14", prompt="What about the sky?", max_tokens=50)
said["generated"] = generated.generations[0].text
pieces = list(client.generate_stream(model="cohere.command-text-v14", prompt="What about the sky?", max_tokens=50))
said["generated in a stream"] = "".join(piece.text for piece in pieces if piece.event_type == "text-generation")

texts = ["one two", "three"]
floats = client.embed(model="cohere.embed-english-v3", texts=texts, input_type="search_document")
said["floats"] = [floats.response_type, [len(vector) for vector in floats.embeddings]]
typed = client.embed(
    model="cohere.embed-english-v3", texts=texts, input_type="search_document", embedding_types=["int8", "ubinary"]
)
said["typed"] = [typed.response_type, len(typed.embeddings.int8[0]), len(typed.embeddings.ubinary[0])]

ranked = cohere.BedrockClientV2().rerank(
    model="cohere.rerank-v3-5:0", query="the cold sky", documents=["the sea", "the cold sky"], top_n=1
)
said["ranked"] = [[result.index, result.relevance_score] for result in ranked.results]

print(json.dumps(said))
