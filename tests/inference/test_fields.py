"""additionalModelRequestFields, response field paths, and members that are only told back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from outcrop.engines.engine import Finish, TextDelta, Usage
from outcrop.errors import AwsError
from outcrop.inference.operations import converse, converse_stream
from tests.inference.bench import Bench, user


@pytest.mark.parametrize(
    "fields", [{"top_k": 7}, {"topK": 7}, {"inferenceConfig": {"topK": 7}}, {"top_k": 7, "seed": None}]
)
def test_top_k_in_every_spelling(bench: Bench, fields: dict[str, Any]) -> None:
    bench.call(converse, messages=[user("Hi")], additionalModelRequestFields=fields)
    assert (bench.asked.sampling.top_k, bench.asked.sampling.seed) == (7, None)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([], "is invalid. Provide a json object"),
        ({"logit_bias": {}}, "The model returned the following errors: .*extraneous key \\[logit_bias\\]"),
        ({"inferenceConfig": 3}, "extraneous key \\[inferenceConfig\\]"),
        ({"inferenceConfig": {"maxTokens": 3}}, "extraneous key \\[maxTokens\\]"),
        ({"top_k": 501}, "#/top_k: 501 is not less or equal to 500"),
        ({"top_k": True}, "expected type: Integer, found: Boolean"),
        ({"top_k": "1", "seed": -1}, "2 schema violations found"),
        ({"frequency_penalty": 2.5}, "not less or equal"),
        ({"output_config": 1}, "#/output_config: expected type: JSONObject, found: Integer"),
        ({"output_config": {"speed": 1}}, "#/output_config: extraneous key \\[speed\\]"),
        ({"output_config": {"effort": "low"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "regex"}}}, "output_config.format.type"),
        ({"thinking": True}, "thinking.type"),
        ({"thinking": {"type": "maybe"}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "budget_tokens: Field required"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1023}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "`max_tokens` must be greater"),
    ],
)
def test_what_the_model_does_not_know_is_refused(bench: Bench, fields: Any, words: str) -> None:
    with pytest.raises(AwsError, match=words) as caught:
        bench.call(
            converse, messages=[user("Hi")], inferenceConfig={"maxTokens": 2000}, additionalModelRequestFields=fields
        )
    assert caught.value.code == "ValidationException"
    assert bench.engine.asked == []


def test_a_schema_in_claudes_own_words(bench: Bench) -> None:
    """As clients ask that know `output_config` and not Converse's outputConfig."""
    fields = {"output_config": {"format": {"type": "json_schema", "schema": {"type": "string"}}}}
    bench.call(converse, messages=[user("Hi")], additionalModelRequestFields=fields)
    assert bench.asked.json_schema == {"type": "string"}
    both = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{}"}}}}
    with pytest.raises(AwsError, match="two names of one thing"):
        bench.call(converse, messages=[user("Hi")], additionalModelRequestFields=fields, outputConfig=both)


@pytest.mark.parametrize("path", ["stop", "/a~2", "/a~", "#/a", "a/b"])
def test_a_path_that_is_no_pointer_is_refused(bench: Bench, path: str) -> None:
    for operation in (converse, converse_stream):
        with pytest.raises(AwsError, match=r"additionalModelResponseFieldPaths\.1 is not a valid JSON Pointer"):
            bench.call(operation, messages=[user("Hi")], additionalModelResponseFieldPaths=["/a", path])
    assert bench.engine.asked == []


def test_what_the_paths_find(bench: Bench) -> None:
    bench.engine.deltas = [TextDelta("x"), Finish("stop", Usage(1, 1))]
    paths = ["/stop_sequence", "/stop_reason", "/stop_reason/0", "/content", "/a~1b"]
    answer = bench.call(converse, messages=[user("Hi")], additionalModelResponseFieldPaths=paths)
    assert answer["additionalModelResponseFields"] == {"stop_sequence": None, "stop_reason": "end_turn"}
    answer = bench.call(converse, messages=[user("Hi")], additionalModelResponseFieldPaths=["/nowhere"])
    assert "additionalModelResponseFields" not in answer


def test_request_metadata_changes_nothing(bench: Bench) -> None:
    plain = bench.call(converse, messages=[user("Hi")])
    told = bench.call(converse, messages=[user("Hi")], requestMetadata={"team": "blue"})
    assert plain.keys() == told.keys()
    assert bench.engine.asked[0] == bench.engine.asked[1]


def test_thinking_is_for_models_that_reason(bench: Bench) -> None:
    on = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    bench.call(converse, messages=[user("Hi")], additionalModelRequestFields=on)


def test_models_that_do_not_reason_refuse_thinking(bench: Bench) -> None:
    bench.engine.able = replace(bench.engine.able, reasoning=False)
    bench.call(converse, messages=[user("Hi")], additionalModelRequestFields={"thinking": {"type": "disabled"}})
    with pytest.raises(AwsError, match="doesn't support extended thinking"):
        bench.call(converse, messages=[user("Hi")], additionalModelRequestFields={"thinking": {"type": "adaptive"}})
