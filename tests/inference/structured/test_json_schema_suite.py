"""Every schema of the JSON-Schema-Test-Suite is refused with a reason, or the model's answers fit it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from outcrop.engines.engine import InvalidRequest
from outcrop.errors import ValidationException
from outcrop.inference.structured_output import check_schema
from tests.conformance.shared import DATA, needs
from tests.inference.structured.house import House, finish_of, text_of
from tests.inference.structured.judging import fits

SUITE = DATA / "jsonschema" / "test-suite" / "tests"
DRAFTS = {
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft7": "http://json-schema.org/draft-07/schema#",
}
SEEDS = 2
TOKENS = 80

pytestmark = needs("jsonschema/test-suite")


def schemas(draft: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each with its name, as it comes out of a request's JSON."""
    for file in sorted((SUITE / draft).rglob("*.json")):
        for case in json.loads(file.read_text()):
            if isinstance(case["schema"], dict):
                schema = {"$schema": DRAFTS[draft], **case["schema"]}
                yield f"{file.stem}: {case['description']}", orjson.loads(json.dumps(schema))


def is_taken(schema: dict[str, Any]) -> bool:
    """By Bedrock's subset."""
    try:
        check_schema(schema, "schema")
    except ValidationException:
        return False
    return True


@pytest.mark.parametrize("draft", DRAFTS)
def test_an_answer_that_ends_by_itself_fits(house: House, draft: str) -> None:
    seen = Counter[str]()
    for name, schema in schemas(draft):
        taken = is_taken(schema)
        for seed in range(SEEDS if taken else 1):
            try:
                deltas = house.answer(schema, seed=seed, tokens=TOKENS)
            except InvalidRequest:
                seen[f"{taken} refused"] += 1
                break
            reason = finish_of(deltas).reason
            assert reason in ("stop", "length"), name
            if reason == "stop":
                assert fits(text_of(deltas), schema), (name, schema, text_of(deltas))
            seen[f"{taken} {reason}"] += 1
    # What Bedrock takes is enforced, but for schemas in languages of their own ($schema); and most answers are whole.
    assert seen["True refused"] <= 3
    assert seen["True stop"] > 3 * seen["True length"] > 0
    assert seen["False stop"] > 100
