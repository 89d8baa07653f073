"""Token counts. Bedrock's `inputTokens` leaves out what came from a cache; the engine's count is of the whole prompt.

Prefix caching is implicit in engines that run here: they keep and reuse prefixes by themselves, with or without cache
points, and what they really reused is always reported, as Bedrock does for models with implicit caching. Only an engine
elsewhere reports tokens as written: here keeping a prefix costs none.
"""

from __future__ import annotations

from dataclasses import dataclass

from outcrop.engines.engine import Usage
from outcrop.shapes.bedrock_runtime import TokenUsage


@dataclass(frozen=True, slots=True)
class Counts:
    """`fresh` + `cached` + `written` is the prompt."""

    fresh: int
    cached: int
    output: int
    written: int = 0

    @property
    def total(self) -> int:
        return self.fresh + self.cached + self.written + self.output


def counts(usage: Usage) -> Counts:
    cached = min(usage.cached_tokens, usage.input_tokens)
    written = min(usage.written_tokens, usage.input_tokens - cached)
    return Counts(usage.input_tokens - cached - written, cached, usage.output_tokens, written)


def token_usage(usage: Usage) -> TokenUsage:
    """`usage` of Converse."""
    count = counts(usage)
    return {
        "inputTokens": count.fresh,
        "outputTokens": count.output,
        "totalTokens": count.total,
        "cacheReadInputTokens": count.cached,
        "cacheWriteInputTokens": count.written,
    }
