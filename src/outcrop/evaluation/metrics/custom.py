"""A metric of the caller's own: instructions with variables, and a scale that may hold the judge to its answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outcrop.evaluation.metrics import scale
from outcrop.evaluation.metrics.scale import Level, Verdict

# Names of Bedrock's variables → parts of a record.
VARIABLES: Mapping[str, str] = {"prompt": "prompt", "prediction": "answer", "ground_truth": "reference"}
RAG_VARIABLES: Mapping[str, str] = {**VARIABLES, "context": "passages", "reference_contexts": "reference_passages"}

_VARIABLE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class NotAMetric(Exception):
    """A sentence about the definition."""


@dataclass(frozen=True, slots=True)
class Custom:
    """`levels` is empty where the definition has no scale: then the judge's words are the result, a number if they are one."""

    name: str
    instructions: str
    levels: tuple[Level, ...]
    variables: Mapping[str, str]

    def prompt(self, material: Mapping[str, str], *, reverse: bool = False) -> str:
        def value(found: re.Match[str]) -> str:
            return material.get(self.variables[found[1]], "")

        filled = _VARIABLE.sub(value, self.instructions)
        if not self.levels:
            return filled
        levels = self.levels[::-1] if reverse else self.levels
        return f"{filled}\n\n{scale.instructions(levels, False)}"

    def missing(self, material: Mapping[str, str]) -> Sequence[str]:
        names = _VARIABLE.findall(self.instructions)
        return [name for name in dict.fromkeys(names) if not material.get(self.variables[name])]

    def read(self, text: str) -> Verdict:
        if self.levels:
            return scale.read(text, self.levels)
        said = text.strip()
        if not said:
            return Verdict(None, "", "", "The judge said nothing.")
        return Verdict(float(said) if _NUMBER.fullmatch(said) else said, said, said)


def custom(definition: Mapping[str, Any], *, rag: bool = False) -> Custom:
    """From a customMetricDefinition. NotAMetric for one that cannot be used."""
    name, instructions = str(definition["name"]), str(definition["instructions"])
    known = RAG_VARIABLES if rag else VARIABLES
    used = _VARIABLE.findall(instructions)
    if unknown := sorted(set(used) - set(known)):
        raise NotAMetric(f"The custom metric {name} uses {{{{{unknown[0]}}}}}; the variables are {', '.join(known)}.")
    retrieved = rag and "context" in used
    if "prediction" not in used and not retrieved:
        raise NotAMetric(f"The instructions of the custom metric {name} must contain the variable {{{{prediction}}}}.")
    if name.startswith("Builtin."):
        raise NotAMetric(f"The custom metric {name} must not be called like a built-in one.")
    return Custom(name, instructions, _levels(name, definition.get("ratingScale", ())), known)


def _levels(name: str, given: Sequence[Mapping[str, Any]]) -> tuple[Level, ...]:
    levels = []
    for item in given:
        value = item["value"]
        number = value.get("floatValue")
        # The wire's floats have 32 bits: 0.1 would be shown as what that is in 64.
        shown = f"{number:.6g}" if number is not None else str(value.get("stringValue", ""))
        levels.append(Level(shown, str(item["definition"]), float(shown) if number is not None else shown))
    kinds = {isinstance(level.value, str) for level in levels}
    if len(kinds) > 1:
        raise NotAMetric(
            f"The values on the rating scale of the custom metric {name} must be all numbers or all strings."
        )
    labels = [level.label.lower() for level in levels]
    if len(set(labels)) < len(labels) or "" in labels:
        raise NotAMetric(f"The rating scale of the custom metric {name} has a value twice, or an empty one.")
    return tuple(levels)
