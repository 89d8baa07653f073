"""The messages of Smithy's validation tests in AWS's own words, and patterns that are not to hang."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from outcrop.errors import ValidationException
from tests.conformance.shared import needs
from tests.conformance.smithy.not_applicable import REASONS
from tests.conformance.smithy.protocol_cases import Case, cases, http_request, operations

pytestmark = needs("restjson/smithy-restJson1")

CASES = [
    case
    for case in cases("httpMalformedRequestTests")
    if "contents" in case.test["response"].get("body", {}).get("assertion", {})
    and case.id.partition("[")[0] not in REASONS
]
_OURS = re.compile(r"1 validation error detected: Value( '(?P<shown>.*)')? at '(?P<place>.*?)' failed to (?P<rest>.*)")
_THEIRS = re.compile(r"Value(?: with length (?P<length>\d+))? at '.*?' failed to (?P<rest>.*)")
_BETWEEN = re.compile(r"must (have length|be) between (\S+) and (\S+), inclusive")


def steps(pointer: str) -> list[str | int]:
    return [int(step) if step.isdigit() else step for step in pointer.split("/")[1:]]


def dotted(pointer: str) -> str:
    """`/list/0` is `list.1.member` at AWS: positions count from 1."""
    return ".".join(f"{step + 1}.member" if isinstance(step, int) else step for step in steps(pointer))


def value_at(params: Any, pointer: str) -> Any:
    """What was sent there, None where nothing was."""
    for step in steps(pointer):
        params = params[step] if isinstance(step, int) else params.get(step)
    return params


def in_the_words_of_aws(text: str, size: float | None) -> str:
    """AWS names the bound that is broken where Smithy names both, and says of a number that it has a value."""
    both = _BETWEEN.search(text)
    if both is not None and size is not None:
        low = size < float(both[2])
        bound = f"must {both[1]} {'greater' if low else 'less'} than or equal to {both[2] if low else both[3]}"
        text = text.replace(both[0], bound)
    return text.replace("must be ", "must have value ")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_messages(case: Case) -> None:
    """One violation each: its place, its constraint, and the value that was sent unless it is sensitive."""
    operation = operations()[case.owner]
    params = operation.read(http_request(case.test["request"]), {})
    with pytest.raises(ValidationException) as refused:
        operation.check(params)
    ours = _OURS.fullmatch(refused.value.message)
    (field,) = json.loads(case.test["response"]["body"]["assertion"]["contents"])["fieldList"]
    theirs = _THEIRS.fullmatch(field["message"])
    assert theirs is not None, field["message"]
    assert ours is not None, refused.value.message
    value = value_at(params, field["path"])
    number = value if isinstance(value, int | float) else None
    size = number if theirs["length"] is None else float(theirs["length"])
    assert ours["place"] == dotted(field["path"])
    assert ours["rest"] == in_the_words_of_aws(theirs["rest"], size)
    if isinstance(value, str | int | float):
        assert ours["shown"] == (None if "Sensitive" in case.id else str(value))


def test_there_are_messages() -> None:
    assert len(CASES) == 107


# Names each pattern before it is tried, and "all" in the end. Each meets runs of what patterns repeat, ended by what none of them takes.
_ATTACK = r"""
import itertools, time
from outcrop.wire.model import SERVICES, load_model
from outcrop.wire.patterns import matcher
shapes = [shape for service in SERVICES for shape in load_model(service)["shapes"].values()]
starts = ("", "a", "arn:aws:bedrock:us-east-1:123456789012:model/", "arn:aws:iam::123456789012:role/", "s3://aaa", "https://a")
runs = ("a", "0", "A", "-", "_", ".", "/", ":", ",", " ", "a-", "a.", "a/", "a:", "a,", "a ")
for pattern in sorted({shape["pattern"] for shape in shapes if "pattern" in shape}):
    print(pattern, flush=True)
    for start, run in itertools.product(starts, runs):
        matcher(pattern)(start + (run * 40)[:40] + "\0!")
print("all")
"""


def test_no_pattern_of_bedrock_hangs() -> None:
    """In a process of its own, since a match that runs away cannot be stopped."""
    assert _last_line(_ATTACK, seconds=60) == "all"


def test_the_attack_would_be_seen() -> None:
    """Python's matcher does hang on the protocol's own evil pattern."""
    evil = "from outcrop.wire.patterns import matcher; print('first', flush=True)\n"
    evil += "matcher('^([0-9]+)+$')('0' * 80 + '!'); print('all')"
    assert _last_line(evil, seconds=2) == "first"


def _last_line(program: str, seconds: float) -> str:
    """What the program printed last before it ended or was stopped."""
    try:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=seconds, check=True)
        printed = done.stdout
    except subprocess.TimeoutExpired as late:
        printed = late.stdout or b""
    return printed.decode().splitlines()[-1]
