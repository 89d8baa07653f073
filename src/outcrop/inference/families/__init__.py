"""Native bodies of InvokeModel, one module a family; `models/families.py` says whose is whose."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from outcrop.context import Context
from outcrop.inference.families import (
    anthropic_messages,
    cohere_command,
    cohere_command_r,
    cohere_embed,
    deepseek_r1,
    gpt_oss,
    imported,
    jamba,
    llama,
    mistral,
    nova,
    openai_chat,
    rerank,
    titan_embeddings,
    titan_text,
)
from outcrop.inference.families.family import Family
from outcrop.inference.usage import Counts
from outcrop.models.model import Model
from outcrop.settings import FamilyName


@dataclass(frozen=True, slots=True)
class _Computed:
    """A family that is one function of a module with several."""

    compute: Callable[[Context, Model, bytes], Coroutine[Any, Any, tuple[dict[str, Any], Counts]]]


FAMILIES: Mapping[FamilyName, Family] = {
    "amazon-rerank": _Computed(rerank.amazon),
    "anthropic": anthropic_messages,
    "cohere-command": cohere_command,
    "cohere-command-r": cohere_command_r,
    "cohere-embed": _Computed(cohere_embed.v3),
    "cohere-embed-v4": _Computed(cohere_embed.v4),
    "cohere-rerank": _Computed(rerank.cohere),
    "deepseek-r1": deepseek_r1,
    "gpt-oss": gpt_oss,
    "imported": imported,
    "jamba": jamba,
    "llama": llama,
    "mistral": mistral,
    "mistral-chat": mistral,
    "nova": nova,
    "openai-chat": openai_chat,
    "titan-embed-image": _Computed(titan_embeddings.multimodal),
    "titan-embed-v1": _Computed(titan_embeddings.v1),
    "titan-embed-v2": _Computed(titan_embeddings.v2),
    "titan-text": titan_text,
}


def family_of(model: Model) -> Family:
    return FAMILIES[model.family]
