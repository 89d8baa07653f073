"""The Markdown: every table with its intervals, and nothing in it that a model could make markup of."""

from __future__ import annotations

import re

import pytest

from outcrop.evaluation.report.published import NOT_MEASURED, PUBLISHED, Published, beside
from outcrop.evaluation.report.tables import all_tables, by_group, overview, pairs, settings
from outcrop.evaluation.report.text import escaped, markdown
from outcrop.evaluation.results import Results, scores
from outcrop.evaluation.suites import SUITES
from tests.evaluation.report.made import MODELS, made, run


def test_a_local_and_a_cloud_model_stand_in_one_table_with_what_others_published() -> None:
    results = made(items=60)
    table = overview(results)
    assert [row[0] for row in table.rows[:3]] == list(MODELS)
    score = next(one for one in scores(results) if one.suite == "mmlu" and one.model.startswith("house"))
    assert table.rows[0][1] == f"{100 * score.mean:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"
    assert all(NOT_MEASURED in table.rows[place][0] for place in table.aside)
    assert len(table.aside) == len({one.model for one in beside(results)}) == len(table.rows) - 3


def test_markdown_has_a_table_for_each() -> None:
    results = made(items=60)
    text = markdown(results)
    for table in all_tables(results):
        assert f"## {escaped(table.title)}\n" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) >= 4, line
    assert "The server answered 503." in text
    assert "MMLU: 5-shot, no chain of thought." in text
    assert "network: namespace" in text


def test_the_settings_say_what_answered() -> None:
    table = settings(made(items=2))
    assert table.columns[-1] == "Answered by"
    assert [row[-1] for row in table.rows[:2]] == ["llamacpp house (local, llama.cpp).gguf", "–"]
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_a_name_with_markup_stays_a_name() -> None:
    text = markdown(made(items=2, models={"a|b\n<img src=x> [x](javascript:y)": 0.5}))
    row = next(line for line in text.splitlines() if line.startswith("| a\\|b"))
    assert row.startswith(r"| a\|b \<img src=x\> \[x\](javascript:y) |")


def test_pairs_say_by_how_much_and_how_surely() -> None:
    table = pairs(made(items=60))
    assert table is not None
    assert len(table.rows) == 9
    assert table.rows[0][2:4] == ("anthropic.claude (Bedrock upstream)", "house (local, llama.cpp)")
    assert re.fullmatch(r"\+26\.7 \[\+\d+\.\d, \+\d+\.\d\]", table.rows[0][4])
    assert [row[7] for row in table.rows[:3]] == ["better", "better", "no difference shown"]
    assert pairs(made(items=3, models={"alone": 0.5})) is None


def test_groups_are_only_there_where_a_suite_has_them() -> None:
    results = made(items=22)
    languages = by_group(results, "mgsm")
    assert languages is not None
    assert [row[0] for row in languages.rows] == ["bn", "de", "en", "es", "fr", "ja", "ru", "sw", "te", "th", "zh"]
    assert by_group(results, "humaneval") is None


def test_models_that_were_asked_differently_are_marked() -> None:
    results = made(items=2, models={"a": 0.5, "b": 0.5})
    other = Results([*results.runs[:-1], run("b", "humaneval", 2, temperature=0.7)], results.records)
    assert "**The models were not asked humaneval in the same way" in markdown(other)


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: f"{one.model}-{one.suite}")
def test_what_others_published_is_of_a_suite_that_there_is(one: Published) -> None:
    assert one.suite in SUITES
    assert 0 < one.score < 100
    assert one.source.startswith("https://")
