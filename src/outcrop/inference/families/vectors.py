"""Embeddings: asking the engine for them, and the forms in which providers give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from outcrop.context import Context
from outcrop.engines.engine import ContextOverflow, Engine, EngineError, Usage
from outcrop.errors import ValidationException
from outcrop.inference.failures import before_the_answer
from outcrop.inference.watching import begun, failing, tell
from outcrop.inference.wording import NATIVE, Wording
from outcrop.models.model import Model

Vector = list[float]
# Which end of a text may be left out where it is too long; NONE: it is refused.
Cut = Literal["NONE", "START", "END"]

# A text that is too long is cut to a little less than its share, because tokens are not all equally long.
_MARGIN = 0.98
# 8-bit values span four standard deviations of a component of a unit vector to either side.
_SPAN = 4.0


async def embedded(
    ctx: Context, model: Model, texts: Sequence[str], cut: Cut = "NONE", words: Wording = NATIVE
) -> tuple[list[Vector], Usage]:
    """One vector a text, as the engine makes them. ValidationException if the model makes none or a text is too long."""
    if not model.capabilities.embeddings:
        raise ValidationException("This model doesn't support embeddings.")
    if not texts:
        return [], Usage(0, 0)
    generation = await begun(ctx, model, None)
    with failing(generation):
        try:
            engine = ctx.engine(model.id)
            vectors, usage = await (engine.embed(texts) if cut == "NONE" else _cut(engine, texts, cut))
        except EngineError as problem:
            raise before_the_answer(problem, model.id, words) from problem
        finally:
            tell(ctx, model)
    if generation is not None:
        generation.finished(usage, None)
    return vectors, usage


async def _cut(engine: Engine, texts: Sequence[str], cut: Cut) -> tuple[list[Vector], Usage]:
    try:
        return await engine.embed(texts)
    except ContextOverflow:
        made = [await _fitted(engine, text, cut) for text in texts]
    return [vector for vector, _ in made], Usage(sum(usage.input_tokens for _, usage in made), 0)


async def _fitted(engine: Engine, text: str, cut: Cut) -> tuple[Vector, Usage]:
    """Of as much of the text as the engine takes, to within a few percent: engines that embed can't count tokens."""
    while True:
        try:
            vectors, usage = await engine.embed([text])
        except ContextOverflow as problem:
            kept = int(len(text) * _share(problem))
            if kept < 1:
                raise
            text = text[-kept:] if cut == "START" else text[:kept]
        else:
            return vectors[0], usage


def _share(problem: ContextOverflow) -> float:
    """How much of a text to keep. An engine does not always know by how much it is too long."""
    if not problem.tokens or not problem.limit or problem.limit >= problem.tokens:
        return 0.5
    return _MARGIN * problem.limit / problem.tokens


def shortened(vector: Vector, dimensions: int | None, name: str) -> Vector:
    """The first `dimensions` components, scaled to length 1 if any are left out."""
    cut = first(vector, dimensions, name)
    return normalised(cut) if len(cut) < len(vector) else cut


def first(vector: Vector, dimensions: int | None, name: str) -> Vector:
    """The first `dimensions` components; all of them if none are asked for.

    That is what models trained with nested (Matryoshka) representations are made for; of others' vectors, the first
    components are as good as any. ValidationException, naming the parameter `name`, if the vector has fewer.
    """
    if dimensions is not None and dimensions > len(vector):
        raise ValidationException(
            f"{name}: This model's vectors have {len(vector)} dimensions. Ask for {len(vector)} or fewer and try again."
        )
    return vector[:dimensions]


def normalised(vector: Vector) -> Vector:
    """Scaled to length 1, where it has a length."""
    length = sum(value * value for value in vector) ** 0.5
    return [value / length for value in vector] if length else vector


def bits(vector: Vector) -> list[int]:
    """1 for each positive component, 0 for the others."""
    return [int(value > 0) for value in vector]


def _int8(vector: Vector) -> list[int]:
    """-128 to 127. One scale for all vectors of a length, so that they stay comparable."""
    scale = 127 * len(vector) ** 0.5 / _SPAN
    return [max(-128, min(127, round(value * scale))) for value in normalised(vector)]


def _uint8(vector: Vector) -> list[int]:
    return [value + 128 for value in _int8(vector)]


def _ubinary(vector: Vector) -> list[int]:
    """Eight components a byte, the first of them its highest bit."""
    signs = bits(vector)
    signs += [0] * (-len(signs) % 8)
    return [int("".join(map(str, signs[at : at + 8])), 2) for at in range(0, len(signs), 8)]


def _binary(vector: Vector) -> list[int]:
    return [value - 128 for value in _ubinary(vector)]


# Cohere's types of embeddings.
TYPES: Mapping[str, Callable[[Vector], Sequence[float]]] = {
    "float": list,
    "int8": _int8,
    "uint8": _uint8,
    "binary": _binary,
    "ubinary": _ubinary,
}
