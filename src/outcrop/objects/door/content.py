"""Content on its way into a file, never more than a few blocks of it in memory, and held to all that was said of it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass

from outcrop.objects import checksums
from outcrop.objects.checksums import ALGORITHMS, Checksum
from outcrop.objects.door.chunked import Decoder, incomplete
from outcrop.objects.door.signatures import UNSIGNED, Proven
from outcrop.objects.errors import ObjectsError, invalid_argument
from outcrop.objects.local.blobs import Draft
from outcrop.objects.local.uploads import bad_digest
from outcrop.objects.objects import CHUNK_BYTES
from outcrop.serve.asgi import ClientGone, Receive

# S3's own limit for what one request may bring.
LARGEST = 5 * 1024**3
# Of the documents that some operations take: ten thousand parts with their checksums.
LARGEST_DOCUMENT = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Announced:
    """What the headers say of the content. `value` of a checksum is None where it comes at the end."""

    size: int
    algorithm: str | None
    value: str | None
    md5: bytes | None
    chunked: bool
    trailing: bool


def announced(headers: Mapping[str, str], proven: Proven) -> Announced:
    streaming = proven.payload.startswith("STREAMING-")
    chunked = streaming or "aws-chunked" in headers.get("content-encoding", "")
    algorithm, value = announced_checksum(headers)
    trailer = headers.get("x-amz-trailer", "").strip().lower()
    if trailer and algorithm is None:
        algorithm = next((name for name in ALGORITHMS if checksums.header_of(name) == trailer), None)
        if algorithm is None or not chunked:
            raise ObjectsError("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    size = _size(headers, chunked)
    return Announced(size, algorithm, value, _md5(headers), chunked, proven.payload.endswith("-TRAILER"))


def announced_checksum(headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The algorithm and the value of an `x-amz-checksum-` header; at most one is allowed."""
    given = [(name, headers[checksums.header_of(name)]) for name in ALGORITHMS if checksums.header_of(name) in headers]
    if len(given) > 1:
        raise ObjectsError(
            "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    if not given:
        return None, None
    algorithm, value = given[0]
    if not checksums.is_valid(algorithm, value):
        raise ObjectsError("InvalidRequest", f"Value for {checksums.header_of(algorithm)} header is invalid.")
    return algorithm, value


async def take(
    begin: Callable[[Collection[str]], Draft],
    receive: Receive,
    headers: Mapping[str, str],
    proven: Proven,
    known: Announced,
    algorithms: Collection[str],
) -> tuple[Draft, Checksum | None]:
    """The whole content in a draft, checked, with the digests of `algorithms` besides; and its own checksum, if it has one.

    `begin` makes the draft, with the digests that it is to have.

    ObjectsError if anything does not match; ClientGone. Nothing of the draft is left then.
    """
    exact = not (proven.payload == UNSIGNED or known.chunked)
    digests = {*algorithms, *((known.algorithm,) if known.algorithm else ()), *(("SHA256",) if exact else ())}
    draft = await asyncio.to_thread(begin, digests)
    try:
        decoder = None
        if known.chunked:
            signed = proven.payload.startswith("STREAMING-AWS4")
            decoder = Decoder(proven.seal if signed else None, trailing=known.trailing)
        async for block in _blocks(receive, decoder):
            if draft.size + len(block) > known.size:
                raise incomplete("You did not provide the number of bytes specified by the Content-Length HTTP header")
            await asyncio.to_thread(draft.write, block)
        return draft, _checked(draft, known, proven, exact, {} if decoder is None else decoder.trailers)
    except BaseException:
        draft.discard()
        raise


async def _blocks(receive: Receive, decoder: Decoder | None) -> AsyncIterator[bytes]:
    """Pieces of a size that is worth a trip to a thread."""
    waiting: list[bytes] = []
    size = 0
    async for chunk in arriving(receive):
        for piece in (chunk,) if decoder is None else decoder.feed(chunk):
            waiting.append(piece)
            size += len(piece)
        if size >= CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if decoder is not None:
        decoder.finish()
    if waiting:
        yield b"".join(waiting)


async def arriving(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if body := message.get("body", b""):
            yield body
        if not message.get("more_body"):
            return


async def whole_document(receive: Receive, headers: Mapping[str, str], proven: Proven) -> bytes:
    """The body of an operation that takes a document, held to its hash, its MD5 and its checksum."""
    pieces: list[bytes] = []
    size = 0
    decoder = None
    if proven.payload.startswith("STREAMING-") or "aws-chunked" in headers.get("content-encoding", ""):
        signed = proven.payload.startswith("STREAMING-AWS4")
        decoder = Decoder(proven.seal if signed else None, trailing=proven.payload.endswith("-TRAILER"))
    async for chunk in arriving(receive):
        for piece in (chunk,) if decoder is None else decoder.feed(chunk):
            size += len(piece)
            if size > LARGEST_DOCUMENT:
                raise ObjectsError("MaxMessageLengthExceeded", "Your request was too big.")
            pieces.append(piece)
    if decoder is not None:
        decoder.finish()
    body = b"".join(pieces)
    if decoder is None and proven.payload != UNSIGNED and hashlib.sha256(body).hexdigest() != proven.payload:
        raise _wrong_hash(proven.payload, hashlib.sha256(body).hexdigest())
    md5 = _md5(headers)
    if md5 is not None and md5 != hashlib.md5(body, usedforsecurity=False).digest():
        raise bad_digest("Content-MD5")
    return body


def check_document(body: bytes, headers: Mapping[str, str]) -> None:
    """BadDigest if the body is not the one that its `x-amz-checksum-` header is of."""
    algorithm, value = announced_checksum(headers)
    if algorithm is not None:
        whole = checksums.running(algorithm)
        whole.update(body)
        if checksums.encoded(whole.digest()) != value:
            raise bad_digest(algorithm)


def _checked(
    draft: Draft, known: Announced, proven: Proven, exact: bool, trailers: Mapping[str, str]
) -> Checksum | None:
    if draft.size != known.size:
        raise incomplete("You did not provide the number of bytes specified by the Content-Length HTTP header")
    if exact and draft.digest("SHA256").hex() != proven.payload:
        raise _wrong_hash(proven.payload, draft.digest("SHA256").hex())
    if known.md5 is not None and known.md5 != draft.md5:
        raise bad_digest("Content-MD5")
    if known.algorithm is None:
        return None
    value = known.value or trailers.get(checksums.header_of(known.algorithm))
    if value is None:
        raise ObjectsError("MalformedTrailerError", "The checksum that x-amz-trailer announces did not come.")
    if value != draft.checksum(known.algorithm):
        raise bad_digest(known.algorithm)
    return Checksum(known.algorithm, value)


def _size(headers: Mapping[str, str], chunked: bool) -> int:
    text = headers.get("x-amz-decoded-content-length" if chunked else "content-length")
    if text is None:
        raise ObjectsError("MissingContentLength", "You must provide the Content-Length HTTP header.")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise invalid_argument("The length of the content is not a number of bytes.", "Content-Length", text)
    if int(text) > LARGEST:
        raise ObjectsError(
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed size",
            {"ProposedSize": text, "MaxSizeAllowed": str(LARGEST)},
        )
    return int(text)


def _md5(headers: Mapping[str, str]) -> bytes | None:
    given = headers.get("content-md5")
    if given is None:
        return None
    try:
        digest = base64.b64decode(given, validate=True)
    except (ValueError, binascii.Error):
        digest = b""
    if len(digest) != 16:
        raise ObjectsError("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return digest


def _wrong_hash(announced_hash: str, computed: str) -> ObjectsError:
    return ObjectsError(
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        {"ClientComputedContentSHA256": announced_hash, "S3ComputedContentSHA256": computed},
    )
