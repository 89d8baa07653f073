"""Human evaluation: the worksheet that goes out, what comes back, and what is refused of it."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from tests.evaluation.jobs.evaluations import ARN, MODEL, OTHER, Evaluations, connect, dataset, model, settings
from tests.live import serve

FLOW = "arn:aws:sagemaker:us-east-1:123456789012:flow-definition/people"
PLANET = {"prompt": "Which is the largest planet?", "referenceResponse": "Jupiter", "category": "sky"}
FORMULA = {"prompt": "=1+1 is what?"}
METRICS = {
    "liked": "ThumbsUpDown",
    "quality": "IndividualLikertScale",
    "better": "ComparisonLikertScale",
    "choice": "ComparisonChoice",
    "rank": "ComparisonRank",
}
WORKSHEET = ("outcrop/worksheet.xlsx", "outcrop/worksheet.csv")


def human(
    evaluations: Evaluations, lines: list[Any], *metrics: str, models: tuple[str, ...] = (MODEL, OTHER), **more: Any
) -> str:
    config = {
        "human": {
            "humanWorkflowConfig": {"flowDefinitionArn": FLOW, "instructions": "Judge kindly."},
            "customMetrics": [
                {"name": name, "ratingMethod": METRICS[name], "description": f"Is it {name}?"} for name in metrics
            ],
            "datasetMetricConfigs": [dataset("Custom", evaluations.put(lines), *metrics)],
        }
    }
    return evaluations.create(config, **{"inferenceConfig": {"models": [model(one) for one in models]}, **more})


def exported(evaluations: Evaluations, arn: str) -> list[dict[str, str]]:
    """The worksheet's rows, once they are there."""
    deadline = time.monotonic() + 30
    while not all(name in evaluations.files(arn) for name in WORKSHEET):
        assert evaluations.get(arn)["status"] == "InProgress"
        assert time.monotonic() < deadline, evaluations.server.log[-2000:]
        time.sleep(0.1)
    text = evaluations.files(arn)["outcrop/worksheet.csv"].decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def filled(rows: list[dict[str, str]], answers: dict[str, str], worker: str = "") -> bytes:
    """CSV: each row answered by its metric."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "answer": answers[row["question"].partition(":")[0]], "worker": worker})
    return text.getvalue().encode()


def hand_in(evaluations: Evaluations, arn: str, body: bytes, name: str = "answers.csv") -> None:
    key = f"{evaluations.folder(arn)}/outcrop/{name}"
    evaluations.s3.put_object(Bucket=evaluations.bucket, Key=key, Body=body)


ANSWERS = {"liked": "up", "quality": "4", "better": "2", "choice": "2", "rank": "1=2"}


def test_a_worksheet_goes_out_and_its_answers_come_back_in_bedrocks_form(evaluations: Evaluations) -> None:
    arn = human(evaluations, [PLANET, FORMULA], *METRICS)
    rows = exported(evaluations, arn)
    # Two responses are rated for themselves by two metrics, and compared by three.
    assert len(rows) == 2 * (2 * 2 + 3)
    assert {row["response 1"] for row in rows if row["line"] == "1"} == {"Jupiter", "Something else."}
    assert not any(MODEL in value or OTHER in value for row in rows for value in row.values())
    assert rows[-1]["prompt"] == "'=1+1 is what?"
    assert rows[0]["question"] == "liked: Is it liked?"
    hand_in(evaluations, arn, filled(rows, ANSWERS, "Ada"))
    job = evaluations.done(arn)
    assert job["jobType"] == "Human"
    first, _ = evaluations.lines(arn)
    (result,) = first["humanEvaluationResult"]
    assert result["flowDefinitionArn"] == FLOW
    assert result["inputContent"]["instructions"] == "Judge kindly."
    assert {"metricName": "liked", "description": "Is it liked?"} in result["inputContent"]["evaluationMetrics"]
    assert set(result["modelResponseIdMap"].values()) == {ARN + MODEL, ARN + OTHER}
    (answer,) = result["humanAnswers"]
    assert answer["workerId"] == "Ada"
    assert answer["acceptanceTime"].endswith("Z")
    assert answer["answerContent"]["evaluationResults"] == {
        "thumbsUpDown": [{"metricName": "liked", "modelResponseId": at, "result": True} for at in "01"],
        "individualLikertScale": [{"metricName": "quality", "modelResponseId": at, "result": 4} for at in "01"],
        "comparisonLikertScale": [
            {"metricName": "better", "leftModelResponseId": "0", "rightModelResponseId": "1", "result": 2}
        ],
        "comparisonChoice": [{"metricName": "choice", "result": {"modelResponseId": "1"}}],
        "comparisonRank": [
            {"metricName": "rank", "result": [{"modelResponseId": "0", "rank": 1}, {"modelResponseId": "1", "rank": 1}]}
        ],
    }
    assert first["inputRecord"] == PLANET
    said = {one["modelIdentifier"]: one["response"] for one in first["modelResponses"]}
    assert said == {ARN + MODEL: "Jupiter", ARN + OTHER: "Something else."}
    assert [result["modelResponseIdMap"][str(at)] for at in range(2)] == [
        one["modelIdentifier"] for one in first["modelResponses"]
    ]
    people = evaluations.summary(arn)["people"]
    assert people["quality"] == {ARN + one: {"mean": 4.0, "n": 2} for one in (MODEL, OTHER)}
    assert people["rank"][ARN + MODEL]["mean"] == 0.5
    (path,) = [path for path in evaluations.files(arn) if path.endswith("_output.jsonl")]
    assert path.startswith("datasets/mine/")


def test_an_excel_worksheet(evaluations: Evaluations) -> None:
    arn = human(evaluations, [PLANET, FORMULA], "liked", "quality", models=(MODEL,))
    exported(evaluations, arn)
    book = load_workbook(io.BytesIO(evaluations.files(arn)["outcrop/worksheet.xlsx"]))
    page: Any = book["worksheet"]
    assert page.protection.sheet
    columns = {cell.value: cell.column for cell in page[1]}
    prompts = [page.cell(at, columns["prompt"]) for at in range(2, page.max_row + 1)]
    # What a model or a prompt says is never a formula.
    assert {(cell.value, cell.data_type) for cell in prompts} == {(PLANET["prompt"], "s"), (FORMULA["prompt"], "s")}
    for at in range(2, page.max_row + 1):
        cell = page.cell(at, columns["answer"])
        assert not cell.protection.locked
        liked = str(page.cell(at, columns["question"]).value).startswith("liked")
        # As Excel has it: a number where one was typed.
        cell.value = "down" if liked else 3
    made = io.BytesIO()
    book.save(made)
    hand_in(evaluations, arn, made.getvalue(), "answers.xlsx")
    evaluations.done(arn)
    results = [line["humanEvaluationResult"][0]["humanAnswers"][0] for line in evaluations.lines(arn)]
    for answer in results:
        found = answer["answerContent"]["evaluationResults"]
        assert found["thumbsUpDown"] == [{"metricName": "liked", "modelResponseId": "0", "result": False}]
        assert found["individualLikertScale"] == [{"metricName": "quality", "modelResponseId": "0", "result": 3}]
        assert answer["workerId"] == "worksheet"


def test_a_worksheet_that_is_half_filled_or_changed_is_refused_with_its_rows(evaluations: Evaluations) -> None:
    arn = human(evaluations, [PLANET], *METRICS)
    rows = exported(evaluations, arn)
    wrong = [dict(row) for row in rows]
    wrong[1]["prompt"] = "Which is the smallest planet?"
    body = filled(wrong, {**ANSWERS, "quality": "6", "choice": ""}).replace(b"\r\n7,", b"\r\n99,")
    hand_in(evaluations, arn, body)
    deadline = time.monotonic() + 20
    while "outcrop/answers-refused.txt" not in evaluations.files(arn):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    job = evaluations.get(arn)
    assert job["status"] == "InProgress"
    assert job["failureMessages"] == [
        "Row 2: its prompt was changed. Only the answer may be filled in.",
        "Row 99: the worksheet has no such row.",
        "Row 3: '6' is no answer; give from 1 (worst) to 5 (best).",
        "Row 4: '6' is no answer; give from 1 (worst) to 5 (best).",
        "Row 6: it has no answer; give the number of the better response.",
        "Row 7: it is missing.",
    ]
    text = evaluations.files(arn)["outcrop/answers-refused.txt"].decode()
    assert text.startswith("outcrop/answers.csv cannot be taken:\nRow 2: ")
    hand_in(evaluations, arn, filled(rows, ANSWERS))
    assert "failureMessages" not in evaluations.done(arn)


def test_what_is_no_worksheet_at_all(evaluations: Evaluations) -> None:
    arn = human(evaluations, [PLANET], "liked", models=(MODEL,))
    exported(evaluations, arn)
    for body, name, problem in (
        (b"a,b\n1,2\n", "answers.csv", "The first line must have the columns row, dataset"),
        (b"PK no zip", "answers.xlsx", "cannot be read as XLSX"),
    ):
        hand_in(evaluations, arn, body, name)
        deadline = time.monotonic() + 20
        while problem not in str(evaluations.get(arn).get("failureMessages")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    evaluations.bedrock.stop_evaluation_job(jobIdentifier=arn)
    assert evaluations.until(arn, "Stopped", seconds=10)["status"] == "Stopped"


def test_handed_in_by_command(evaluations: Evaluations, tmp_path: Path) -> None:
    arn = human(evaluations, [PLANET], "liked", models=(MODEL,))
    rows = exported(evaluations, arn)
    name = evaluations.get(arn)["jobName"]

    def command(body: bytes) -> subprocess.CompletedProcess[str]:
        (tmp_path / "filled.csv").write_bytes(body)
        return subprocess.run(
            [sys.executable, "-m", "outcrop", "evaluate", "hand-in", name, str(tmp_path / "filled.csv")],
            env={**os.environ, **evaluations.server.environment}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    refused = command(filled(rows, {"liked": ""}))
    assert refused.returncode == 1
    assert "Row 1: it has no answer; give up or down." in refused.stderr
    assert evaluations.get(arn)["status"] == "InProgress"
    taken = command(filled(rows, {"liked": "down"}))
    assert taken.returncode == 0, taken.stderr
    assert "outcrop/answers.csv" in taken.stdout
    evaluations.done(arn)
    again = command(filled(rows, {"liked": "up"}))
    assert "does not wait for a worksheet: it is completed." in again.stderr


def test_answers_that_failed_are_not_shown_to_people(evaluations: Evaluations) -> None:
    arn = human(evaluations, [PLANET, {"prompt": "Please refuse me"}], "liked", models=(MODEL,))
    rows = exported(evaluations, arn)
    assert [row["line"] for row in rows] == ["1"]
    hand_in(evaluations, arn, filled(rows, ANSWERS))
    evaluations.done(arn)
    (found,) = evaluations.summary(arn)["datasets"]
    assert (found["records"], found["answered"], found["failed"], found["failures"][0]["line"]) == (2, 1, 1, 2)


def test_a_job_waits_over_a_restart(tmp_path: Path) -> None:
    """And asks its models nothing again, though it is another server that goes on."""
    home = tmp_path / "home"
    with serve(home, settings=settings(tmp_path)) as server:
        evaluations = connect(server)
        arn = human(evaluations, [PLANET], "liked", models=(MODEL,))
        rows = exported(evaluations, arn)
    # What the model would say now.
    (tmp_path / "script.json").write_text('{"rules": [{"matches": ".", "text": "Mars"}]}')
    with serve(home) as server:
        evaluations = connect(server)
        hand_in(evaluations, arn, filled(rows, ANSWERS))
        evaluations.done(arn)
        (line,) = evaluations.lines(arn)
        assert line["modelResponses"] == [{"modelIdentifier": ARN + MODEL, "response": "Jupiter"}]


def test_a_worksheet_that_was_changed_in_the_bucket_fails_the_job(evaluations: Evaluations) -> None:
    """What came back could not be held against what went out."""
    arn = human(evaluations, [PLANET], "liked", models=(MODEL,))
    rows = exported(evaluations, arn)
    key = f"{evaluations.folder(arn)}/outcrop/worksheet.json"
    body = evaluations.files(arn)["outcrop/worksheet.json"].replace(b"Jupiter", b"Saturn.")
    evaluations.s3.put_object(Bucket=evaluations.bucket, Key=key, Body=body)
    hand_in(evaluations, arn, filled(rows, ANSWERS))
    job = evaluations.until(arn)
    assert job["status"] == "Failed"
    assert "worksheet.json was changed" in job["failureMessages"][0]


def test_supplied_answers_of_two_sources(evaluations: Evaluations) -> None:
    said = [{"response": text, "modelIdentifier": by} for by, text in (("old", "Saturn"), ("new", "Jupiter"))]
    sources = [{"precomputedInferenceSource": {"inferenceSourceIdentifier": name}} for name in ("old", "new")]
    arn = human(evaluations, [{**PLANET, "modelResponses": said}], "choice", inferenceConfig={"models": sources})
    (row,) = exported(evaluations, arn)
    hand_in(evaluations, arn, filled([row], {"choice": "1" if row["response 1"] == "Jupiter" else "2"}))
    evaluations.done(arn)
    people = evaluations.summary(arn)["people"]["choice"]
    assert {name: found["mean"] for name, found in people.items()} == {"new": 1.0, "old": 0.0}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"customMetrics": [{"name": "x", "ratingMethod": "Stars"}]}, "The ratingMethod Stars is not one of"),
        ({"customMetrics": [{"name": "x", "ratingMethod": "ComparisonChoice"}]}, "compares two models, and the job has one"),
        ({"customMetrics": []}, "customMetrics"),
        ({"humanWorkflowConfig": None}, "humanWorkflowConfig"),
    ],
)  # fmt: skip
def test_what_is_refused_at_once(evaluations: Evaluations, change: dict[str, Any], words: str) -> None:
    config: dict[str, Any] = {
        "humanWorkflowConfig": {"flowDefinitionArn": FLOW},
        "customMetrics": [{"name": "x", "ratingMethod": "ThumbsUpDown"}],
        "datasetMetricConfigs": [dataset("Custom", "s3://evaluations/in.jsonl", "x")],
        **change,
    }
    config = {name: value for name, value in config.items() if value is not None}
    with pytest.raises(Exception, match=words):
        evaluations.create({"human": config})
