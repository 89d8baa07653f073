"""Bedrock's quotas of a batch job, as the settings have them: records, the size of a file, the size of all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.batch.batches import messages, settings
from tests.batch.inside import BUCKET, Inside

LIMITS = "least_records = 3\nmost_records = 5\nfile_mb = 1\njob_mb = 2"


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    folder = tmp_path_factory.mktemp("limits")
    made = Inside(folder, settings(folder).replace("least_records = 1", LIMITS))
    with made.serving():
        yield made
    made.parts.database.close()


def ended(inside: Inside, name: str, *files: list[Any]) -> tuple[str, Any]:
    """A job over a folder of files: its ARN, and itself once it has ended."""
    for number, inputs in enumerate(files):
        inside.put(f"{name}/{number}.jsonl", *inputs)
    arn = inside.create(f"s3://{BUCKET}/{name}/")
    return arn, inside.until(arn, "Completed", "Failed")


@pytest.mark.parametrize("counts", [(3,), (5,), (2, 3), (1, 0, 2)])
def test_as_many_records_as_may_be(inside: Inside, counts: tuple[int, ...]) -> None:
    _, job = ended(inside, f"fine-{counts}", *([messages("Hi")] * count for count in counts))
    assert (job["status"], job["successRecordCount"]) == ("Completed", sum(counts))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((2,), "less records (2) than the required minimum of: 3"),
        ((1, 1), "less records (2) than the required minimum of: 3"),
        ((6,), "more records (6) than the maximum of: 5"),
        ((3, 3), "more records (6) than the maximum of: 5"),
    ],
)
def test_too_few_or_too_many(inside: Inside, counts: tuple[int, ...], words: str) -> None:
    arn, job = ended(inside, f"wrong-{counts}", *([messages("Hi")] * count for count in counts))
    assert (job["status"], job["message"]) == ("Failed", f"Batch job {arn} contains {words}")
    assert inside.keys(arn) == []


def test_a_file_that_is_too_large(inside: Inside) -> None:
    large, small = messages("x" * 400_000), messages("Hi")
    _, job = ended(inside, "large", [small], [large, large, large])
    assert job["status"] == "Failed"
    assert job["message"].startswith(f"s3://{BUCKET}/large/1.jsonl has 1200")
    assert job["message"].endswith("bytes; a file may have 1 MB.")


def test_files_that_are_too_large_together(inside: Inside) -> None:
    _, job = ended(inside, "together", *([messages("x" * 800_000)] for _ in range(3)))
    assert job["status"] == "Failed"
    assert job["message"].startswith("The input has 2400")
    assert job["message"].endswith("bytes; that of a job may have 2 MB.")
