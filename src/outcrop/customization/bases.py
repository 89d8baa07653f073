"""Which models can be customized here: those whose weights are at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from outcrop.errors import ValidationException
from outcrop.identity import arns
from outcrop.models import custom
from outcrop.models.catalogue import Catalogue, invalid_identifier
from outcrop.models.custom import CustomModel
from outcrop.models.customizable import check, weights_of
from outcrop.models.identifiers import parse, without_geography
from outcrop.store.database import Database


@dataclass(frozen=True, slots=True)
class Base:
    """`name` is the id that it was called by, `arn` that of the model, `foundation` the name of the foundation model
    behind it. `weights` is a GGUF file or a Hugging Face folder, `adapter` the folder of an adapter to go on from.

    `merge`: its engine applies no adapters, so that what is trained becomes a model of its own.
    """

    name: str
    arn: str
    foundation: str | None
    weights: Path
    adapter: Path | None
    merge: bool


class Bases:
    def __init__(self, database: Database, catalogue: Catalogue, home: Path) -> None:
        self._database = database
        self._catalogue = catalogue
        self._home = home

    def find(self, account: str, region: str, identifier: str) -> Base:
        """ValidationException for a model that there is not, or that cannot be customized, with the reason."""
        own = self.custom(account, region, identifier)
        return self._of_custom(own) if own is not None else self._of_foundation(region, identifier)

    def custom(self, account: str, region: str, identifier: str) -> CustomModel | None:
        """The account's custom or imported model of that ARN or name; foundation models count before names."""
        name = parse(identifier)
        if name.arn is None and self._catalogue.spec(identifier) is not None:
            return None
        return custom.named(self._database, account, region, "custom", identifier) or custom.named(
            self._database, account, region, "imported", identifier
        )

    def _of_foundation(self, region: str, identifier: str) -> Base:
        name = parse(identifier)
        found = name.kind in ("id", "foundation-model") and without_geography(name.name) is None
        spec = self._catalogue.spec(name.name) if found else None
        if spec is None or (name.arn is not None and name.arn.region != region):
            raise invalid_identifier()
        arn = arns.build("foundation-model", region, "", model=name.name)
        return Base(name.name, arn, name.name, weights_of(spec), None, merge=spec.engine != "llamacpp")

    def _of_custom(self, model: CustomModel) -> Base:
        if model.status != "Active":
            raise ValidationException(f"The model {model.arn} is not active. Its status is {model.status}.")
        folder = custom.folder(self._home, model.id)
        if model.serving == "adapter":
            spec = self._catalogue.spec(model.foundation or "")
            if spec is None:
                raise ValidationException(f"The base model {model.foundation} of {model.arn} is not here any more.")
            merge = spec.engine != "llamacpp"
            return Base(_name(model), model.arn, model.foundation, weights_of(spec), folder / "adapter", merge)
        # The folder that it was trained into or brought in, else the file that is served.
        folders = [path for path in (folder / "model", folder) if (path / "config.json").exists()]
        weights = folders[0] if folders else folder / model.file
        check(weights, model.arn)
        return Base(_name(model), model.arn, model.foundation, weights, None, merge=True)


def _name(model: CustomModel) -> str:
    """A model of a custom one is named for the foundation model behind it, as on AWS."""
    return model.foundation or "imported.model"
