"""What an answer is worth: graders that look only at the answer and what its record says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from outcrop.engines.cores import usable_cores
from outcrop.training.customizing.records import Refused
from outcrop.training.customizing.spec import Grader, SpecError

_FENCED = re.compile(r"```(?:[a-zA-Z0-9_+-]*)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Sample:
    """`record` is the line of the data that the prompt is from."""

    record: Mapping[str, Any]
    answer: str


Grade = Callable[[Sequence[Sample]], list[float]]


def grader(name: Grader, ask: Grade | None) -> Grade:
    """`ask` is whoever started the process, if anybody did."""
    if name == "parent":
        if ask is None:
            raise SpecError('The grader "parent" asks the program that started the training, and nobody did.')
        return ask
    return {"exact-match": exact_match, "json-schema": json_schema, "unit-tests": unit_tests}[name]


def check(name: Grader, record: Mapping[str, Any]) -> None:
    """Refused, in a sentence, if the record has not what its grader needs."""
    if name == "parent":
        return
    if "reference_answer" not in record:
        raise Refused(f'"reference_answer" is missing, which the grader {name} needs.')
    reference = record["reference_answer"]
    if name == "exact-match" and not isinstance(reference, str | int | float | list):
        raise Refused('"reference_answer" must be a text, a number, or a list of them.')
    if name == "unit-tests" and not isinstance(reference, str):
        raise Refused('"reference_answer" must be the tests: Python source.')
    if name == "json-schema":
        import jsonschema_rs

        if not isinstance(reference, dict):
            raise Refused('"reference_answer" must be a JSON schema.')
        try:
            jsonschema_rs.validator_for(reference)
        except ValueError as problem:
            raise Refused(f'"reference_answer" is no sound JSON schema: {str(problem)[:200]}') from None


def exact_match(samples: Sequence[Sample]) -> list[float]:
    """1 for an answer that is the reference, or one of several; letter case, spaces and a final dot aside."""
    return [float(_plain(sample.answer) in _references(sample.record["reference_answer"])) for sample in samples]


def _references(given: object) -> set[str]:
    return {_plain(str(one)) for one in (given if isinstance(given, list) else [given])}


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(".").casefold()


def json_schema(samples: Sequence[Sample]) -> list[float]:
    """1 for JSON, fenced or not, that is valid against the reference."""
    import jsonschema_rs

    return [
        float(_is_valid(jsonschema_rs.validator_for(sample.record["reference_answer"]), sample.answer))
        for sample in samples
    ]


def _is_valid(validator: Any, answer: str) -> bool:
    try:
        return bool(validator.is_valid(json.loads(_code(answer))))
    except (ValueError, RecursionError):
        return False


def unit_tests(samples: Sequence[Sample]) -> list[float]:
    """1 for Python, fenced or not, behind which the reference's tests run to their end. In the sandbox, never here."""
    from outcrop.evaluation.sandbox.run import run_program

    def passes(sample: Sample) -> float:
        program = f"{_code(sample.answer)}\n\n{sample.record['reference_answer']}\n"
        return float(run_program(program).outcome == "passed")

    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(passes, samples))


def _code(answer: str) -> str:
    found = _FENCED.search(answer)
    return found[1] if found else answer
