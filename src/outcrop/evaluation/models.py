"""The models that are to be evaluated: what they are called by, and their engines."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from outcrop.engines.engine import Engine, EngineError
from outcrop.engines.pool import Engines
from outcrop.evaluation.engine_asking import asks, fingerprint
from outcrop.evaluation.item import EvaluationError
from outcrop.evaluation.run import Asked
from outcrop.models.specs import all_specs
from outcrop.settings import ModelSpec, Settings, engines_of, is_on_this_machine


def specs_of(texts: Sequence[str], settings: Settings) -> list[ModelSpec]:
    """Each by its id in the settings, its file or folder, or its server's URL and its name there (`http://host/v1#name`).

    EvaluationError for what is none of these.
    """
    known = {spec.id: spec for spec in all_specs(settings)}
    specs = [_spec(text, known, settings) for text in texts]
    twice = {name for name, count in Counter(spec.id for spec in specs).items() if count > 1}
    # Two files or servers with one name: each by all of what it was called.
    specs = [
        msgspec.structs.replace(spec, id=text) if spec.id in twice else spec
        for text, spec in zip(texts, specs, strict=True)
    ]
    if len({spec.id for spec in specs}) < len(specs):
        raise EvaluationError("A model is named twice.")
    return specs


def _spec(text: str, known: dict[str, ModelSpec], settings: Settings) -> ModelSpec:
    if text in known:
        return known[text]
    if text.startswith(("http://", "https://")):
        return _elsewhere(text, settings)
    path = Path(text).expanduser()
    if path.exists():
        name = path.stem if path.is_file() else path.name
        # The same questions twice are to have the same answers, whatever was asked beside them.
        return ModelSpec(id=name, engine="llamacpp", path=str(path.resolve()), reproducible=True)
    raise EvaluationError(
        f"{text} is no model of the settings, no file and no URL. The settings have: {', '.join(known) or 'none'}."
    )


def _elsewhere(text: str, settings: Settings) -> ModelSpec:
    url, _, name = text.partition("#")
    if not name:
        raise EvaluationError(f"{text} does not say which model: {url}#NAME")
    if settings.network == "none" and not is_on_this_machine(url):
        raise EvaluationError(f'network is "none" in the settings, and {url} is not on this machine.')
    return ModelSpec(id=name, engine="openai", url=url, model=name)


@asynccontextmanager
async def opened(specs: Sequence[ModelSpec], settings: Settings, home: Path) -> AsyncIterator[Engines]:
    """Their engines, which start when they are first asked and end here."""
    engines = Engines(specs, settings.engines, home=home, offline=settings.network == "none")
    try:
        yield engines
    finally:
        await engines.close()


async def started(engines: Engines, spec: ModelSpec, at_once: int | None = None) -> Asked:
    """EvaluationError for a model that does not start, or that gives no text."""
    try:
        engine: Engine = engines.get(spec.id)
        await engine.start()
        able = await engine.capabilities()
    except EngineError as problem:
        raise EvaluationError(f"{spec.id} does not start: {problem}") from None
    if able.embeddings and not able.chat:
        raise EvaluationError(f"{spec.id} makes embeddings and gives no answers.")
    return Asked(
        spec.id,
        fingerprint(spec, chat=able.chat),
        asks(engine, chat=able.chat),
        engines.room(spec.id),
        at_once,
        "; ".join(_said(one) for one in engines_of(spec) or (spec,)),
    )


def _said(spec: ModelSpec) -> str:
    """For a reader of the result: the kind of engine, and its file, address or name for the model."""
    where = [Path(path).name for path in (spec.path, spec.script) if path] + [
        said for said in (spec.url, spec.model) if said
    ]
    return " ".join([spec.engine, *where])
