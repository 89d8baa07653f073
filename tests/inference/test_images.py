"""Images: taken where the model sees and the file is what it says; refused otherwise."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from outcrop.engines.engine import Image, ToolResult
from outcrop.errors import AwsError
from outcrop.inference import images
from outcrop.inference.operations import converse
from tests.inference.bench import Bench, assistant, user


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(9)


def jpeg(width: int, height: int) -> bytes:
    app = b"\xff\xe0" + struct.pack(">H", 16) + bytes(14)
    return b"\xff\xd8" + app + b"\xff\xc2" + struct.pack(">HBHH", 11, 8, height, width) + bytes(6)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(3)


def lossy(width: int, height: int) -> bytes:
    return b"RIFF\0\0\0\0WEBPVP8 " + bytes(7) + b"\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(4)


def lossless(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    return b"RIFF\0\0\0\0WEBPVP8L" + bytes(4) + b"\x2f" + struct.pack("<I", bits) + bytes(8)


def extended(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + sides


MADE = [("png", png), ("jpeg", jpeg), ("gif", gif), ("webp", lossy), ("webp", lossless), ("webp", extended)]


def image(kind: str, data: bytes) -> dict[str, Any]:
    return {"image": {"format": kind, "source": {"bytes": data}}}


@pytest.mark.parametrize(("kind", "make"), MADE)
def test_every_format_up_to_its_limit(bench: Bench, kind: str, make: Any) -> None:
    bench.call(converse, messages=[user("What?", image(kind, make(8000, 3)))])
    assert bench.asked.messages[0].parts[1] == Image(kind, make(8000, 3))
    for size in ((8001, 3), (3, 8001)):
        with pytest.raises(AwsError, match="image dimensions exceed"):
            bench.call(converse, messages=[user("What?", image(kind, make(*size)))])


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("png", b""), ("png", jpeg(1, 1)), ("jpeg", png(1, 1)), ("png", png(1, 1)[:20]), ("png", png(0, 1)),
        ("jpeg", b"\xff\xd8" + b"\xff" * 50), ("jpeg", jpeg(1, 1)[:24]), ("gif", b"GIF87a"), ("gif", gif(1, 0)),
        ("webp", lossy(1, 1)[:20]), ("webp", b"RIFF\0\0\0\0WAVE" + bytes(30)),
    ],
)  # fmt: skip
def test_what_is_no_picture_of_that_format(bench: Bench, kind: str, data: bytes) -> None:
    with pytest.raises(AwsError, match="Could not process image"):
        bench.call(converse, messages=[user("What?", image(kind, data))])
    assert bench.engine.asked == []


def test_too_large(bench: Bench) -> None:
    with pytest.raises(AwsError, match="image exceeds 3932160 bytes"):
        bench.call(converse, messages=[user("What?", image("png", png(1, 1) + bytes(images.LARGEST)))])


def test_a_model_that_cannot_see_refuses(bench: Bench) -> None:
    bench.engine.able = replace(bench.engine.able, images=False)
    for block in (image("png", png(1, 1)), {"guardContent": image("png", png(1, 1))}):
        with pytest.raises(AwsError, match="This model doesn't support images"):
            bench.call(converse, messages=[user("What?", block)])
    assert bench.engine.asked == []


def test_s3_is_refused(bench: Bench) -> None:
    block = {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}}
    with pytest.raises(AwsError, match=r"s3Location .* is not built"):
        bench.call(converse, messages=[user("What?", block)])


def test_images_in_results_are_seen_and_counted(bench: Bench) -> None:
    tools = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]}
    call = assistant({"toolUse": {"toolUseId": "1", "name": "f", "input": {}}})
    one = image("png", png(1, 1))
    result = user({"toolResult": {"toolUseId": "1", "content": [one]}})
    bench.call(converse, messages=[user("a", *[one] * 19), call, result], toolConfig=tools)
    (part,) = bench.asked.messages[2].parts
    assert isinstance(part, ToolResult)
    assert part.parts == (Image("png", png(1, 1)),)
    for surplus in (one, {"guardContent": one}):
        with pytest.raises(AwsError, match="too many images: 21 > 20 maximum"):
            bench.call(converse, messages=[user("a", surplus, *[one] * 19), call, result], toolConfig=tools)
