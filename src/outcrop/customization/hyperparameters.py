"""Hyperparameters: AWS's names, defaults and ranges for each family of base models, and what the trainer is told of them.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/custom-models-hp.html. Names that begin with `outcrop.` are
ours: AWS has no word for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from outcrop.errors import ValidationException
from outcrop.models.identifiers import without_geography
from outcrop.training.customizing.spec import Hyperparameters, Kind

METHOD, RANK, ALPHA, SEED = "outcrop.method", "outcrop.rank", "outcrop.alpha", "outcrop.seed"
# What fine-tuning goes by: answers to learn, or pairs of which one is preferred.
OBJECTIVE, BETA = "outcrop.objective", "outcrop.beta"
# Whether a distillation's student sees the teacher's odds of each token.
ODDS = "outcrop.teacherOdds"
# What `learningRateMultiplier`, which some families have instead of a rate, multiplies.
MULTIPLIED_RATE = 1e-4


@dataclass(frozen=True, slots=True)
class Parameter:
    """`default` as it is shown; None: not in force unless it is given."""

    name: str
    default: str | None
    least: float
    most: float
    whole: bool = True

    def check(self, text: str) -> None:
        kind = "a whole number" if self.whole else "a number"
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            raise ValidationException(
                f"The hyperparameter {self.name} must be {kind}, and is {text[:100]!r}."
            ) from None
        if not (math.isfinite(value) and self.least <= value <= self.most):
            raise ValidationException(
                f"The hyperparameter {self.name} must be {kind} from {self.least:g} to {self.most:g}, and is {text[:100]}."
            )


def _real(name: str, default: str | None, least: float, most: float) -> Parameter:
    return Parameter(name, default, least, most, whole=False)


_EARLY = (_real("earlyStoppingThreshold", None, 0, 0.1), Parameter("earlyStoppingPatience", None, 1, 10))

# A pattern of model ids, and the hyperparameters of its models. The first that fits.
_FAMILIES: Sequence[tuple[str, Sequence[Parameter]]] = (
    (
        r"amazon\.nova-.*",
        (
            Parameter("epochCount", "2", 1, 5),
            _real("learningRate", "0.00001", 1e-6, 1e-4),
            Parameter("learningRateWarmupSteps", "10", 0, 100),
        ),
    ),
    (
        r"amazon\.titan-text-premier.*",
        (
            Parameter("epochCount", "2", 1, 5),
            Parameter("batchSize", "1", 1, 1),
            _real("learningRate", "0.000001", 1e-7, 1e-5),
            Parameter("learningRateWarmupSteps", "5", 0, 20),
        ),
    ),
    (
        r"amazon\.titan-.*",
        (
            Parameter("epochCount", "5", 1, 10),
            Parameter("batchSize", "1", 1, 64),
            _real("learningRate", "0.00001", 1e-7, 1e-5),
            Parameter("learningRateWarmupSteps", "5", 0, 250),
        ),
    ),
    (
        r"anthropic\..*",
        (
            Parameter("epochCount", "2", 1, 10),
            Parameter("batchSize", "32", 4, 256),
            _real("learningRateMultiplier", "1", 0.1, 2),
            _real("earlyStoppingThreshold", "0.001", 0, 0.1),
            Parameter("earlyStoppingPatience", "2", 1, 10),
        ),
    ),
    (
        r"cohere\..*",
        (
            Parameter("epochCount", "1", 1, 100),
            Parameter("batchSize", "8", 8, 32),
            _real("learningRate", "0.00001", 5e-6, 0.1),
            _real("earlyStoppingThreshold", "0.01", 0, 0.1),
            Parameter("earlyStoppingPatience", "6", 1, 10),
            Parameter("evalPercentage", "20", 5, 50),
        ),
    ),
    (
        r"meta\..*",
        (
            Parameter("epochCount", "5", 1, 10),
            Parameter("batchSize", "1", 1, 1),
            _real("learningRate", "0.0001", 5e-6, 0.1),
        ),
    ),
    # Models of nobody's at Amazon: Llama's names, with room for small models, which need more and larger steps.
    (
        r".*",
        (
            Parameter("epochCount", "5", 1, 1000),
            Parameter("batchSize", "8", 1, 256),
            _real("learningRate", "0.001", 1e-7, 0.1),
            Parameter("learningRateWarmupSteps", "0", 0, 10_000),
            *_EARLY,
        ),
    ),
)
_OURS = (
    Parameter(RANK, "16", 1, 256),
    _real(ALPHA, "32", 0.1, 1024),
    Parameter(SEED, "1", 0, 2**31 - 1),
)
METHODS: tuple[Literal["lora"], Literal["full"]] = ("lora", "full")
_WORDS: Mapping[str, Sequence[str]] = {METHOD: METHODS, OBJECTIVE: ("answers", "preference"), ODDS: ("false", "true")}
# Further ones of some kinds of training.
_OF_KIND: Mapping[Kind, Sequence[str]] = {
    "fine-tuning": (METHOD, OBJECTIVE),
    "preference": (METHOD, OBJECTIVE),
    "distillation": (METHOD, ODDS),
}
_BETA = _real(BETA, "0.1", 0.001, 10)


def of(base: str, given: Mapping[str, str], kind: Kind, *, validated: bool) -> dict[str, str]:
    """All that are in force for a base model of this id, as texts. `validated`: there is data to validate with.

    ValidationException for one that is not known, or out of its range.
    """
    beta = (_BETA,) if kind == "preference" else ()
    parameters = {parameter.name: parameter for parameter in (*_family(base), *_OURS, *beta)}
    words = {name: _WORDS[name] for name in _OF_KIND.get(kind, (METHOD,))}
    unknown = sorted(given.keys() - parameters.keys() - words.keys())
    if unknown:
        raise ValidationException(
            f"The hyperparameters {', '.join(unknown)} are not known for the model {base}. It has "
            f"{', '.join([*parameters, *words])}."
        )
    for name, text in given.items():
        if name not in words:
            parameters[name].check(text)
        elif text not in words[name]:
            raise ValidationException(f"The hyperparameter {name} must be one of {', '.join(words[name])}.")
    _check_early_stopping(given, parameters, validated)
    found = {name: given.get(name, parameter.default) for name, parameter in parameters.items()}
    if not validated:
        found = {name: value for name, value in found.items() if not name.startswith("earlyStopping") or name in given}
    found.update({name: given.get(name, allowed[0]) for name, allowed in words.items()})
    if found[METHOD] == "full":
        found = {name: value for name, value in found.items() if name not in (RANK, ALPHA) or name in given}
    return {name: value for name, value in found.items() if value is not None}


def _check_early_stopping(given: Mapping[str, str], parameters: Mapping[str, Parameter], validated: bool) -> None:
    early = [name for name in given if name.startswith("earlyStopping")]
    if early and not validated and "evalPercentage" not in parameters:
        raise ValidationException(f"The hyperparameter {early[0]} needs a validation dataset. Give one and try again.")


def trainers(chosen: Mapping[str, str]) -> Hyperparameters:
    """What the trainer is told."""
    rate = chosen.get("learningRate")
    early = "earlyStoppingPatience" in chosen or "earlyStoppingThreshold" in chosen
    return Hyperparameters(
        epochs=int(chosen["epochCount"]),
        batch_size=int(chosen.get("batchSize", "1")),
        learning_rate=float(rate) if rate is not None else MULTIPLIED_RATE * float(chosen["learningRateMultiplier"]),
        warmup_steps=int(chosen.get("learningRateWarmupSteps", "0")),
        early_stopping_threshold=float(chosen.get("earlyStoppingThreshold", "0")) if early else None,
        early_stopping_patience=int(chosen.get("earlyStoppingPatience", "2")) if early else None,
        lora_rank=int(chosen.get(RANK, "16")),
        lora_alpha=float(chosen.get(ALPHA, "32")),
    )


def _family(base: str) -> Sequence[Parameter]:
    bare = without_geography(base) or base
    return next(parameters for pattern, parameters in _FAMILIES if re.fullmatch(pattern, bare))
