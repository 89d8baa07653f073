"""One question to a model, wherever it is, and what its answer was and cost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from outcrop.evaluation.item import Prompt


class Parameters(msgspec.Struct, frozen=True):
    """What answers depend on besides the prompt. `max_tokens` None is what the suite's protocol gives."""

    temperature: float = 0.0
    top_p: float | None = None
    seed: int = 0
    max_tokens: int | None = None


class Question(msgspec.Struct, frozen=True):
    """`sample` counts answers to the same prompt; each has a seed of its own."""

    prompt: Prompt
    parameters: Parameters
    sample: int = 0

    @property
    def seed(self) -> int:
        return self.parameters.seed + self.sample

    @property
    def max_tokens(self) -> int:
        return self.parameters.max_tokens or self.prompt.max_tokens


class Answer(msgspec.Struct, frozen=True):
    """`failure` says why there is none. `seconds` is from the question to the last token."""

    text: str
    finish: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    failure: str | None = None


# Whatever answers: an engine (`engine_asking`), or a server's Converse. It raises nothing for a question that cannot be
# answered; that is a failure, and counted.
Ask = Callable[[Question], Awaitable[Answer]]
