"""JSONTestSuite, read as the bodies of requests are: what must be rejected is the caller's fault, never ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from outcrop.errors import SerializationException
from outcrop.request import HttpRequest
from outcrop.wire.model import digest
from tests.conformance.shared import DATA, needs

FOLDER = DATA / "json" / "JSONTestSuite" / "test_parsing"
MUST = sorted(FOLDER.glob("y_*.json"))
# No text at all is no JSON, but it is a request without a body, which HTTP allows: it is read as nothing.
NO_BODY = "n_structure_no_data"
MUST_NOT = sorted(FOLDER.glob("n_*.json"))
MAY = sorted(FOLDER.glob("i_*.json"))

pytestmark = needs("json")

# An operation whose body is any document at all.
MODEL = {
    "shapes": {
        "In": {"type": "structure", "members": {"document": {"shape": "Any"}}, "payload": "document"},
        "Any": {"type": "structure", "members": {}, "document": True},
    },
    "operations": {"Put": {"name": "Put", "http": {"method": "PUT", "requestUri": "/"}, "input": {"shape": "In"}}},
}
PUT = digest("json-suite", MODEL)["json-suite", "Put"]


def read(body: bytes) -> object:
    headers = [("content-type", "application/json")]
    return PUT.read(HttpRequest("PUT", "/", "", headers, body), {}).get("document")


def test_the_suite_is_complete() -> None:
    assert (len(MUST), len(MUST_NOT)) == (95, 188)


@pytest.mark.parametrize("path", MUST, ids=lambda path: path.stem)
def test_accepted(path: Path) -> None:
    read(path.read_bytes())


def test_no_text_is_no_body() -> None:
    assert (FOLDER / f"{NO_BODY}.json").read_bytes() == b""
    assert read(b"") is None


@pytest.mark.parametrize("path", [path for path in MUST_NOT if path.stem != NO_BODY], ids=lambda path: path.stem)
def test_rejected(path: Path) -> None:
    with pytest.raises(SerializationException):
        read(path.read_bytes())


@pytest.mark.parametrize("path", MAY, ids=lambda path: path.stem)
def test_either_but_never_a_failure(path: Path) -> None:
    try:
        read(path.read_bytes())
    except SerializationException:
        return
