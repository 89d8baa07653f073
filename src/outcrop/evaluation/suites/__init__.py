"""The benchmarks. `chosen` knows them by name and by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from outcrop.evaluation.item import EvaluationError, Suite
from outcrop.evaluation.suites.gpqa import GPQA
from outcrop.evaluation.suites.gsm8k import GSM8K
from outcrop.evaluation.suites.house import HOUSE
from outcrop.evaluation.suites.humaneval import HUMANEVAL
from outcrop.evaluation.suites.ifeval import IFEVAL
from outcrop.evaluation.suites.mbpp import MBPP
from outcrop.evaluation.suites.mgsm import MGSM
from outcrop.evaluation.suites.mmlu import MMLU
from outcrop.evaluation.suites.mmlu_pro import MMLU_PRO

SUITES: Mapping[str, Suite] = {
    suite.name: suite for suite in (MMLU, MMLU_PRO, *GPQA, GSM8K, MGSM, HUMANEVAL, MBPP, IFEVAL, HOUSE)
}


def chosen(names: Sequence[str]) -> list[Suite]:
    """Each once, in the order of their naming. EvaluationError for a name that is neither a suite's nor a field's."""
    found: dict[str, Suite] = {}
    for name in names:
        some = [suite for suite in SUITES.values() if name == suite.name or (name == suite.field and suite.listed)]
        if not some:
            known = ", ".join([*SUITES, *sorted({suite.field for suite in SUITES.values()})])
            raise EvaluationError(f"There is no suite {name}. There are: {known}.")
        found.update({suite.name: suite for suite in some})
    return list(found.values())
