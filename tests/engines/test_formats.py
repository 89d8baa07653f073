"""What fits a format's pattern is of the format."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcrop.engines.formats import EXAMPLES, PATTERNS, UNENFORCED
from tests.conformance.shared import DATA, needs
from tests.inference.structured.judging import PARSERS

SUITE = DATA / "jsonschema" / "test-suite" / "tests"


@pytest.mark.parametrize("name", PATTERNS)
def test_what_fits_the_pattern_can_be_read(name: str) -> None:
    @given(st.from_regex(re.compile(PATTERNS[name], re.ASCII), fullmatch=True))
    @settings(max_examples=60, deadline=None)
    def holds(text: str) -> None:
        assert PARSERS[name](text) is not False

    holds()


@needs("jsonschema/test-suite")
@pytest.mark.parametrize("draft", ["draft2020-12", "draft7"])
def test_what_the_suite_calls_wrong_does_not_fit(draft: str) -> None:
    wrong = right = 0
    for file in sorted((SUITE / draft / "optional" / "format").glob("*.json")):
        pattern = PATTERNS.get(file.stem)
        for case in json.loads(file.read_text()) if pattern else []:
            for test in case["tests"]:
                if isinstance(test["data"], str):
                    fits = re.fullmatch(str(pattern), test["data"]) is not None
                    assert test["valid"] or not fits, (file.stem, test["data"])
                    right += fits
                    wrong += not test["valid"]
    assert wrong > 100
    assert right > 30


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_fit(name: str) -> None:
    assert re.fullmatch(PATTERNS[name], EXAMPLES[name])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("date", "2024-02-29"), ("date", "2000-02-29"), ("date-time", "1999-12-31T23:59:59.999999+02:00"),
        ("email", "jane.doe+tag@mail.example.co.uk"), ("uri", "https://example.com:8080/a/b%20c?q=1&r=[x#y".replace("[", "")),
        ("uri", "s3://bucket/key"), ("uri", "mailto:a@b.org"), ("uri", "urn:isbn:0451450523"), ("duration", "P1Y2M3DT4H5M6S"),
        ("duration", "P3W"), ("ipv6", "::1"), ("ipv6", "2001:db8::8a2e:370:7334"), ("ipv4", "255.255.255.255"),
    ],
)  # fmt: skip
def test_what_people_write_is_let_through(name: str, text: str) -> None:
    assert re.fullmatch(PATTERNS[name], text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("date", "2023-02-29"), ("date", "1900-02-29"), ("date", "2024-04-31"), ("date", "0000-01-01"), ("time", "12:00:00"),
        ("time", "24:00:00Z"), ("duration", "P"), ("duration", "PT"), ("duration", "P1Y2D"), ("ipv6", "1::2::3"), ("ipv4", "01.1.1.1"),
        ("hostname", "-a.org"), ("hostname", "xn--X"), ("email", "a@b@c.org"), ("uri", "no scheme"),
    ],
)  # fmt: skip
def test_what_is_nearly_right_is_not_let_through(name: str, text: str) -> None:
    assert not re.fullmatch(PATTERNS[name], text)


def test_every_format_of_json_schema_is_known() -> None:
    assert not set(UNENFORCED) & set(PATTERNS)
    assert len(UNENFORCED) + len(PATTERNS) == 19
