"""The custom and imported models that are called here, and the engines that are made for them as their rows come and go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from outcrop.engines.adapters import Adapter
from outcrop.engines.entry import room_of
from outcrop.engines.reserving import reservable
from outcrop.models import custom, deployments
from outcrop.models.custom import CustomModel
from outcrop.models.deployments import Deployment
from outcrop.models.identifiers import parse
from outcrop.models.throughput import Throughput
from outcrop.settings import ModelSpec

if TYPE_CHECKING:
    from outcrop.engines.pool import Engines
    from outcrop.store.database import Database

# The engine of a model that is nobody's base.
OWN_SLOTS = 4


class Served:
    """`base_of` gives the settings' model that a foundation model's name means. Changed by one thread at a time."""

    def __init__(self, database: Database, engines: Engines, base_of: Callable[[str], ModelSpec | None]) -> None:
        self._database = database
        self._engines = engines
        self._base_of = base_of
        self._added: dict[str, ModelSpec | Adapter] = {}
        self._problems: dict[str, str] = {}
        self._models: Mapping[str, CustomModel] = {}
        self._deployments: Mapping[str, Deployment] = {}

    def refresh(self, reserved: Sequence[Throughput]) -> None:
        """Make engines for what is deployed, imported or has provisioned throughput by now; end those of all else."""
        rows = {row.id: row for row in deployments.everything(self._database)}
        ids = {model for row in rows.values() if row.status != "Failed" for model in row.models}
        ids |= {parse(row.model_arn).name.rpartition("/")[2] for row in reserved if ":custom-model/" in row.model_arn}
        models = [*custom.with_ids(self._database, ids), *custom.imported(self._database)]
        wanted: dict[str, ModelSpec | Adapter] = {}
        problems: dict[str, str] = {}
        for model in models:
            made = self._engine_of(model)
            if isinstance(made, str):
                problems[model.engine_id] = made
            else:
                wanted[model.engine_id] = made
        for name, old in list(self._added.items()):
            if wanted.get(name) != old:
                self._engines.remove(name)
                del self._added[name]
        for name, new in wanted.items():
            if name not in self._added:
                self._engines.add(new)
                self._added[name] = new
        self._models = {model.engine_id: model for model in models}
        self._deployments, self._problems = rows, problems

    def deployment(self, account: str, region: str, deployment_id: str) -> Deployment | None:
        found = self._deployments.get(deployment_id)
        return found if found is not None and (found.account, found.region) == (account, region) else None

    def imported(self, account: str, region: str, engine_id: str) -> CustomModel | None:
        found = self._models.get(engine_id)
        own = found is not None and (found.account, found.region, found.kind) == (account, region, "imported")
        return found if own else None

    def model(self, engine_id: str) -> CustomModel | None:
        """Of those that engines are made for."""
        return self._models.get(engine_id)

    def spec(self, engine_id: str) -> ModelSpec:
        """What the engine is made of: its own spec, or its base's. KeyError for a model that has none."""
        made = self._added[engine_id]
        if isinstance(made, ModelSpec):
            return made
        base = self._base_of(self._models[engine_id].foundation or "")
        if base is None:
            raise KeyError(engine_id)
        return base

    def problem(self, engine_id: str) -> str | None:
        """Why it cannot be called."""
        return self._problems.get(engine_id)

    def reservable(self, engine_id: str) -> int | None:
        """How many places may be reserved of the engine that answers for a custom model, in use or not."""
        model = custom.find(self._database, engine_id.rpartition("/")[2])
        made = None if model is None else self._engine_of(model)
        if isinstance(made, Adapter):
            return self._engines.reservable(made.base)
        return reservable([room_of(made)]) if isinstance(made, ModelSpec) else 0

    def host(self, engine_id: str) -> str:
        """Whose places those are: of an adapter, its base's."""
        made = self._added.get(engine_id)
        if made is None and (model := custom.find(self._database, engine_id.rpartition("/")[2])) is not None:
            found = self._engine_of(model)
            made = None if isinstance(found, str) else found
        return made.base if isinstance(made, Adapter) else engine_id

    def _engine_of(self, model: CustomModel) -> ModelSpec | Adapter | str:
        """Or the problem, in a sentence."""
        path = custom.folder(self._engines.home, model.id) / model.file
        base = None if model.foundation is None else self._base_of(model.foundation)
        if model.serving == "adapter":
            if base is None:
                return f"The model {model.foundation}, which it is an adapter of, is not in the catalogue any more."
            if not self._engines.adapts(base.id):
                return f"The engine of {base.id} cannot apply adapters."
            return Adapter(model.engine_id, base.id, path)
        like = base if base is not None and base.engine == "llamacpp" else None
        return ModelSpec(
            id=model.engine_id,
            name=model.name,
            provider=None if base is None else base.provider,
            engine="llamacpp",
            path=str(path),
            slots=OWN_SLOTS if like is None else like.slots,
            context_tokens=None if like is None else like.context_tokens,
            threads=None if like is None else like.threads,
            reproducible=like is not None and like.reproducible,
            max_output_tokens=None if base is None else base.max_output_tokens,
        )
