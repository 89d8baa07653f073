"""What each family's body looks like, for whoever sent a model the body of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from outcrop.errors import ValidationException
from outcrop.inference.malformed import Malformed
from outcrop.settings import FamilyName

# The name of a form, and the members that tell it from others.
FORMS: Mapping[FamilyName, tuple[str, tuple[str, ...]]] = {
    "anthropic": ("Anthropic Messages", ("anthropic_version", "max_tokens", "messages", "system", "tools")),
    "nova": ("Amazon Nova", ("messages", "system", "inferenceConfig", "toolConfig")),
    "titan-text": ("Amazon Titan Text", ("inputText", "textGenerationConfig")),
    "titan-embed-v1": ("Amazon Titan Embeddings G1", ("inputText",)),
    "titan-embed-v2": ("Amazon Titan Text Embeddings V2", ("inputText", "dimensions", "normalize", "embeddingTypes")),
    "titan-embed-image": ("Amazon Titan Multimodal Embeddings G1", ("inputText", "inputImage", "embeddingConfig")),
    "amazon-rerank": ("Amazon Rerank", ("query", "documents", "top_n")),
    "llama": ("Meta Llama", ("prompt", "max_gen_len", "temperature", "top_p")),
    "mistral": ("Mistral text completion", ("prompt", "max_tokens", "stop", "temperature", "top_p", "top_k")),
    "mistral-chat": ("Mistral chat completion", ("messages", "max_tokens", "tools", "tool_choice", "temperature")),
    "cohere-command-r": ("Cohere Command R", ("message", "chat_history", "documents", "tools", "tool_results")),
    "cohere-command": ("Cohere Command", ("prompt", "max_tokens", "temperature", "p", "k", "stop_sequences")),
    "cohere-embed": ("Cohere Embed v3", ("input_type", "texts", "truncate", "embedding_types")),
    "cohere-embed-v4": ("Cohere Embed v4", ("input_type", "texts", "inputs", "embedding_types", "output_dimension")),
    "cohere-rerank": ("Cohere Rerank", ("query", "documents", "api_version", "top_n")),
    "jamba": ("AI21 Jamba", ("messages", "max_tokens", "temperature", "top_p", "stop")),
    "deepseek-r1": ("DeepSeek-R1", ("prompt", "max_tokens", "temperature", "top_p", "stop")),
    "gpt-oss": ("OpenAI chat completion", ("messages", "max_completion_tokens", "tools", "response_format")),
    "openai-chat": ("OpenAI chat completion", ("messages", "max_tokens", "tools", "response_format")),
    "imported": ("imported model", ("prompt with max_gen_len", "prompt with max_tokens", "or messages")),
}


@contextmanager
def explained(family: FamilyName) -> Iterator[None]:
    """A body that was written for another family is refused with a word on what this one takes."""
    try:
        yield
    except Malformed as problem:
        if not problem.foreign:
            raise
        name, members = FORMS[family]
        raise ValidationException(f"{problem.message} This model takes {name} bodies: {', '.join(members)}.") from None
