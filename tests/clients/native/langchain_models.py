"""LangChain's classes that send native bodies. Run in the clients' environment, by test_native_bodies.py."""

from __future__ import annotations

import json
from typing import Any

from langchain_aws import BedrockEmbeddings, ChatBedrock
from langchain_aws.llms.bedrock import BedrockLLM

QUESTION = "What about the sky?"
said: dict[str, Any] = {}

for model in (
    "meta.llama3-1-8b-instruct-v1:0",
    "mistral.mistral-7b-instruct-v0:2",
    "mistral.mistral-large-2407-v1:0",
    "us.deepseek.r1-v1:0",
    "amazon.titan-text-express-v1",
):
    chat = ChatBedrock(model=model, beta_use_converse_api=False, temperature=0.1, max_tokens=50)
    answer = chat.invoke(QUESTION)
    pieces = list(chat.stream(QUESTION))
    said[model] = [answer.content, answer.usage_metadata["output_tokens"], "".join(piece.content for piece in pieces)]
    said[f"{model} streamed"] = len(pieces)

for model in ("cohere.command-text-v14", "amazon.titan-text-express-v1", "meta.llama3-1-8b-instruct-v1:0"):
    plain = BedrockLLM(model=model, max_tokens=50)
    said[f"{model} plain"] = [plain.invoke(QUESTION), "".join(plain.stream(QUESTION))]

for model, options in (
    ("amazon.titan-embed-text-v1", {}),
    ("amazon.titan-embed-text-v2:0", {"dimensions": 16}),
    ("cohere.embed-english-v3", {}),
    ("cohere.embed-v4:0", {"dimensions": 16}),
):
    embeddings = BedrockEmbeddings(model_id=model, **options)
    said[model] = [len(embeddings.embed_query("one")), [len(v) for v in embeddings.embed_documents(["one", "two"])]]

print(json.dumps(said))
