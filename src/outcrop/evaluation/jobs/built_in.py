"""Data sets by name: Bedrock's own, of which the operator has copies, and the benchmarks that Outcrop knows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from outcrop.batch.refused import Refused
from outcrop.errors import ValidationException
from outcrop.evaluation.item import EvaluationError, Options, Suite
from outcrop.evaluation.jobs.plan import ACCURACY, BUILT_IN, OUTCROP, DatasetPlan
from outcrop.evaluation.jobs.records import MOST_PROMPTS, Record, records
from outcrop.evaluation.metrics import accuracy
from outcrop.evaluation.suites import SUITES
from outcrop.settings import EvaluationSettings

# Of Bedrock's own sets, and of a benchmark that has more than a job takes.
SAMPLED_PROMPTS = 100

T = TypeVar("T")

NAMES = (
    "T-Rex", "Bold", "Wikitext2", "RealToxicityPrompts", "Gigaword", "BoolQ", "NaturalQuestions", "TriviaQA",
    "WomensEcommerceClothingReviews",
)  # fmt: skip


def check(settings: EvaluationSettings, datasets: Sequence[DatasetPlan]) -> None:
    """ValidationException for a name that stands for nothing, or for what this server has no copy of."""
    for dataset in datasets:
        if dataset.name.startswith(BUILT_IN):
            _file(settings, dataset.name)
        elif dataset.name.startswith(OUTCROP):
            _check_suite(settings, dataset)


def _file(settings: EvaluationSettings, name: str) -> Path:
    short = name.removeprefix(BUILT_IN)
    if short not in NAMES:
        raise ValidationException(f"There is no built-in dataset {name}. There are: {', '.join(NAMES)}.")
    if settings.datasets is None:
        raise ValidationException(
            f"This server has no copy of {name}. Its operator puts the lines into {short}.jsonl in a folder and names that "
            "folder in the settings: [evaluation] datasets. Or give a dataset of your own in S3."
        )
    path = Path(settings.datasets).expanduser() / f"{short}.jsonl"
    if not path.is_file():
        raise ValidationException(f"This server has no copy of {name}: its folder of datasets has no {path.name}.")
    return path


def _check_suite(settings: EvaluationSettings, dataset: DatasetPlan) -> None:
    suite_of(dataset.name)
    if dataset.task not in (accuracy.CUSTOM, "General"):
        raise ValidationException(
            f"With the dataset {dataset.name} the taskType is Custom or General, not {dataset.task}."
        )
    if settings.data is None:
        raise ValidationException(
            f"This server has no copy of {dataset.name}. Its operator names the folder that has it in the settings: "
            "[evaluation] data."
        )
    if dataset.task == accuracy.CUSTOM and set(dataset.metrics) != {ACCURACY}:
        raise ValidationException(f"The dataset {dataset.name} has one metric without a judge: {ACCURACY}.")


def suite_of(name: str) -> Suite:
    """`Outcrop.MMLU` → the suite `mmlu`. ValidationException if there is none."""
    short = name.removeprefix(OUTCROP).lower()
    found = {key.replace("_", "").replace("-", ""): suite for key, suite in SUITES.items()}.get(
        short.replace("_", "").replace("-", "")
    )
    if found is None:
        raise ValidationException(
            f"There is no dataset {name}. There are: {', '.join(OUTCROP + key for key in SUITES)}."
        )
    return found


def loaded(settings: EvaluationSettings, dataset: DatasetPlan) -> list[Record]:
    """Blocks. Refused where the data is not as it should be."""
    if dataset.name.startswith(OUTCROP):
        return _suite(settings, dataset)
    try:
        path = _file(settings, dataset.name)
    except ValidationException as problem:
        raise Refused(problem.message) from None
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    chosen = _sample(lines, dataset.name) if len(lines) > SAMPLED_PROMPTS else lines
    return records(b"\n".join(chosen), dataset.name, (), None)


def _suite(settings: EvaluationSettings, dataset: DatasetPlan) -> list[Record]:
    from outcrop.evaluation.data import folder_of

    suite = suite_of(dataset.name)
    assert settings.data is not None
    try:
        items = suite.load(folder_of(Path(settings.data).expanduser(), suite.name), Options())
    except EvaluationError as problem:
        raise Refused(str(problem)) from None
    if len(items) > MOST_PROMPTS:
        items = _sample(items, dataset.name, MOST_PROMPTS)
    made = []
    for number, item in enumerate(items, 1):
        prompt = "\n\n".join(turn.text for turn in item.prompt.turns)
        given = {"prompt": prompt, "referenceResponse": str(item.reference), "category": item.group}
        made.append(Record(number, given, {"prompt": prompt, "reference": str(item.reference)}, item=item))
    return made


def _sample(items: Sequence[T], name: str, most: int = SAMPLED_PROMPTS) -> list[T]:
    """The same each time, in the order of the set."""
    chance = random.Random(name)  # noqa: S311 - no secret
    return [items[at] for at in sorted(chance.sample(range(len(items)), most))]
