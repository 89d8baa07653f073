"""What needs a model besides those of the job: vectors of sentences for Summarization."""

from __future__ import annotations

from collections.abc import Sequence

from outcrop.context import Parts
from outcrop.engines.engine import EngineError
from outcrop.evaluation.jobs.aside import aside
from outcrop.evaluation.metrics.similarity import matched, sentences

NO_MODEL = "BERTScore needs an embedding model. The operator names one of this server's in the settings: [evaluation] embedding_model."


class SimilarSentences:
    """Vectors of the operator's embedding model, each sentence asked once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._model = parts.settings.evaluation.embedding_model
        self._known: dict[str, list[float]] = {}

    async def of(self, answer: str, references: Sequence[str]) -> float | str:
        if self._model is None:
            return NO_MODEL
        try:
            said = await self._vectors(sentences(answer))
            wanted = [await self._vectors(sentences(reference)) for reference in references]
            # Off the loop: it is a million multiplications.
            return await aside(lambda: max(matched(said, one) for one in wanted))
        except (EngineError, KeyError) as problem:
            return f"The embedding model {self._model} cannot be used: {problem}"

    async def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        assert self._model is not None
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            vectors, _ = await self._parts.engines.get(self._model).embed(new)
            self._known.update(zip(new, vectors, strict=True))
        return [self._known[text] for text in texts]
