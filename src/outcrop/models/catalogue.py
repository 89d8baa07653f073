"""The catalogue: which models there are, and which one a caller's identifier means."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from outcrop.data_retention import modes
from outcrop.engines.engine import Capabilities, EngineError
from outcrop.engines.loopback import is_loopback, leaves_this_machine
from outcrop.errors import (
    AccessDeniedException,
    ModelNotReadyException,
    ResourceNotFoundException,
    ServiceUnavailableException,
    ValidationException,
)
from outcrop.models import aliases, custom, families, profiles, throughput
from outcrop.models.identifiers import Identifier, parse, without_geography
from outcrop.models.model import Model
from outcrop.models.served import Served
from outcrop.models.specs import all_specs
from outcrop.models.throughput import Reserved, Throughput
from outcrop.settings import HOUSE_MODEL, FamilyName, ModelSpec, Settings, SettingsError, engines_of

if TYPE_CHECKING:
    from outcrop.engines.pool import Engines
    from outcrop.store.database import Database

# How long another process's deletion may go unnoticed. What is not found in memory is always looked up afresh.
REFRESH_SECONDS = 0.1

# What Converse and InvokeModel take as a plain id.
_MODEL_ID = re.compile(r"[a-zA-Z0-9:.-]{1,140}")

logger = logging.getLogger("outcrop.models")


class Catalogue:
    """Answers from memory; what the database says is read again only after somebody wrote to it."""

    def __init__(self, settings: Settings, database: Database, engines: Engines) -> None:
        """SettingsError if an alias of the settings names a model that is not there."""
        self._specs: Mapping[str, ModelSpec] = {spec.id: spec for spec in all_specs(settings)}
        self._configured = settings.aliases
        self._database = database
        self._engines = engines
        self._profiles: dict[tuple[str, str, str], tuple[str, str]] = {}
        check_settings(settings)
        # Who reads older rows must not put them in the place of newer ones.
        self._refreshing = threading.Lock()
        # The version is asked before what it is the version of, here and in `refresh`.
        self._version = database.version()
        self._aliases = aliases.collect(self._configured, aliases.stored(database))
        self.served = Served(database, engines, self.spec)
        self._reserved = self._reserve()
        self._without_retention = modes.without_retention(database)
        self._checked = time.monotonic()

    def resolve(self, identifier: str, *, account: str, region: str) -> Model:
        """The model that answers for `identifier` when `account` calls in `region`.

        ValidationException in Bedrock's words if there is none, ResourceNotFoundException for an unknown provisioned model.
        ModelNotReadyException for a deployment that is being created. Another account's profile, provisioned model,
        deployment or imported model does not exist. AccessDeniedException where nothing of the account's may be kept, and
        the model's engine might.
        """
        self._refresh()
        model = self._resolved(identifier, account, region)
        self._check_retention(model, account, region)
        return model

    def _resolved(self, identifier: str, account: str, region: str) -> Model:
        name = parse(identifier)
        if (provisioned := self.provisioned(identifier, account=account, region=region)) is not None:
            return self._model_of(provisioned)
        if name.kind == "prompt":
            raise ValidationException(
                "Prompts as models are not built in this version of Outcrop. Give the ID or ARN of a model."
            )
        found = self._answering(name, identifier, account, region)
        if found is None:
            self.refresh()
            if (provisioned := self.provisioned(identifier, account=account, region=region)) is not None:
                return self._model_of(provisioned)
            found = self._answering(name, identifier, account, region)
        if found is None and name.kind == "provisioned-model":
            raise ResourceNotFoundException(
                f"Could not resolve the foundation model from the model identifier: {identifier}"
            )
        if found is None:
            self._check_deployment(name, account, region)
            raise invalid_identifier()
        if self.served.model(found[0]) is not None:
            return self._custom(found[0])
        self._check_on_demand(name, *found)
        return self._model(*found)

    def provisioned(self, identifier: str, *, account: str, region: str) -> Throughput | None:
        """The account's provisioned throughput of that ARN or name. Models and exact aliases count before names."""
        name = parse(identifier)
        if name.kind == "provisioned-model" and name.arn is not None:
            own = (name.arn.account, name.arn.region) == (account, region)
            return self._reserved.of_id(account, region, name.name) if own else None
        if name.kind != "id" or name.name in self._specs or name.name in self._aliases.exact:
            return None
        return self._reserved.of_name(account, region, name.name)

    def reserved(self) -> Reserved:
        """All provisioned throughput as it is now."""
        self.refresh()
        return self._reserved

    def reserved_of(self, rows: Sequence[Throughput]) -> Reserved:
        """The same, if these rows were all."""
        return Reserved(rows, self._named, self._reservable, self._host)

    def _reservable(self, model_id: str) -> int | None:
        return self.served.reservable(model_id) if "/" in model_id else self._engines.reservable(model_id)

    def _host(self, model_id: str) -> str:
        return self.served.host(model_id) if "/" in model_id else model_id

    def _reserve(self) -> Reserved:
        rows = throughput.everything(self._database)
        self.served.refresh(rows)
        reserved = self.reserved_of(rows)
        self._engines.reserve(reserved.places)
        return reserved

    def find(self, name: str) -> Model | None:
        """The model that the id `name` (a model's, an alias, or a system-defined profile's) means."""
        self.refresh()
        model_id = self._named(name)
        return None if model_id is None else self._model(model_id, name)

    def models(self) -> list[Model]:
        """All real models. One whose file or server cannot be read is left out, with a line in the log."""
        found = []
        for model_id in self._specs:
            try:
                found.append(self._model(model_id))
            except ServiceUnavailableException as problem:
                logger.warning("%s is not listed: %s", model_id, problem.message)
        return found

    def exact_aliases(self) -> list[tuple[str, Model]]:
        """Aliases without `*` and what answers for them; a pattern stands for ids that nobody can list."""
        self.refresh()
        models = {model.id: model for model in self.models()}
        return sorted(
            (alias.pattern, models[alias.model_id])
            for alias in self._aliases.exact.values()
            if alias.model_id in models and alias.pattern not in models
        )

    def is_alias(self, name: str) -> bool:
        """Whether `name`, which may be an ARN, is an alias by itself and not through a pattern."""
        return name in self._aliases.exact

    def _refresh(self) -> None:
        if time.monotonic() - self._checked > REFRESH_SECONDS:
            self.refresh()

    def refresh(self) -> None:
        """Look now whether anybody wrote to the database."""
        with self._refreshing:
            self._checked = time.monotonic()
            version = self._database.version()
            if version != self._version:
                self._version = version
                self._profiles = {}
                self._aliases = aliases.collect(self._configured, aliases.stored(self._database))
                self._reserved = self._reserve()
                self._without_retention = modes.without_retention(self._database)

    def _check_retention(self, model: Model, account: str, region: str) -> None:
        """AccessDeniedException for a model elsewhere, of which nobody has said that it keeps nothing."""
        here = model.own_arn is not None
        if not here and (account, region) in self._without_retention and may_keep(self._specs[model.id]):
            raise AccessDeniedException(f"This model is not available under data retention mode '{modes.NONE}'.")

    def _check_on_demand(self, name: Identifier, model_id: str, called: str) -> None:
        """ValidationException for a plain id of a model that answers through profiles only."""
        plain = name.kind in ("id", "foundation-model") and without_geography(called) is None
        if plain and not self._specs[model_id].on_demand:
            raise ValidationException(
                f"Invocation of model ID {called} with on-demand throughput isn\u2019t supported. Retry your request with "
                "the ID or ARN of an inference profile that contains this model."
            )

    def _answering(self, name: Identifier, text: str, account: str, region: str) -> tuple[str, str] | None:
        """The id of the model, and the name that it goes by in this call."""
        if name.arn is not None and name.arn.region != region:
            return None
        if name.kind in ("inference-profile", "application-inference-profile") and (
            name.arn is not None and name.arn.account != account
        ):
            return None
        if name.kind == "application-inference-profile":
            return self._profile(name.name, account, region)
        resource = name.kind in ("other", "custom-model", "custom-model-deployment", "imported-model")
        if resource and (model_id := self._alias_of_arn(text)) is not None:
            return model_id, model_id
        if name.kind == "custom-model-deployment":
            return self._deployed(name.name, account, region)
        if name.kind == "imported-model":
            imported = self.served.imported(account, region, name.name)
            return None if imported is None else (imported.engine_id, imported.engine_id)
        if name.kind in ("other", "custom-model"):
            # A custom model is called by a deployment's name, or by that of provisioned throughput.
            return None
        model_id = self._named(name.name)
        return None if model_id is None else (model_id, name.name)

    def _named(self, name: str) -> str | None:
        """A model of that id, then aliases; `us.x` is the system-defined profile of the model x."""
        if name in self._specs or ("/" in name and self.served.model(name) is not None):
            return name
        bare = without_geography(name)
        if name not in self._aliases.exact and bare in self._specs:
            return bare
        found = self._aliases.find(name)
        return found if found in self._specs else None

    def _deployed(self, deployment_id: str, account: str, region: str) -> tuple[str, str] | None:
        deployment = self.served.deployment(account, region, deployment_id)
        # One that was not active a moment ago is looked up afresh.
        if deployment is None or deployment.status != "Active":
            return None
        model_id = custom.engine_id(deployment.model)
        return model_id, model_id

    def _check_deployment(self, name: Identifier, account: str, region: str) -> None:
        """Why a deployment that there is does not answer."""
        found = self.served.deployment(account, region, name.name) if name.kind == "custom-model-deployment" else None
        if found is not None and found.status == "Creating":
            raise ModelNotReadyException(f"The deployment {found.arn} is being created. Try again in a moment.")
        if found is not None and found.status == "Failed":
            raise ValidationException(f"The deployment {found.arn} has failed. {found.failure or ''}".strip())

    def _alias_of_arn(self, text: str) -> str | None:
        """Only an exact alias: `*` is meant for ids, and must not turn somebody's ARN into another model."""
        alias = self._aliases.exact.get(text)
        return alias.model_id if alias is not None and alias.model_id in self._specs else None

    def _profile(self, profile_id: str, account: str, region: str) -> tuple[str, str] | None:
        # The dict of this moment: a refresh in another thread puts a new one in its place, where nothing stale arrives.
        known = self._profiles
        key = profile_id, account, region
        if key not in known:
            if len(known) > 4096:
                known.clear()
            row = profiles.find(self._database, account, region, profile_id)
            called = "" if row is None else parse(row.source).name
            source = self._named(called) if called else None
            if source is None:
                return None
            known[key] = source, called
        return known[key]

    def _model_of(self, provisioned: Throughput) -> Model:
        """ServiceUnavailableException if the engines keep no places for it."""
        reserved = self._reserved
        model_id, problem = reserved.model_of(provisioned), reserved.problem(provisioned)
        if model_id is None or problem is not None:
            raise ServiceUnavailableException(f"The provisioned model {provisioned.arn} is not in service. {problem}")
        if self.served.model(model_id) is not None:
            return replace(self._custom(model_id), reservation=provisioned.id)
        return replace(self._model(model_id, provisioned.model_name), reservation=provisioned.id)

    def spec(self, name: str) -> ModelSpec | None:
        """The entry of the settings that answers for a model's id or alias."""
        model_id = self._named(name) if "/" not in name else None
        return None if model_id is None else self._specs[model_id]

    def _custom(self, model_id: str) -> Model:
        """A custom or imported model. ServiceUnavailableException if it cannot be served here."""
        row = self.served.model(model_id)
        assert row is not None
        if (problem := self.served.problem(model_id)) is not None:
            raise ServiceUnavailableException(f"The model {row.arn} cannot be used: {problem}")
        model = self._of_spec(self.served.spec(model_id), model_id, row.foundation)
        family: FamilyName = "imported" if row.kind == "imported" else model.family
        return replace(model, id=model_id, name=row.name, family=family, own_arn=row.arn, on_demand=True)

    def _model(self, model_id: str, called: str | None = None) -> Model:
        """As it is now: an engine may learn at its start how long its context is, or whether it can count."""
        return self._of_spec(self._specs[model_id], model_id, called)

    def _of_spec(self, spec: ModelSpec, model_id: str, called: str | None) -> Model:
        """`model_id` is the engine's, `called` the name that the bodies follow."""
        try:
            capabilities = self._engines.capabilities(model_id)
        except EngineError as problem:
            raise ServiceUnavailableException(f"The model {spec.id} cannot be used: {problem}") from None
        return Model(
            id=spec.id,
            name=spec.name or spec.id.partition(".")[2] or spec.id,
            provider=spec.provider or spec.id.partition(".")[0].title(),
            capabilities=capabilities,
            max_output_tokens=spec.max_output_tokens or capabilities.context_tokens,
            default_max_tokens=spec.max_output_tokens,
            family=_family(spec, called or model_id, capabilities),
            quality=spec.quality,
            on_demand=spec.on_demand,
            latency_optimized=spec.latency_optimized,
            alias=_is_alias(spec, called or model_id),
        )


def _is_alias(spec: ModelSpec, called: str) -> bool:
    return spec.id not in (called, without_geography(called))


def _family(spec: ModelSpec, called: str, able: Capabilities) -> FamilyName:
    """The form of native bodies: an alias's own where its name says which, else the model's."""
    if _is_alias(spec, called) and (family := families.known(called)) is not None:
        return family
    return spec.family or families.known(spec.id) or families.default(able)


def may_keep(spec: ModelSpec) -> bool:
    """Whether something of a request may be kept elsewhere, by one of the model's engines."""
    return any(leaves_this_machine(one) and not one.zero_retention for one in engines_of(spec) or (spec,))


def check_settings(settings: Settings) -> None:
    """SettingsError if a model's id is none, or an alias names a model that is not there."""
    have = {spec.id for spec in all_specs(settings)}
    for model_id in have:
        if _MODEL_ID.fullmatch(model_id) is None:
            raise SettingsError(f"{model_id!r} is no model id: use letters, digits and -:. as in {HOUSE_MODEL}.")
    for spec in settings.models:
        if spec.quality is not None and not 0 <= spec.quality <= 1:
            raise SettingsError(f"The quality of {spec.id} is {spec.quality}; it must be from 0 to 1.")
    if settings.network == "none":
        _check_air_gap(settings)
    for pattern, model_id in settings.aliases.items():
        if model_id not in have:
            there = f"The catalogue has {', '.join(sorted(have))}." if have else "The catalogue is empty."
            raise SettingsError(f"The alias {pattern} names {model_id}, which is not a model here. {there}")
        try:
            aliases.check(pattern, model_id)
        except aliases.AliasError as problem:
            raise SettingsError(str(problem)) from None


def _check_air_gap(settings: Settings) -> None:
    for name, url in settings.customization.graders.items():
        if not is_loopback(url):
            raise SettingsError(f'network is "none", and the grader {name} at {url} would leave this machine.')
    for spec in (one for model in settings.models for one in engines_of(model) or (model,)):
        if leaves_this_machine(spec):
            raise SettingsError(
                f'network is "none", and {spec.id} ({spec.engine}) would leave this machine. Give it a loopback url, '
                "such as http://127.0.0.1:8000, or take it out."
            )


def invalid_identifier() -> ValidationException:
    return ValidationException("The provided model identifier is invalid.")
