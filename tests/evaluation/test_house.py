"""Outcrop's own suite: right answers get 100 %, wrong ones 0 %, and its script makes the engine `scripted` a reference."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from outcrop.cli import main
from outcrop.evaluation.item import EvaluationError, Item, Options
from outcrop.evaluation.results import Results, scores
from outcrop.evaluation.suites import SUITES, chosen
from outcrop.evaluation.suites.house import ANSWER_TOKENS, ASKED, EACH, HOUSE, answer
from outcrop.training.generators import CLOSED, FAMILIES, held_out_examples, is_held_out
from tests.evaluation.oracle import results_of


def items_of(*families: str) -> list[Item]:
    return HOUSE.load(Path("nowhere"), Options(groups=families))


def test_it_asks_what_was_held_out_and_the_same_each_time() -> None:
    items = items_of()
    assert items == items_of()
    assert len({item.id for item in items}) == len(items) == EACH * len(ASKED)
    assert {item.group for item in items} == set(FAMILIES) - CLOSED - {"tools", "tool-results"}
    examples = {
        tuple(turn["content"] for turn in one.messages): one for name in ASKED for one in held_out_examples(name, EACH)
    }
    for item in items:
        said = (*(turn.text for turn in item.prompt.turns), answer(item))
        assert is_held_out(examples[said])
        assert item.prompt.turns[-1].role == "user"
        assert item.prompt.max_tokens == ANSWER_TOKENS


def test_one_family_by_itself() -> None:
    assert {item.group for item in items_of("lists")} == {"lists"}
    with pytest.raises(EvaluationError, match=r"The families are .* and not tools\."):
        items_of("tools")
    with pytest.raises(EvaluationError, match="5 examples are wanted"):
        HOUSE.load(Path("nowhere"), Options(shots=5))


def test_it_is_meant_by_its_name_alone() -> None:
    assert chosen(["house"]) == [HOUSE]
    assert HOUSE not in chosen(["instructions"])
    assert HOUSE is SUITES["house"]


@pytest.mark.parametrize("family", ASKED)
def test_right_and_wrong_answers(family: str) -> None:
    items = items_of(family)[:12]
    right = results_of(HOUSE, items, answer)
    wrong = results_of(HOUSE, items, lambda item: f"{answer(item)}?!")
    nothing = results_of(HOUSE, items, lambda item: "")
    assert means(right) == {1.0}
    # Arithmetic looks for the result behind the working, whatever stands around it.
    assert means(wrong) == {1.0 if family == "arithmetic" else 0.0}
    assert means(nothing) == {0.0}
    assert {record.extracted for record in nothing.records} == {None}


def means(results: Results) -> set[float]:
    return {score.mean for score in scores(results)}


def test_code_is_run_and_not_read() -> None:
    items = items_of("code")[:6]
    other = results_of(HOUSE, items, lambda item: f"# another way\n{answer(item)}\n")
    broken = results_of(HOUSE, items, lambda item: answer(item).replace("return", "return not"))
    assert means(other) == {1.0}
    assert means(broken) == {0.0}
    assert all(run.sandbox for run in other.runs)


def test_the_generators_need_no_torch() -> None:
    program = "import sys, outcrop.evaluation.suites; print(sorted({'torch', 'numpy', 'tokenizers', 'gguf'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_a_scripted_reference_gets_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTCROP_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "reference.json"
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f'house_model = false\n[[models]]\nid = "reference"\nengine = "scripted"\nscript = "{script}"\n'
        f'[[models]]\nid = "echo"\nengine = "scripted"\n'
    )
    monkeypatch.setenv("OUTCROP_SETTINGS", str(settings))
    said = CliRunner().invoke(main, ["evaluate", "right-answers", str(script)])
    assert said.output == f"{EACH * len(ASKED)} answers are in {script}\n"
    arguments = ["evaluate", "reference", "echo", "--suite", "house", "--limit", "120", "--out", "out"]
    said = CliRunner().invoke(main, arguments)
    assert said.exit_code == 0, said.output
    found = {score.model: score.mean for score in scores(Results.read(tmp_path / "out"))}
    assert found["reference"] == 1.0
    # A prompt may hold its own answer, but seldom alone.
    assert found["echo"] < 0.1
    assert "scripted reference.json" in (tmp_path / "out" / "summary.md").read_text().replace("\\", "")


def test_suites_whose_items_hold_no_answers_have_no_script(tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["evaluate", "right-answers", str(tmp_path / "x.json"), "--suite", "humaneval"])
    assert said.exit_code == 1
    assert "humaneval do not hold answers" in said.output
    assert not (tmp_path / "x.json").exists()


def test_the_list_says_that_it_is_generated() -> None:
    said = CliRunner().invoke(main, ["evaluate", "suites"]).output
    assert next(line for line in said.splitlines() if line.startswith("house")).endswith("generated")


def test_records_for_training_are_never_held_out() -> None:
    arguments = [sys.executable, "-m", "outcrop.training.generators", "instructions", "lists", "--count", "400"]
    lines = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.splitlines()
    again = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines == again
    assert len(lines) == 400
    asked = {tuple(turn.text for turn in item.prompt.turns) for item in items_of("instructions", "lists")}
    for record in map(json.loads, lines):
        texts = [part["text"] for part in record.get("system", [])]
        texts += [turn["content"][0]["text"] for turn in record["messages"]]
        assert tuple(texts[:-1]) not in asked
        assert [turn["role"] for turn in record["messages"]] == ["user", "assistant"]
