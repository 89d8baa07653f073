"""`outcrop evaluate`, as a person calls it."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from outcrop.cli import main
from outcrop.evaluation.models import specs_of
from outcrop.evaluation.results import Results
from outcrop.models.specs import house_path
from outcrop.settings import load
from tests.evaluation.benchmarks import BENCHMARKS, write_gpqa, write_ifeval, write_mmlu_pro
from tests.live import clean_environment

RULES = {
    "good": [{"contains": "What comes after 7?", "text": "The answer is (H)."}, {"text": "So the answer is (A)."}],
    "bad": [{"text": "The answer is (J)."}],
    "slow": [{"text": "The answer is (A).", "first_delay_ms": 100}],
    "broken": [{"error": {"kind": "invalid", "message": "Not today."}}],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With models that answer as the rules say."""
    folder = tmp_path / "home"
    folder.mkdir()
    settings = ["house_model = false\n"]
    for name, rules in RULES.items():
        script = folder / f"{name}.json"
        script.write_text(json.dumps({"rules": rules}))
        settings.append(f'[[models]]\nid = "test.{name}-v1:0"\nengine = "scripted"\nscript = "{script}"\n')
    (folder / "settings.toml").write_text("".join(settings))
    monkeypatch.setenv("OUTCROP_HOME", str(folder))
    monkeypatch.delenv("OUTCROP_SETTINGS", raising=False)
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data" / "mmlu-pro"
    data.mkdir(parents=True)
    write_mmlu_pro(data)
    return folder


def evaluate(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *arguments])


def said(result: Result) -> str:
    """Without the folding that fits a terminal."""
    return " ".join(result.output.split())


def test_two_models_and_what_is_left_of_them(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = evaluate(
        "test.good-v1:0",
        "test.bad-v1:0",
        "--suite",
        "mmlu-pro",
        "--data",
        "data",
        "--out",
        str(out),
        "--temperature",
        "0",
    )
    assert result.exit_code == 0, result.output
    # A is right for 4 of 40, J for 4, and one more is known.
    assert "12.5" in result.output
    assert "10.0" in result.output
    assert "no difference shown" in said(result)
    results = Results.read(out)
    assert len(results.records) == 80
    (run, _) = results.runs
    assert (run.model, run.items, run.temperature, run.seed, run.shots, run.samples) == (
        "test.good-v1:0",
        40,
        0.0,
        0,
        5,
        1,
    )
    assert {path.name for path in out.iterdir()} >= {"runs.json", "records.jsonl", "summary.md"}
    summary = (out / "summary.md").read_text()
    for text in ("12.5", "5-shot chain of thought", "Temperature", "Seed", "Wang et al.", "Output tokens"):
        assert text in summary


def test_again_it_asks_nothing(home: Path, tmp_path: Path) -> None:
    arguments = ("run", "test.good-v1:0", "--suite", "mmlu-pro", "--data", "data", "--limit", "10")
    for name in ("one", "two"):
        assert evaluate(*arguments, "--out", name).exit_code == 0
    one, two = Results.read(tmp_path / "one"), Results.read(tmp_path / "two")
    assert [record.cached for record in one.records] == [False] * 10
    assert [record.cached for record in two.records] == [True] * 10
    assert [record.answer for record in one.records] == [record.answer for record in two.records]


def test_a_stopped_run_goes_on(home: Path, tmp_path: Path) -> None:
    arguments = ["test.slow-v1:0", "--suite", "mmlu-pro", "--data", "data", "--out", "out", "--samples", "200"]
    process = subprocess.Popen(
        [sys.executable, "-m", "outcrop", "evaluate", *arguments],
        env=clean_environment(home), cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while kept(home) < 8:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said_last = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped. The same command goes on where this one was" in said_last
    assert not (tmp_path / "out").exists()
    before = kept(home)
    assert 8 <= before < 8000
    assert evaluate(*arguments[:-1], "1").exit_code == 0
    records = Results.read(tmp_path / "out").records
    # Sample 0 of an item is asked before its others, so these are among the kept ones.
    assert sum(record.cached for record in records) >= 1
    assert kept(home) == before + sum(not record.cached for record in records)


def kept(home: Path) -> int:
    """Answers that are in the cache."""
    path = home / "evaluations" / "answers.sqlite3"
    if not path.exists():
        return 0
    database = sqlite3.connect(path)
    try:
        return int(database.execute("SELECT count(*) FROM answers").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        database.close()


def test_suites_and_their_data(home: Path) -> None:
    lines = {line.split()[0]: line for line in evaluate("suites").output.splitlines()}
    assert set(lines) == {
        "mmlu",
        "mmlu-pro",
        "gpqa-diamond",
        "gpqa-main",
        "gpqa-extended",
        "gsm8k",
        "mgsm",
        "humaneval",
        "mbpp",
        "ifeval",
        "house",
    }
    assert lines["gsm8k"].endswith("fetched when it is asked")
    assert str(home / "benchmarks" / "gpqa-diamond") in lines["gpqa-diamond"]
    (home / "benchmarks" / "gpqa-diamond").mkdir(parents=True)
    write_gpqa(home / "benchmarks" / "gpqa-diamond", count=2)
    assert evaluate("suites").output.splitlines()[2].endswith(" there")
    assert evaluate("test.bad-v1:0", "--suite", "gpqa-diamond", "--out", "out").exit_code == 0


def test_help_names_both_commands() -> None:
    assert "compare" in said(evaluate("--help"))
    assert "--languages" in said(evaluate("run", "--help"))
    assert evaluate().exit_code != 0


def test_compare_folders(home: Path, tmp_path: Path) -> None:
    for model in ("good", "bad"):
        assert evaluate(f"test.{model}-v1:0", "--suite", "mmlu-pro", "--data", "data", "--out", model).exit_code == 0
    result = evaluate("compare", "good", "bad", "--out", "both")
    assert result.exit_code == 0, result.output
    assert "test.bad-v1:0" in result.output
    assert "-2.5" in result.output
    assert len(Results.read(tmp_path / "both").runs) == 2
    assert "two are needed" in said(evaluate("compare", "good"))
    # The same model twice is two: by their folders.
    assert (
        evaluate("test.good-v1:0", "--suite", "mmlu-pro", "--data", "data", "--seed", "3", "--out", "later").exit_code
        == 0
    )
    twice = evaluate("compare", "good", "later")
    assert "test.good-v1:0 (good)" in said(twice)
    assert "not asked mmlu-pro in the same way" in said(twice)
    arguments = ("test.good-v1:0", "--suite", "mmlu-pro", "--data", "data", "--subjects", "physics", "--out", "part")
    assert evaluate(*arguments).exit_code == 0
    assert "not asked mmlu-pro in the same way" in said(evaluate("compare", "good", "part"))
    (tmp_path / "empty").mkdir()
    assert "empty holds no results of an evaluation" in said(evaluate("compare", "good", "empty"))


def test_a_model_that_answers_nothing_is_an_error_with_a_result(home: Path, tmp_path: Path) -> None:
    result = evaluate("test.broken-v1:0", "--suite", "mmlu-pro", "--data", "data", "--limit", "3", "--out", "out")
    assert result.exit_code == 1
    assert "test.broken-v1:0 gave no answer to any item of mmlu-pro: InvalidRequest: Not today." in said(result)
    assert [record.failure for record in Results.read(tmp_path / "out").records] == ["InvalidRequest: Not today."] * 3


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody", "--suite", "mmlu-pro"], "nobody is no model of the settings, no file and no URL."),
        (["test.good-v1:0", "--suite", "mmmlu"], "There is no suite mmmlu."),
        (["test.good-v1:0", "test.good-v1:0", "--suite", "mmlu-pro"], "A model is named twice."),
        (["http://127.0.0.1:9/v1", "--suite", "mmlu-pro"], "does not say which model: http://127.0.0.1:9/v1#NAME"),
        (["test.good-v1:0", "--suite", "mmlu-pro", "--shots", "6"], "MMLU-Pro: 6 examples are wanted"),
        (["test.good-v1:0", "--suite", "mmlu-pro", "--languages", "de"], "--languages says nothing to mmlu-pro."),
        (["test.good-v1:0", "--suite", "mmlu-pro", "--subjects", "alchemy"], "no item of alchemy"),
        (["test.good-v1:0", "--suite", "gpqa-diamond"], "GPQA diamond: data holds no gpqa_diamond.csv."),
        (["test.good-v1:0"], "Missing option '--suite'"),
        (["--suite", "mmlu-pro"], "Missing argument 'MODEL...'"),
        (["test.good-v1:0", "--suite", "mmlu-pro", "--limit", "0"], "Invalid value for '--limit'"),
        (["test.good-v1:0", "--suite", "mmlu-pro", "--data", "nowhere"], "Invalid value for '--data'"),
        (["data", "--suite", "mmlu-pro"], "data does not start: "),
    ],
)  # fmt: skip
def test_bad_input(home: Path, arguments: list[str], sentence: str) -> None:
    data = [] if "--data" in arguments else ["--data", "data"]
    result = evaluate(*arguments, *data)
    assert result.exit_code != 0
    assert sentence in said(result)
    assert "Traceback" not in result.output


def test_results_are_not_written_over(home: Path, tmp_path: Path) -> None:
    arguments = ("test.good-v1:0", "--suite", "mmlu-pro", "--data", "data", "--limit", "2", "--out", "out")
    assert evaluate(*arguments).exit_code == 0
    assert "out holds results already" in said(evaluate(*arguments))
    assert evaluate(*arguments, "--yes").exit_code == 0


def test_data_that_would_have_to_be_fetched(home: Path) -> None:
    result = evaluate("test.good-v1:0", "--suite", "gsm8k")
    assert result.exit_code == 1
    assert "Fetch it from raw.githubusercontent.com with --yes, or name its folder with --data." in said(result)
    (home / "settings.toml").write_text('network = "none"\n' + (home / "settings.toml").read_text())
    assert 'network is "none" in the settings' in said(evaluate("test.good-v1:0", "--suite", "gsm8k", "--yes"))
    elsewhere = evaluate("http://models.example/v1#m", "--suite", "mmlu-pro", "--data", "data")
    assert "models.example/v1 is not on this machine" in said(elsewhere)


def test_several_suites_in_one_folder_of_data(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("langdetect")
    write_gpqa(tmp_path / "data", count=4)
    (tmp_path / "data" / "ifeval").mkdir()
    write_ifeval(tmp_path / "data" / "ifeval")
    result = evaluate(
        "test.bad-v1:0", "--suite", "reasoning,instructions", "--data", "data", "--samples", "2", "--out", "out"
    )
    assert result.exit_code == 0, result.output
    runs = Results.read(tmp_path / "out").runs
    assert [(run.suite, run.items, run.samples) for run in runs] == [
        ("mmlu-pro", 40, 2),
        ("gpqa-diamond", 4, 2),
        ("ifeval", 2, 2),
    ]


@pytest.fixture
def server() -> Iterator[str]:
    """An OpenAI-compatible one, which answers every question in the same way."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, {"object": "list", "data": [{"id": "tiny", "object": "model"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            chunks = [
                {"choices": [{"index": 0, "delta": {"content": f"The answer is ({'H' if body['model'] == 'tiny' else 'X'})."}}]},
                {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                 "usage": {"prompt_tokens": 9, "completion_tokens": 5}},
            ]  # fmt: skip
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for chunk in chunks:
                self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            self.wfile.write(b"data: [DONE]\n\n")

        def _say(self, status: int, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}/v1"
    listening.shutdown()
    thread.join()
    listening.server_close()


def test_a_model_of_an_openai_compatible_server(home: Path, server: str, tmp_path: Path) -> None:
    result = evaluate(f"{server}#tiny", "test.bad-v1:0", "--suite", "mmlu-pro", "--data", "data", "--out", "out")
    assert result.exit_code == 0, result.output
    results = Results.read(tmp_path / "out")
    assert results.models() == ["tiny", "test.bad-v1:0"]
    tiny = results.of("tiny", "mmlu-pro")
    assert {record.extracted for record in tiny} == {"H"}
    assert [run.engine for run in results.runs] == [f"openai {server} tiny", "scripted bad.json"]
    assert {(record.input_tokens, record.output_tokens) for record in tiny} == {(9, 5)}


def test_the_house_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real engine: the same job twice, with nothing kept between them, gives the same answers."""
    if not (BENCHMARKS / "gsm8k").is_dir():
        pytest.skip(f"gsm8k is not in {BENCHMARKS}; set OUTCROP_SHARED to the folder that holds it.")
    monkeypatch.chdir(tmp_path)
    # By its id, and by its file.
    for name, model in (("one", "outcrop.house-nano-v1:0"), ("two", str(house_path()))):
        monkeypatch.setenv("OUTCROP_HOME", str(tmp_path / f"home-{name}"))
        result = evaluate(
            model, "--suite", "gsm8k", "--data", str(BENCHMARKS), "--limit", "6", "--shots", "1",
            "--max-tokens", "24", "--out", name,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
    one, two = Results.read(tmp_path / "one"), Results.read(tmp_path / "two")
    assert not any(record.cached for record in two.records)
    assert [record.answer for record in one.records] == [record.answer for record in two.records]
    assert all(record.output_tokens > 0 for record in one.records)
    assert two.models() == ["house-nano-v1"]
    assert two.runs[0].engine == "llamacpp house-nano-v1.gguf"


def test_names_of_models(home: Path, tmp_path: Path) -> None:
    settings = load(home / "settings.toml")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.gguf").write_bytes(b"")
    first, second = specs_of(["a/m.gguf", "b/m.gguf"], settings)
    assert (first.id, second.id) == ("a/m.gguf", "b/m.gguf")
    assert first.path == str(tmp_path / "a" / "m.gguf")
    alone, elsewhere, known = specs_of(["a/m.gguf", "http://127.0.0.1:9/v1#n", "test.good-v1:0"], settings)
    assert (alone.id, elsewhere.id, known.id) == ("m", "n", "test.good-v1:0")
    assert (elsewhere.engine, elsewhere.url, elsewhere.model) == ("openai", "http://127.0.0.1:9/v1", "n")
