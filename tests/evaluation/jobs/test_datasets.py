"""Built-in datasets of the operator, benchmarks, an embedding model that is not there, and the house model itself."""

from __future__ import annotations

import json
from pathlib import Path

from tests.evaluation.jobs.evaluations import MODEL, Evaluations, automated, connect, model, scores, settings
from tests.live import serve

ACCURACY = "Builtin.Accuracy"
HOUSE = "outcrop.house-nano-v1:0"


def built_in(task: str, name: str) -> dict[str, object]:
    return automated({"taskType": task, "dataset": {"name": name}, "metricNames": [ACCURACY]})


def operators(folder: Path) -> str:
    """Settings with folders of data: more lines of BoolQ than are asked, and two problems of GSM8K."""
    (folder / "sets").mkdir()
    lines = [
        {"prompt": f"Question {n}: which is the largest planet?", "referenceResponse": "Jupiter"} for n in range(150)
    ]
    (folder / "sets" / "BoolQ.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    benchmark = folder / "benchmarks" / "gsm8k"
    benchmark.mkdir(parents=True)
    problems = [
        {"question": "Say four and forget the planet.", "answer": "It is 4.\n#### 4"},
        {"question": "Which number?", "answer": "It is 7.\n#### 7"},
    ]
    (benchmark / "test.jsonl").write_text("".join(json.dumps(one) + "\n" for one in problems))
    return settings(folder, f'datasets = "{folder}/sets"\ndata = "{folder}/benchmarks"\n')


def test_sets_that_the_operator_has(tmp_path: Path) -> None:
    text = operators(tmp_path)
    rules = {
        "rules": [
            {"contains": "Say four and", "text": "The answer is 4."},
            {"contains": "largest planet", "text": "Jupiter"},
        ]
    }
    (tmp_path / "script.json").write_text(json.dumps(rules))
    with serve(tmp_path / "home", settings=text) as server:
        evaluations = connect(server)
        arn = evaluations.create(built_in("QuestionAndAnswer", "Builtin.BoolQ"))
        evaluations.done(arn)
        lines = evaluations.lines(arn)
        prompts = [line["inputRecord"]["prompt"] for line in lines]
        # A hundred of them, in their order.
        assert len(set(prompts)) == 100
        assert prompts == sorted(prompts, key=lambda text: int(text.split()[1][:-1]))
        assert evaluations.figures(arn)[ACCURACY]["mean"] == 1.0
        _benchmark(evaluations)


def _benchmark(evaluations: Evaluations) -> None:
    """Asked with its own examples, and scored by its own rules."""
    arn = evaluations.create(built_in("Custom", "Outcrop.GSM8K"))
    evaluations.done(arn)
    first, second = evaluations.lines(arn)
    assert (scores(first), scores(second)) == ({"Accuracy": 1.0}, {"Accuracy": 0.0})
    record = json.loads(evaluations.files(arn)["outcrop/records.jsonl"].splitlines()[0])
    assert record["scores"][0]["extracted"] == "4"
    (path,) = [path for path in evaluations.files(arn) if path.endswith("_output.jsonl")]
    assert f"models/{MODEL}/taskTypes/Custom/datasets/Outcrop.GSM8K/" in path


def test_an_embedding_model_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with serve(tmp_path / "home", settings=settings(tmp_path)) as server:
        evaluations = connect(server)
        line = {"prompt": "Which is the largest planet?", "referenceResponse": "Jupiter"}
        arn = evaluations.automated([line], "Summarization", ACCURACY)
        evaluations.done(arn)
        figures = evaluations.figures(arn)[ACCURACY]
        assert ("mean" in figures, figures["absent"]) == (False, 1)
        assert "[evaluation] embedding_model" in next(iter(figures["whyAbsent"]))


def test_a_data_folder_that_is_broken_fails_the_job(tmp_path: Path) -> None:
    text = operators(tmp_path)
    (tmp_path / "sets" / "BoolQ.jsonl").write_text('{"question": "x"}\n')
    with serve(tmp_path / "home", settings=text) as server:
        evaluations = connect(server)
        job = evaluations.until(evaluations.create(built_in("QuestionAndAnswer", "Builtin.BoolQ")))
        assert job["failureMessages"] == ["Builtin.BoolQ line 1: Object missing required field `prompt`"]


def test_the_house_model_twice(tmp_path: Path) -> None:
    """A real engine at temperature 0, on two servers with nothing kept between them: the same answers and scores."""
    lines = [
        {"prompt": "What is 2 + 3?", "referenceResponse": "5"},
        {"prompt": "Write the word banana backwards.", "referenceResponse": "ananab"},
        {"prompt": "Hello", "referenceResponse": "Hello"},
    ]
    written = []
    for at in range(2):
        with serve(tmp_path / f"home-{at}") as server:
            evaluations = connect(server)
            params = '{"inferenceConfig": {"maxTokens": 16}}'
            arn = evaluations.automated(
                lines, "QuestionAndAnswer", ACCURACY, "Builtin.Robustness",
                inferenceConfig={"models": [model(HOUSE, inferenceParams=params)]}, jobName="the-same",
            )  # fmt: skip
            assert evaluations.until(arn, seconds=120)["status"] == "Completed"
            assert len(evaluations.lines(arn)) == 3
            written.append(evaluations.files(arn)["outcrop/records.jsonl"])
    assert written[0] == written[1]
    assert written[0].count(b'"failure":null') == 3
