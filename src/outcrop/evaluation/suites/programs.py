"""Code in answers, and whether it does what its tests say."""

from __future__ import annotations

import re

from outcrop.evaluation.item import EvaluationError, Scored
from outcrop.evaluation.sandbox.run import Limits, SandboxError, run_program

# Of the clock. Published scorers take 3 on a machine of their own; here an engine may be at work beside it.
SECONDS = 10.0
_FENCED = re.compile(r"```[ \t]*(?:python3?|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
# What ends a completion that goes on after its function: Chen et al., 2021, section 2.
_AFTER = re.compile(r"\n(?=class |def |#|if |print\(|@)")


def fenced(text: str) -> list[str]:
    """The code between fences, block by block."""
    found: list[str] = _FENCED.findall(text)
    return found


def body(text: str) -> str:
    """Of a completion that goes on where the prompt ended: up to whatever comes after the function."""
    return _AFTER.split(text, maxsplit=1)[0]


def scored(program: str, answer: str) -> Scored:
    verdict = run_program(program, Limits(seconds=SECONDS))
    return Scored({"pass": float(verdict.passed)}, answer, detail=verdict.problem)


def check() -> None:
    """EvaluationError where programs cannot be run: better known before a model was asked for any."""
    try:
        verdict = run_program("assert 1 + 1 == 2")
    except SandboxError as problem:
        raise EvaluationError(str(problem)) from None
    if not verdict.passed:
        raise EvaluationError(f"A program that is right does not run here: {verdict.problem}")
