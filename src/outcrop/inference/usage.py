"""Token counts. Bedrock's `inputTokens` leaves out what came from a cache; the engine's count is of the whole prompt.

Prefix caching is implicit here: engines keep and reuse prefixes by themselves, with or without cache points, and what
they really reused is always reported, as Bedrock does for models with implicit caching. Nothing is ever reported as
written, because keeping a prefix costs no extra tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from outcrop.engines.engine import Usage
from outcrop.shapes.bedrock_runtime import TokenUsage


@dataclass(frozen=True, slots=True)
class Counts:
    """`fresh` + `cached` is the prompt."""

    fresh: int
    cached: int
    output: int


def counts(usage: Usage) -> Counts:
    cached = min(usage.cached_tokens, usage.input_tokens)
    return Counts(usage.input_tokens - cached, cached, usage.output_tokens)


def token_usage(usage: Usage) -> TokenUsage:
    """`usage` of Converse."""
    count = counts(usage)
    return {
        "inputTokens": count.fresh,
        "outputTokens": count.output,
        "totalTokens": count.fresh + count.cached + count.output,
        "cacheReadInputTokens": count.cached,
        "cacheWriteInputTokens": 0,
    }
