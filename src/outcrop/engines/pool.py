"""All engines of a server: made from the settings, started on first use or before, unloaded when idle or when memory is short."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar, cast

from outcrop.engines.admission import Admission
from outcrop.engines.candidates import Candidate
from outcrop.engines.choice import Choice
from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Delta,
    Engine,
    EngineBusy,
    EngineError,
    Native,
    NativeAnswer,
    Unsupported,
    Usage,
    native,
)
from outcrop.engines.reserving import Reservations, reservable, spread
from outcrop.engines.supervisor import Supervisor
from outcrop.engines.unhurried import Unhurried
from outcrop.settings import EngineSettings, ModelSpec, engines_of

T = TypeVar("T")

# How often idle engines are looked for.
SWEEP_SECONDS = 5.0

logger = logging.getLogger("outcrop.engines")


class Local(Engine, Protocol):
    """An engine that runs in a process here."""

    process: Supervisor

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
class _Entry:
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


def _room(spec: ModelSpec) -> int | None:
    """How many requests an engine works on at once; None is for those that know best themselves."""
    return spec.concurrency or (spec.slots if spec.engine == "llamacpp" else None)


class Engines:
    """`get` gives an engine that starts itself; a model that cannot be served raises when it is used, not at start."""

    def __init__(
        self, specs: Sequence[ModelSpec], settings: EngineSettings, *, home: Path, offline: bool = False
    ) -> None:
        """`offline`: nobody on the network is asked for anything, not even for credentials."""
        self._settings = settings
        self._offline = offline
        self._models = tuple(specs)
        # Each of several engines of a model is an entry too, so that it is counted, supervised and unloaded like any.
        self._entries = {spec.id: self._entry(spec, home) for model in specs for spec in (*engines_of(model), model)}
        self._room = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None
        self._warming: set[asyncio.Task[None]] = set()
        self._reserved: Reservations = {}
        self._reserving: Reservations = self._reserved
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pooled: dict[str, Engine] = {
            name: _Pooled(self, entry, entry.engine)
            for name, entry in self._entries.items()
            if entry.engine is not None
        }

    def _entry(self, spec: ModelSpec, home: Path) -> _Entry:
        if spec.engines:
            choice = self._choice(spec)
            return _Entry(spec, choice, lambda: choice.able)
        try:
            engine, able = make(spec, self._settings, home, offline=self._offline)
        except EngineError as problem:
            logger.error("%s cannot be served: %s", spec.id, problem)
            return _Entry(spec, None, None, str(problem))
        return _Entry(spec, engine, able, admission=Admission(spec.id, _room(spec), spec.queue))

    def _choice(self, model: ModelSpec) -> Choice:
        pairs = zip(engines_of(model), model.engines, strict=True)
        return Choice(
            model.id,
            [
                Candidate(
                    spec.id.removeprefix(f"{model.id}/"),
                    partial(self.get, spec.id),
                    partial(self.capabilities, spec.id),
                    inner.weight,
                    inner.fallback,
                    partial(self._overuse, spec.id),
                )
                for spec, inner in pairs
            ],
        )

    def _overuse(self, model_id: str) -> float:
        self._keep_reserved()
        return self._entries[model_id].admission.overuse()

    def get(self, model_id: str) -> Engine:
        """EngineError if the model cannot be served at all."""
        found = self._pooled.get(model_id)
        if found is None:
            raise EngineError(self._entries[model_id].problem)
        return found

    def capabilities(self, model_id: str) -> Capabilities:
        """Known without a start, from the model's file or the settings. EngineError if it cannot be served."""
        entry = self._entries[model_id]
        if entry.able is None:
            raise EngineError(entry.problem)
        return entry.able()

    def room(self, model_id: str) -> int | None:
        """How many requests the model's engines work on at once; None: they know best themselves."""
        spec = self._entries[model_id].spec
        found = [_room(one) for one in engines_of(spec) or (spec,)]
        return None if None in found else sum(filter(None, found))

    def reservable(self, model_id: str) -> int | None:
        """How many places of the model's engines may be reserved; None: they have no known number."""
        return reservable([_room(entry.spec) for entry in self._engines_of(self._entries[model_id].spec)])

    def reserve(self, reserved: Reservations) -> None:
        """From now on these places are kept, and no others. From any thread; those who wait feel it soon, all others at once."""
        if reserved == self._reserved:
            return
        self._reserved = reserved
        if self._loop is not None:
            # A server that is being shut down has no need of it.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._keep_reserved)

    def _keep_reserved(self) -> None:
        """On the loop, which admissions belong to."""
        if self._reserving is self._reserved:
            return
        self._reserving = reserved = self._reserved
        for model in self._models:
            entries = [entry for entry in self._engines_of(model) if _room(entry.spec) is not None]
            shares = spread(reserved.get(model.id, {}), [_room(entry.spec) or 1 for entry in entries])
            for entry, places in zip(entries, shares, strict=True):
                if entry.engine is not None:
                    entry.admission.reserve(places)

    def _engines_of(self, spec: ModelSpec) -> list[_Entry]:
        """Its several engines, fallbacks last, or its one."""
        pairs = zip(engines_of(spec), spec.engines, strict=True)
        several = sorted(pairs, key=lambda pair: pair[1].fallback)
        return [self._entries[inner.id] for inner, _ in several] or [self._entries[spec.id]]

    def status(self) -> list[dict[str, object]]:
        return [self._status(self._entries[model.id]) for model in self._models]

    def _status(self, entry: _Entry) -> dict[str, object]:
        status: dict[str, object] = {"model": entry.spec.id, "engine": entry.spec.engine, "state": entry.state}
        status["requests"] = entry.users
        status["waiting"] = entry.admission.waiting
        status["turned_away"] = entry.admission.turned_away
        if entry.admission.reserved:
            status["reserved"] = entry.admission.reserved
        if inner := [self._status(self._entries[spec.id]) for spec in engines_of(entry.spec)]:
            # One that lives is enough.
            states = [one["state"] for one in inner if one["state"] != "failed"]
            status |= {"state": states[0] if states else "failed", "engines": inner}
            return status
        if entry.local is not None:
            status["restarts"] = entry.local.process.restarts
        if entry.state == "failed":
            status["problem"] = entry.problem or (entry.local.process.problem if entry.local else "")
        return status

    async def prewarm(self) -> None:
        """Begin to load what is to be loaded before the first request, and to look for idle engines."""
        self._loop = asyncio.get_running_loop()
        self._keep_reserved()
        self._sweeper = asyncio.create_task(self._sweep())
        for entry in self._entries.values():
            # A remote server is only asked what it serves.
            wanted = entry.spec.prewarm or self._settings.prewarm or entry.spec.engine == "openai"
            if entry.engine is not None and wanted:
                task = asyncio.create_task(self._warm(entry))
                self._warming.add(task)
                task.add_done_callback(self._warming.discard)

    async def _warm(self, entry: _Entry) -> None:
        try:
            await self.get(entry.spec.id).start()
        except EngineError as problem:
            logger.warning("%s is not warm: %s", entry.spec.id, problem)

    async def close(self) -> None:
        tasks = [task for task in (self._sweeper, *self._warming) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(
            *(entry.engine.close() for entry in self._entries.values() if entry.engine is not None),
            return_exceptions=True,
        )

    async def start(self, entry: _Entry) -> None:
        """Start a model that runs here, unloading what nobody uses, longest idle first, until it fits into the budget of memory."""
        local = entry.local
        if local is None or local.ready():
            return
        if self._settings.memory_mb is not None:
            async with self._room:
                await self._unload_for(entry, local, self._settings.memory_mb * 1024 * 1024)
        await local.start()

    async def _unload_for(self, entry: _Entry, local: Local, budget: int) -> None:
        needed = local.memory_bytes
        loaded = [e for e in self._entries.values() if e is not entry and e.state in ("starting", "ready")]
        for other in sorted(loaded, key=lambda e: e.idle_since):
            if _taken(loaded) + needed <= budget:
                return
            if other.users == 0 and other.local is not None:
                logger.info("%s is unloaded to make room for %s", other.spec.id, entry.spec.id)
                await other.local.process.stop()
        if _taken(loaded) + needed <= budget:
            return
        if not _taken(loaded):
            raise EngineError(
                f"{entry.spec.id} needs about {needed >> 20} MB and engines.memory_mb is {budget >> 20}. Raise it."
            )
        raise EngineBusy("Other models are in use and take the memory that this one needs.", 5.0)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(min(SWEEP_SECONDS, max(0.1, self._settings.idle_seconds / 4)))
            for entry in self._entries.values():
                idle = entry.users == 0 and time.monotonic() - entry.idle_since > self._settings.idle_seconds
                kept = entry.spec.prewarm or self._settings.prewarm
                if idle and not kept and entry.local is not None and entry.local.ready():
                    logger.info(
                        "%s is unloaded after %.0f s without a request", entry.spec.id, self._settings.idle_seconds
                    )
                    await entry.local.process.stop()


class _Pooled:
    """An engine that lets in as many as it has room for, and whose use is counted: nothing is unloaded under a request."""

    def __init__(self, engines: Engines, entry: _Entry, engine: Engine) -> None:
        self._engines = engines
        self._entry = entry
        self._engine = engine

    async def start(self) -> None:
        with self._used():
            await self._ready()
            await self._engine.start()

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        self._entry.users += 1
        try:
            yield
        finally:
            self._entry.users -= 1
            self._entry.idle_since = time.monotonic()

    async def _admitted(self) -> Callable[[], None]:
        """Waits for room; what it gives gives the room back."""
        entry = self._entry
        self._engines._keep_reserved()
        entry.users += 1
        try:
            admitted = await entry.admission.enter()
        except BaseException:
            entry.users -= 1
            raise

        def leave() -> None:
            admitted.release()
            entry.users -= 1
            entry.idle_since = time.monotonic()

        try:
            await self._ready()
        except BaseException:
            leave()
            raise
        return leave

    async def _ready(self) -> None:
        if not self._engine.ready():
            await self._engines.start(self._entry)

    async def capabilities(self) -> Capabilities:
        return await self._engine.capabilities()

    def chat(self, request: ChatRequest) -> Unhurried[Delta]:
        return self._streamed(lambda: self._engine.chat(request))

    def complete(self, request: CompletionRequest) -> Unhurried[Delta]:
        return self._streamed(lambda: self._engine.complete(request))

    def _streamed(self, answer: Callable[[], AsyncIterator[T]]) -> Unhurried[T]:
        async def begin() -> tuple[AsyncGenerator[T, None], Callable[[], None]]:
            leave = await self._admitted()
            try:
                return _generator(answer()), leave
            except BaseException:
                leave()
                raise

        return Unhurried(begin)

    @property
    def native(self) -> Native | None:
        inner = native(self._engine)
        return None if inner is None else _PooledNative(self, inner)

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        # Counting is quick and waits for nobody.
        with self._used():
            await self._ready()
            return await self._engine.count_tokens(request)

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        return await self._with(lambda: self._engine.embed(texts))

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        return await self._with(lambda: self._engine.rerank(query, documents))

    async def _with(self, call: Callable[[], Awaitable[T]]) -> T:
        leave = await self._admitted()
        try:
            return await call()
        finally:
            leave()

    def ready(self) -> bool:
        return self._engine.ready()

    async def close(self) -> None:
        await self._engine.close()


class _PooledNative:
    """Native bodies to an engine whose use is counted."""

    def __init__(self, pooled: _Pooled, inner: Native) -> None:
        self._pooled = pooled
        self._inner = inner

    @property
    def models(self) -> tuple[str, ...]:
        return self._inner.models

    async def invoke(
        self,
        body: bytes,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> NativeAnswer:
        return await self._pooled._with(
            lambda: self._inner.invoke(body, content_type=content_type, accept=accept, headers=headers)
        )

    def invoke_streamed(
        self,
        body: bytes,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> Unhurried[bytes]:
        return self._pooled._streamed(
            lambda: self._inner.invoke_streamed(body, content_type=content_type, accept=accept, headers=headers)
        )


def _taken(entries: Sequence[_Entry]) -> int:
    """Bytes of those that are loaded."""
    return sum(e.local.memory_bytes for e in entries if e.local is not None and e.state in ("starting", "ready"))


def _generator(answer: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Engines promise an iterator that can be closed (`Engine.chat`), which its type does not say."""
    if not hasattr(answer, "aclose"):
        raise Unsupported("streaming", "the engine's answer cannot be closed")
    return cast("AsyncGenerator[T, None]", answer)


__all__ = ["Engines", "make"]
