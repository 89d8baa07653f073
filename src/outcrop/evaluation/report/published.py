"""Scores that others published for well-known models. They are shown beside ours, and always as not measured here.

Each was read at its source; `asked` is how the source says that it asked. A score is set beside a suite of ours if both
ask the same questions, not if they ask them in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from outcrop.evaluation.results import Results

NOT_MEASURED = "published elsewhere, not measured here"
_META = "https://github.com/meta-llama/llama-models/blob/main/models/llama3_1/MODEL_CARD.md"
_OPENAI = "https://github.com/openai/simple-evals"


@dataclass(frozen=True, slots=True)
class Published:
    """`score` in per cent, of all questions of the suite."""

    model: str
    suite: str
    score: float
    asked: str
    source: str


def beside(results: Results) -> list[Published]:
    """Those of the suites that the results have."""
    return [one for one in PUBLISHED if one.suite in results.suites()]


def _of(model: str, source: str, asked: dict[str, str], scores: dict[str, float]) -> list[Published]:
    return [Published(model, suite, score, asked[suite], source) for suite, score in scores.items()]


_ASKED_BY_META = {
    "mmlu": "5-shot, macro average over subjects",
    "mmlu-pro": "5-shot, chain of thought, macro average",
    "gpqa-main": "0-shot, main set",
    "gsm8k": "8-shot, chain of thought",
    "mgsm": "0-shot, chain of thought, eleven languages",
    "humaneval": "0-shot, pass@1",
    "ifeval": "mean of strict and loose, by prompt and by instruction",
}
_ZERO_SHOT = "0-shot, chain of thought"
_ASKED_BY_OPENAI = {
    "mmlu": _ZERO_SHOT,
    "gpqa-diamond": _ZERO_SHOT,
    "mgsm": _ZERO_SHOT,
    "humaneval": "0-shot, pass@1",
}

PUBLISHED: Sequence[Published] = [
    *_of("Llama 3.1 8B Instruct", _META, _ASKED_BY_META, {
        "mmlu": 69.4, "mmlu-pro": 48.3, "gpqa-main": 30.4, "gsm8k": 84.5, "mgsm": 68.9, "humaneval": 72.6, "ifeval": 80.4,
    }),
    *_of("Llama 3.1 70B Instruct", _META, _ASKED_BY_META, {
        "mmlu": 83.6, "mmlu-pro": 66.4, "gpqa-main": 46.7, "gsm8k": 95.1, "mgsm": 86.9, "humaneval": 80.5, "ifeval": 87.5,
    }),
    *_of("Llama 3.1 405B Instruct", _META, _ASKED_BY_META, {
        "mmlu": 87.3, "mmlu-pro": 73.3, "gpqa-main": 50.7, "gsm8k": 96.8, "mgsm": 91.6, "humaneval": 89.0, "ifeval": 88.6,
    }),
    *_of("GPT-4o mini (2024-07-18)", _OPENAI, _ASKED_BY_OPENAI, {
        "mmlu": 82.0, "gpqa-diamond": 40.2, "mgsm": 87.0, "humaneval": 87.2,
    }),
    *_of("GPT-4o (2024-08-06)", _OPENAI, _ASKED_BY_OPENAI, {
        "mmlu": 88.7, "gpqa-diamond": 53.1, "mgsm": 90.0, "humaneval": 90.2,
    }),
    *_of("GPT-4.1 (2025-04-14)", _OPENAI, _ASKED_BY_OPENAI, {
        "mmlu": 90.2, "gpqa-diamond": 66.3, "mgsm": 86.9, "humaneval": 94.5,
    }),
]  # fmt: skip
