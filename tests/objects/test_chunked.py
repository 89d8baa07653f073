"""The `aws-chunked` form: AWS's own examples, cut into any pieces, and what is not as it was signed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outcrop.objects.door.chunked import LONGEST_LINE, Decoder
from outcrop.objects.door.signatures import Seal
from outcrop.objects.errors import ObjectsError
from tests.objects.contract import refused

# "Signature calculations for the authorization header: transferring a payload in multiple chunks", S3 API reference.
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SIGNED = (
    b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n"
    + b"a" * 65536
    + b"\r\n"
    b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + b"a" * 1024 + b"\r\n"
    b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
)
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
UNSIGNED = b"4\r\nwiki\r\n5\r\npedia\r\n0\r\nx-amz-checksum-crc32:%b\r\n\r\n" % base64.b64encode(
    zlib.crc32(b"wikipedia").to_bytes(4, "big")
)


def seal(seed: str = SEED) -> Seal:
    return Seal(SECRET, "20130524", "us-east-1", "20130524/us-east-1/s3/aws4_request", "20130524T000000Z", seed)


def decoded(decoder: Decoder, data: bytes, size: int = 1000) -> bytes:
    pieces = []
    for at in range(0, len(data), size):
        pieces += list(decoder.feed(data[at : at + size]))
    decoder.finish()
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, 7, 1000, 65536, 10**6])
def test_the_documented_example(size: int) -> None:
    assert decoded(Decoder(seal(), trailing=False), SIGNED, size) == b"a" * 66560


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"aaaa\r\n400", b"aaab\r\n400"),
        (b"ad80", b"ad81"),
        (b"0055", b"0056"),
        (b"b6c6", b"b6c7"),
        (b";chunk-signature=b6c6", b";x=b6c6"),
    ],
)
def test_a_chunk_that_was_changed(old: bytes, new: bytes) -> None:
    assert old in SIGNED
    with refused("SignatureDoesNotMatch"):
        decoded(Decoder(seal(), trailing=False), SIGNED.replace(old, new))


def test_chunks_in_another_order() -> None:
    first, second = (
        SIGNED[: SIGNED.index(b"400;")],
        SIGNED[SIGNED.index(b"400;") : SIGNED.index(b"0;chunk-signature=b6")],
    )
    end = SIGNED[SIGNED.index(b"0;chunk-signature=b6") :]
    with refused("SignatureDoesNotMatch"):
        decoded(Decoder(seal(), trailing=False), second + first + end)
    with refused("SignatureDoesNotMatch"):
        decoded(Decoder(seal(), trailing=False), first + end)


def signed_with_trailer(value: str = "CRC") -> bytes:
    """Made with the functions under test, whose chunk signatures the documented example proves."""
    own = seal()
    chunk = own.of_chunk(own.seed, hashlib.sha256(b"data").hexdigest())
    last = own.of_chunk(chunk, hashlib.sha256(b"").hexdigest())
    trailer = own.of_trailer(last, hashlib.sha256(b"x-amz-checksum-crc32:CRC\n").hexdigest())
    return (
        f"4;chunk-signature={chunk}\r\ndata\r\n0;chunk-signature={last}\r\n"
        f"x-amz-checksum-crc32:{value}\r\nx-amz-trailer-signature:{trailer}\r\n\r\n"
    ).encode()


def test_signed_trailers() -> None:
    decoder = Decoder(seal(), trailing=True)
    assert decoded(decoder, signed_with_trailer(), 3) == b"data"
    assert decoder.trailers == {"x-amz-checksum-crc32": "CRC"}
    with refused("SignatureDoesNotMatch"):
        decoded(Decoder(seal(), trailing=True), signed_with_trailer("CRD"))
    without = signed_with_trailer().partition(b"x-amz-trailer-signature")[0] + b"\r\n"
    with refused("SignatureDoesNotMatch"):
        decoded(Decoder(seal(), trailing=True), without)


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_unsigned_chunks_with_a_trailer(size: int) -> None:
    decoder = Decoder(None, trailing=True)
    assert decoded(decoder, UNSIGNED, size) == b"wikipedia"
    assert list(decoder.trailers) == ["x-amz-checksum-crc32"]


@given(st.integers(0, len(UNSIGNED) - 1))
def test_every_early_end_is_noticed(end: int) -> None:
    with refused("IncompleteBody"):
        decoded(Decoder(None, trailing=True), UNSIGNED[:end], 5)


@pytest.mark.parametrize(
    "body",
    [
        b"x\r\n", b"-1\r\n", b"\r\n", b"1" * 17 + b"\r\n", b"2\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\nmore", b"a" * (LONGEST_LINE + 2),
    ],
)  # fmt: skip
def test_what_is_no_chunk(body: bytes) -> None:
    with refused("IncompleteBody"):
        decoded(Decoder(None, trailing=False), body)


@pytest.mark.parametrize("trailer", [b"no colon", b"a:" + b"b" * LONGEST_LINE + b"c", b"a:b\r\n" * 2000])
def test_what_is_no_trailer(trailer: bytes) -> None:
    with refused("MalformedTrailerError"):
        decoded(Decoder(None, trailing=True), b"0\r\n" + trailer + b"\r\n\r\n", 100)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5), st.integers(1, 50))
def test_whatever_is_in_them(chunks: list[bytes], size: int) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert decoded(Decoder(None, trailing=False), body, size) == b"".join(chunks)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_noise_raises_nothing_else(noise: bytes) -> None:
    with contextlib.suppress(ObjectsError):
        decoded(Decoder(None, trailing=True), noise, 7)
