"""One model's engine, made of its settings, and what a server remembers of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from outcrop.engines.admission import Admission
from outcrop.engines.engine import Capabilities, Engine
from outcrop.engines.supervisor import Supervisor
from outcrop.settings import EngineSettings, ModelSpec


class Local(Engine, Protocol):
    """An engine that runs in a process here."""

    @property
    def process(self) -> Supervisor: ...

    @property
    def memory_bytes(self) -> int: ...


def make(
    spec: ModelSpec, settings: EngineSettings, home: Path, *, offline: bool = False
) -> tuple[Engine, Callable[[], Capabilities]]:
    """The engine that the spec names, and how to ask what it can do without starting it. EngineError if it cannot be."""
    if spec.engine == "llamacpp":
        from outcrop.engines.llamacpp.engine import LlamaCpp

        llamacpp = LlamaCpp(spec, settings, home)
        return llamacpp, lambda: llamacpp.able
    if spec.engine == "openai":
        from outcrop.engines.openai.engine import OpenAi

        openai = OpenAi(spec)
        return openai, lambda: openai.able
    if spec.engine == "bedrock":
        from outcrop.engines.upstream.bedrock import Bedrock

        bedrock = Bedrock(spec, offline=offline)
        return bedrock, lambda: bedrock.able
    if spec.engine == "anthropic":
        from outcrop.engines.upstream.anthropic import Anthropic

        anthropic = Anthropic(spec)
        return anthropic, lambda: anthropic.able
    if spec.engine == "vllm":
        from outcrop.engines.vllm import Vllm

        vllm = Vllm(spec, settings, home)
        return vllm, lambda: vllm.able
    from outcrop.engines.scripted import Scripted

    scripted = Scripted(spec)
    return scripted, lambda: scripted.able


@dataclass(slots=True)
class Entry:
    """One model's engine, or the problem it has; who uses it, and since when nobody does."""

    spec: ModelSpec
    engine: Engine | None
    able: Callable[[], Capabilities] | None
    problem: str = ""
    admission: Admission = field(default_factory=lambda: Admission("", None))
    users: int = 0
    idle_since: float = field(default_factory=time.monotonic)

    @property
    def local(self) -> Local | None:
        engine = self.engine
        return engine if engine is not None and hasattr(engine, "process") else None  # type: ignore[return-value]  # by its mark

    @property
    def state(self) -> str:
        if self.engine is None:
            return "failed"
        return self.local.process.state if self.local is not None else "ready"


def room_of(spec: ModelSpec) -> int | None:
    """How many requests an engine works on at once; None is for those that know best themselves."""
    return spec.concurrency or (spec.slots if spec.engine == "llamacpp" else None)
