"""Which native bodies a model takes, by its id.

Sources: the user guide's "Inference request parameters and response fields for foundation models", by provider.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from outcrop.engines.engine import Capabilities
from outcrop.models.identifiers import without_geography
from outcrop.settings import FamilyName

# The first that fits; a geography is left out before.
_PATTERNS: Mapping[str, FamilyName] = {
    r"anthropic\..*": "anthropic",
    r"amazon\.nova-.*": "nova",
    r"amazon\.titan-(text|tg1).*": "titan-text",
    r"amazon\.titan-embed-(text-v1|g1-text).*": "titan-embed-v1",
    r"amazon\.titan-embed-image.*": "titan-embed-image",
    r"amazon\.titan-embed-text.*": "titan-embed-v2",
    r"amazon\.rerank.*": "amazon-rerank",
    r"meta\.llama.*": "llama",
    r"mistral\.(mistral-7b-instruct|mixtral-8x7b-instruct|mistral-large-2402|mistral-small-2402).*": "mistral",
    r"mistral\..*": "mistral-chat",
    r"cohere\.command-r.*": "cohere-command-r",
    r"cohere\.command.*": "cohere-command",
    r"cohere\.embed-v4.*": "cohere-embed-v4",
    r"cohere\.embed.*": "cohere-embed",
    r"cohere\.rerank.*": "cohere-rerank",
    r"ai21\.jamba.*": "jamba",
    r"deepseek\.r1.*": "deepseek-r1",
    r"openai\.gpt-oss.*": "gpt-oss",
    r"(deepseek|openai|qwen|google|minimax|moonshot|moonshotai|nvidia|zai|writer)\..*": "openai-chat",
}
_FAMILIES = [(re.compile(pattern), name) for pattern, name in _PATTERNS.items()]


@lru_cache(maxsize=4096)
def known(name: str) -> FamilyName | None:
    """The family of an id of Bedrock's, geography or not; None for a name of one's own."""
    bare = without_geography(name) or name
    return next((family for pattern, family in _FAMILIES if pattern.fullmatch(bare)), None)


def default(able: Capabilities) -> FamilyName:
    """Of a model that is nobody's: what it can do decides."""
    if able.chat:
        return "anthropic"
    return "cohere-rerank" if able.rerank and not able.embeddings else "titan-embed-v2"
