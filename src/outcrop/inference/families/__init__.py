"""Native bodies of InvokeModel, one module a family; `models/families.py` says whose is whose."""

from __future__ import annotations

from collections.abc import Mapping

from outcrop.inference.families import anthropic_messages, gpt_oss, nova, openai_chat
from outcrop.inference.families.family import Family
from outcrop.models.model import Model

FAMILIES: Mapping[str, Family] = {
    "anthropic": anthropic_messages,
    "gpt-oss": gpt_oss,
    "nova": nova,
    "openai-chat": openai_chat,
}


def family_of(model: Model) -> Family:
    return FAMILIES[model.family]
