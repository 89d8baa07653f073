"""What an upstream said of a request: its class is kept, and nothing of what it said about the operator is told."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from outcrop.engines.engine import TextDelta, Upstream
from outcrop.errors import AwsError
from outcrop.inference.operations import converse, converse_stream
from tests.inference.bench import Bench, user


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("invalid", "ValidationException"),
        ("denied", "AccessDeniedException"),
        ("missing", "ResourceNotFoundException"),
        ("not_ready", "ModelNotReadyException"),
        ("unavailable", "ServiceUnavailableException"),
        ("internal", "InternalServerException"),
    ],
)
def test_the_class_before_the_answer(bench: Bench, kind: Any, code: str) -> None:
    bench.engine.deltas = [Upstream(kind, "Their words.")]
    for operation in (converse, converse_stream):
        with pytest.raises(AwsError) as caught:
            bench.call(operation, messages=[user("Hi")])
        assert (caught.value.code, caught.value.message) == (code, "Their words.")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("invalid", "ValidationException"),
        ("unavailable", "ServiceUnavailableException"),
        ("internal", "InternalServerException"),
        ("denied", "ModelStreamErrorException"),
        ("not_ready", "ModelStreamErrorException"),
    ],
)
def test_the_class_within_the_answer(bench: Bench, kind: Any, code: str) -> None:
    """A stream has no member for some of them."""
    bench.engine.deltas = [TextDelta("a"), Upstream(kind, "Their words.", status=403)]
    with pytest.raises(AwsError) as caught:
        bench.stream(converse_stream, messages=[user("Hi")])
    assert (caught.value.code, caught.value.message) == (code, "Their words.")


def test_what_is_said_of_the_operator_is_for_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.engine.deltas = [Upstream("denied", "It refused us.", detail="User arn:aws:iam::1:user/op is not authorized")]
    with caplog.at_level(logging.ERROR, "outcrop.inference"), pytest.raises(AwsError) as caught:
        bench.call(converse, messages=[user("Hi")])
    assert caught.value.message == "It refused us."
    assert "user/op is not authorized" in caplog.text
