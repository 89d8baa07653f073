"""LangChain's standard tests of embeddings against a running Outcrop. Run in the clients' environment, by test_langchain.py."""

from __future__ import annotations

from typing import Any

from langchain_aws import BedrockEmbeddings
from langchain_core.embeddings import Embeddings
from langchain_openai import OpenAIEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests


class TestTitan(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return BedrockEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model_id": "amazon.titan-embed-text-v2:0"}


class TestCohere(TestTitan):
    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model_id": "cohere.embed-english-v3"}


class TestOpenAIEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        # Otherwise it fetches OpenAI's tokenizer and sends token ids.
        return {"model": "amazon.titan-embed-text-v2:0", "check_embedding_ctx_length": False}
