"""No header or query, however hostile, gets in or gets anything but an AWS error of the 400s."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from outcrop.errors import AwsError
from outcrop.request import HttpRequest
from tests.identity.door import Door, opened

WIRE = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=80)
# What real headers and queries are made of, to be put together wrongly.
PIECES = st.sampled_from(
    re.findall(
        r"\S+ ?", "AWS4-HMAC-SHA256 Bearer ABSK bedrock-api-key- 20260101 T000000Z us-east-1 bedrock aws4_request"
    )
    + ["Credential=", "SignedHeaders=", "Signature="]
    + [f"X-Amz-{name}=" for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")]
    + ["AKIAAAAAAAAAAAAAAAAA", "0" * 64, "host", "x-amz-date", "%2F", *" ,=/;&%\x00\xff\xa0"]
)
NOISE = st.one_of(WIRE, st.lists(PIECES, max_size=14).map("".join))
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["authorization", "x-amz-date", "date", "host", "x-amz-content-sha256", "x-amz-security-token"]
        ),
        NOISE,
    ),
    max_size=6,
)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with opened(Path(tmp_path_factory.mktemp("fuzz")) / "home") as door:
        yield door


def knock(door: Door, request: HttpRequest) -> None:
    with pytest.raises(AwsError) as caught:
        door.knock(request)
    assert caught.value.status in (400, 403)
    assert caught.value.message


@settings(max_examples=1500, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=NOISE, query=NOISE, headers=HEADERS, body=st.binary(max_size=20))
@example(path="", query="X-Amz-Signature=&X-Amz-Algorithm=", headers=[], body=b"")
@example(path="/", query="", headers=[("authorization", ""), ("date", "Thu, 1 Jan 99999 00:00:00 +9999")], body=b"")
def test_noise(door: Door, path: str, query: str, headers: list[tuple[str, str]], body: bytes) -> None:
    knock(door, HttpRequest("POST", path, query, headers, body))


@settings(max_examples=800, deadline=None)
@given(st.data())
def test_a_signed_request_with_one_part_replaced_by_noise(door: Door, data: st.DataObject) -> None:
    request = door.signed() if data.draw(st.booleans()) else door.presigned()
    noise = "~" + data.draw(NOISE)
    signed = [i for i, (name, _) in enumerate(request.headers) if name in ("authorization", "x-amz-date", "host")]
    part = data.draw(st.sampled_from([-2, -1, *signed]))
    if part == -2:
        request.raw_path = "/" + noise
    elif part == -1:
        request.query += "&" + noise
    else:
        request.headers[part] = (request.headers[part][0], noise)
    knock(door, request)


@settings(max_examples=800, deadline=None)
@given(NOISE)
def test_a_bearer_token_of_noise(door: Door, noise: str) -> None:
    for text in (noise, "bedrock.amazonaws.com/?Action=CallWithBearerToken&" + noise):
        inside = base64.b64encode(text.encode("latin-1")).decode()
        for token in (noise, "ABSK" + inside, "bedrock-api-key-" + inside):
            knock(door, HttpRequest("GET", "/", "", [("host", "h"), ("authorization", f"Bearer {token}")]))
