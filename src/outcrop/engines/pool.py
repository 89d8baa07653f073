"""All engines of a server: made from the settings, started on first use or before, unloaded when idle or when memory is short."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from outcrop.engines.adapters import Adapted, Adapter, adaptable
from outcrop.engines.admission import Admission
from outcrop.engines.candidates import Candidate
from outcrop.engines.choice import Choice
from outcrop.engines.engine import Capabilities, Engine, EngineBusy, EngineError
from outcrop.engines.entry import Entry, Local, make, room_of
from outcrop.engines.pooled import Pooled
from outcrop.engines.reserving import Reservations, reservable, spread
from outcrop.engines.status import status_of
from outcrop.settings import EngineSettings, ModelSpec, engines_of

# How often idle engines are looked for.
SWEEP_SECONDS = 5.0
# How often one that was removed is looked at for its last request.
RETIRING_SECONDS = 0.1

logger = logging.getLogger("outcrop.engines")


class Engines:
    """`get` gives an engine that starts itself; a model that cannot be served raises when it is used, not at start."""

    def __init__(
        self, specs: Sequence[ModelSpec], settings: EngineSettings, *, home: Path, offline: bool = False
    ) -> None:
        """`offline`: nobody on the network is asked for anything, not even for credentials."""
        self._settings = settings
        self._offline = offline
        self.home = home
        # Written by one at a time, and put in place whole: whoever reads needs no lock.
        self._changing = threading.Lock()
        self._configured = self._models = tuple(specs)
        self._adapters: dict[str, Adapter] = {}
        # Each of several engines of a model is an entry too, so that it is counted, supervised and unloaded like any.
        self._entries = {spec.id: self._entry(spec) for model in specs for spec in (*engines_of(model), model)}
        self._room = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None
        self._warming: set[asyncio.Task[None]] = set()
        self._reserved: Reservations = {}
        self._reserving: Reservations = self._reserved
        self._loop: asyncio.AbstractEventLoop | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._pooled: dict[str, Engine] = {
            name: self._admitting(entry, entry.engine)
            for name, entry in self._entries.items()
            if entry.engine is not None
        }

    def add(self, added: ModelSpec | Adapter) -> None:
        """Serve one more model with one engine, or one more adapter of a model that is there. From any thread."""
        with self._changing:
            if isinstance(added, Adapter):
                self._add_adapter(added)
                return
            entry = self._entry(added)
            self._entries = {**self._entries, added.id: entry}
            if entry.engine is not None:
                self._pooled = {**self._pooled, added.id: self._admitting(entry, entry.engine)}
            self._models = (*self._models, added)

    def _add_adapter(self, added: Adapter) -> None:
        entry = self._entries[added.base]
        engine = None if entry.engine is None else adaptable(entry.engine)
        if engine is not None:
            engine.adapt(added.id, added.path)
            self._pooled = {**self._pooled, added.id: self._admitting(entry, Adapted(engine, added.id))}
        self._adapters = {**self._adapters, added.id: added}

    def remove(self, model_id: str) -> None:
        """Of what was added; its engine ends with its last request. From any thread."""
        with self._changing:
            self._pooled = {name: engine for name, engine in self._pooled.items() if name != model_id}
            if (adapter := self._adapters.get(model_id)) is not None:
                self._adapters = {name: one for name, one in self._adapters.items() if name != model_id}
                base = self._entries[adapter.base].engine
                if base is not None and (engine := adaptable(base)) is not None:
                    engine.unadapt(model_id)
                return
            entry = self._entries[model_id]
            self._models = tuple(model for model in self._models if model.id != model_id)
            self._entries = {name: one for name, one in self._entries.items() if name != model_id}
        self._on_loop(lambda: self._retire(entry))

    def adapts(self, model_id: str) -> bool:
        """Whether adapters of the model can be added."""
        entry = self._entries.get(model_id)
        return entry is not None and entry.engine is not None and adaptable(entry.engine) is not None

    def host(self, model_id: str) -> str:
        """The id of the model whose engine answers: of an adapter, its base."""
        adapter = self._adapters.get(model_id)
        return model_id if adapter is None else adapter.base

    def _retire(self, entry: Entry) -> None:
        task = asyncio.create_task(self._closed(entry))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _closed(self, entry: Entry) -> None:
        if entry.engine is None:
            return
        try:
            while entry.users:  # noqa: ASYNC110 - it is seldom, and use is only counted
                await asyncio.sleep(RETIRING_SECONDS)
        finally:
            await entry.engine.close()

    def _admitting(self, entry: Entry, engine: Engine) -> Engine:
        return Pooled(entry, engine, self.start, self._keep_reserved)

    def _on_loop(self, call: Callable[[], None]) -> None:
        """A server that is being shut down has no need of it."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(call)

    def _entry(self, spec: ModelSpec) -> Entry:
        if spec.engines:
            choice = self._choice(spec)
            return Entry(spec, choice, lambda: choice.able)
        try:
            engine, able = make(spec, self._settings, self.home, offline=self._offline)
        except EngineError as problem:
            logger.error("%s cannot be served: %s", spec.id, problem)
            return Entry(spec, None, None, str(problem))
        return Entry(spec, engine, able, admission=Admission(spec.id, room_of(spec), spec.queue))

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
            raise EngineError(self._of(model_id).problem or f"{model_id} cannot be an adapter of its base's engine.")
        return found

    def _of(self, model_id: str) -> Entry:
        """EngineError for one that was removed a moment ago."""
        entry = self._entries.get(self.host(model_id))
        if entry is None:
            raise EngineError(f"{model_id} is not served any more.")
        return entry

    def capabilities(self, model_id: str) -> Capabilities:
        """Known without a start, from the model's file or the settings. EngineError if it cannot be served."""
        entry = self._of(model_id)
        if entry.able is None:
            raise EngineError(entry.problem)
        return entry.able()

    def room(self, model_id: str) -> int | None:
        """How many requests the model's engines work on at once; None: they know best themselves."""
        spec = self._of(model_id).spec
        found = [room_of(one) for one in engines_of(spec) or (spec,)]
        return None if None in found else sum(filter(None, found))

    def spec(self, model_id: str) -> ModelSpec:
        """What its engine was made from."""
        return self._of(model_id).spec

    def reservable(self, model_id: str) -> int | None:
        """How many places of the model's engines may be reserved; None: they have no known number."""
        return reservable([room_of(entry.spec) for entry in self._engines_of(self._of(model_id).spec)])

    def reserve(self, reserved: Reservations) -> None:
        """From now on these places are kept, and no others. From any thread; those who wait feel it soon, all others at once."""
        if reserved == self._reserved:
            return
        self._reserved = reserved
        self._on_loop(self._keep_reserved)

    def _keep_reserved(self) -> None:
        """On the loop, which admissions belong to."""
        if self._reserving is self._reserved:
            return
        self._reserving = reserved = self._reserved
        for model in self._models:
            entries = [entry for entry in self._engines_of(model) if room_of(entry.spec) is not None]
            shares = spread(reserved.get(model.id, {}), [room_of(entry.spec) or 1 for entry in entries])
            for entry, places in zip(entries, shares, strict=True):
                if entry.engine is not None:
                    entry.admission.reserve(places)

    def _engines_of(self, spec: ModelSpec) -> list[Entry]:
        """Its several engines, fallbacks last, or its one."""
        pairs = zip(engines_of(spec), spec.engines, strict=True)
        several = sorted(pairs, key=lambda pair: pair[1].fallback)
        return [self._entries[inner.id] for inner, _ in several] or [self._entries[spec.id]]

    def status(self) -> list[dict[str, object]]:
        """Of the models of the settings: what accounts add and break says nothing of the server."""
        return [status_of(self._entries[model.id], self._entries) for model in self._configured]

    def reservations(self) -> list[tuple[str, str, int, int, int]]:
        """Engine, reservation, places, running and waiting. For the operator: `status` is for everybody."""
        return [
            (model_id, name, *numbers)
            for model_id, entry in [*self._entries.items()]
            for name, numbers in entry.admission.reservations().items()
        ]

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

    async def _warm(self, entry: Entry) -> None:
        try:
            await self.get(entry.spec.id).start()
        except EngineError as problem:
            logger.warning("%s is not warm: %s", entry.spec.id, problem)

    async def close(self) -> None:
        tasks = [task for task in (self._sweeper, *self._warming, *self._retiring) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(
            *(entry.engine.close() for entry in self._entries.values() if entry.engine is not None),
            return_exceptions=True,
        )

    async def start(self, entry: Entry) -> None:
        """Start a model that runs here, unloading what nobody uses, longest idle first, until it fits into the budget of memory."""
        if self._entries.get(entry.spec.id) is not entry:
            raise EngineError(f"{entry.spec.id} is not served any more.")
        local = entry.local
        if local is None or local.ready():
            return
        if self._settings.memory_mb is not None:
            async with self._room:
                await self._unload_for(entry, local, self._settings.memory_mb * 1024 * 1024)
        await local.start()

    async def _unload_for(self, entry: Entry, local: Local, budget: int) -> None:
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


def _taken(entries: Sequence[Entry]) -> int:
    """Bytes of those that are loaded."""
    return sum(e.local.memory_bytes for e in entries if e.local is not None and e.state in ("starting", "ready"))
