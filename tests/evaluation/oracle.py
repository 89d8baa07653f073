"""An engine that knows what to say to each prompt, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Delta,
    EngineError,
    Finish,
    Text,
    TextDelta,
    Unsupported,
    Usage,
)
from outcrop.evaluation.engine_asking import asks
from outcrop.evaluation.item import Item, Suite
from outcrop.evaluation.results import Results
from outcrop.evaluation.run import Asked, Plan, evaluate

Say = Callable[[str, int | None], str]


class Oracle:
    """`say` is given the prompt and the seed. What it raises is raised."""

    def __init__(self, say: Say, seconds: float = 0.0) -> None:
        self.say, self.seconds = say, seconds
        self.requests: list[ChatRequest | CompletionRequest] = []
        self.now = self.most = 0

    async def start(self) -> None: ...

    async def capabilities(self) -> Capabilities:
        return Capabilities(1 << 20)

    async def chat(self, request: ChatRequest) -> AsyncIterator[Delta]:
        text = "\n\n".join(part.text for turn in request.messages for part in turn.parts if isinstance(part, Text))
        async for delta in self._said(text, request):
            yield delta

    async def complete(self, request: CompletionRequest) -> AsyncIterator[Delta]:
        async for delta in self._said(request.prompt, request):
            yield delta

    async def _said(self, prompt: str, request: ChatRequest | CompletionRequest) -> AsyncIterator[Delta]:
        self.requests.append(request)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.seconds)
            answer = self.say(prompt, request.sampling.seed)
        finally:
            self.now -= 1
        for piece in (answer[:3], answer[3:]):
            yield TextDelta(piece)
        yield Finish("stop", Usage(len(prompt.split()), len(answer.split())))

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        return 1

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        raise Unsupported("embeddings")

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        raise Unsupported("reranking")

    def ready(self) -> bool:
        return True

    async def close(self) -> None: ...


def knowing(items: Sequence[Item], answer: Callable[[Item], str]) -> Oracle:
    by_prompt = {"\n\n".join(turn.text for turn in item.prompt.turns): answer(item) for item in items}
    return Oracle(lambda prompt, seed: by_prompt[prompt])


def asked(oracle: Oracle, name: str = "oracle", room: int | None = 4) -> Asked:
    return Asked(name, name, asks(oracle), room)


def results_of(suite: Suite, items: Sequence[Item], answer: Callable[[Item], str], plan: Plan | None = None) -> Results:
    """What a model that answers so comes to."""
    run, records = asyncio.run(evaluate(asked(knowing(items, answer)), suite, items, plan or Plan()))
    return Results([run], records)


def failing(problem: EngineError) -> Oracle:
    def say(prompt: str, seed: int | None) -> str:
        raise problem

    return Oracle(say)
