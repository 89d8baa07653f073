"""Image blocks: is it the picture it says it is, and within Bedrock's limits?"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from outcrop.engines.engine import Image
from outcrop.errors import ValidationException
from outcrop.inference.failures import ModelRefused
from outcrop.models.model import Model
from outcrop.shapes.bedrock_runtime import ImageBlock

MOST = 20
LARGEST = 3_932_160  # 3.75 MiB
WIDEST = 8000


def image_of(block: ImageBlock, where: str, model: Model) -> Image:
    """ValidationException if the model takes none, or this is none."""
    if not model.capabilities.images:
        raise ValidationException("This model doesn't support images.")
    source = block["source"]
    if "s3Location" in source:
        raise ValidationException(
            f"The s3Location at {where}.source is not built in this version of Outcrop. Send bytes."
        )
    return checked(block["format"], source.get("bytes", b""), where)


def checked(kind: str, data: bytes, where: str) -> Image:
    if len(data) > LARGEST:
        raise ModelRefused(f"{where}.source: image exceeds {LARGEST} bytes: {len(data)} bytes")
    size = next(_sizes(kind, data), None)
    if size is None or min(size) < 1:
        raise ModelRefused(f"{where}.source: Could not process image")
    if max(size) > WIDEST:
        raise ModelRefused(f"{where}.source: image dimensions exceed max allowed size: {WIDEST} pixels")
    return Image(kind, data)


def check_number(number: int) -> None:
    if number > MOST:
        raise ModelRefused(f"too many images: {number} > {MOST} maximum")


def _sizes(kind: str, data: bytes) -> Iterator[tuple[int, int]]:
    """Width and height as the file's header has them; nothing if it is no file of that kind."""
    if kind == "png" and data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR" and len(data) >= 24:
        yield struct.unpack(">II", data[16:24])
    elif kind == "gif" and data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        yield struct.unpack("<HH", data[6:10])
    elif kind == "jpeg" and data[:2] == b"\xff\xd8":
        yield from _jpeg(data)
    elif kind == "webp" and data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        yield from _webp(data)


def _jpeg(data: bytes) -> Iterator[tuple[int, int]]:
    """Segments up to the first frame header (SOF; C4, C8 and CC are other tables)."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            yield width, height
            return
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))


def _webp(data: bytes) -> Iterator[tuple[int, int]]:
    """The three forms: extended, lossless, lossy."""
    form = data[12:16]
    if form == b"VP8X":
        yield 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    elif form == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        yield 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif form == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", data[26:30])
        yield width & 0x3FFF, height & 0x3FFF
