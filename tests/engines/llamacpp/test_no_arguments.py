"""Tools without arguments, whose schemas are mostly written as objects that are open to everything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from outcrop.engines.engine import Tool, ToolChoice
from tests.inference.structured.house import House, calls_of, opened


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with opened(tmp_path_factory.mktemp("home")) as house:
        yield house


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {}, "required": [], "title": "now", "description": "The time"},
    ],
    ids=str,
)
def test_a_tool_that_names_no_arguments_is_called_without(house: House, schema: dict[str, Any]) -> None:
    deltas = house.tame("What is the time?", tools=(Tool("now", "The time", schema),), tool_choice=ToolChoice("any"))
    assert calls_of(deltas) == [("now", "{}")]


def test_a_tool_that_is_open_in_so_many_words_stays_open(house: House) -> None:
    schema = {"type": "object", "additionalProperties": {"type": "integer"}, "required": ["a"]}
    deltas = house.tame("What is the time?", tools=(Tool("now", "The time", schema),), tool_choice=ToolChoice("any"))
    ((name, text),) = calls_of(deltas)
    assert name == "now"
    assert text.startswith('{"a": ')
