"""Images and documents that a record names by their place in S3, which must be below the job's input."""

from __future__ import annotations

import base64
from typing import Any

import orjson

from outcrop.errors import ValidationException
from outcrop.objects.errors import ObjectsError
from outcrop.objects.objects import Objects

MARK = b'"s3Location"'
LARGEST_BYTES = 25_000_000


def with_bytes(body: bytes, objects: Objects, input_uri: str) -> bytes:
    """The body with each `s3Location` replaced by the bytes that are there. Blocks where there is one.

    ValidationException for an object that is missing, too large, or elsewhere than below the input's folder.
    """
    if MARK not in body:
        return body
    folder = input_uri if input_uri.endswith("/") else f"{input_uri}/"
    return orjson.dumps(_filled(orjson.loads(body), objects, folder))


def _filled(value: Any, objects: Objects, folder: str) -> Any:
    if isinstance(value, list):
        return [_filled(item, objects, folder) for item in value]
    if not isinstance(value, dict):
        return value
    filled = {key: _filled(item, objects, folder) for key, item in value.items() if key != "s3Location"}
    if "s3Location" in value:
        filled["bytes"] = base64.b64encode(_read(value["s3Location"], objects, folder)).decode()
    return filled


def _read(location: Any, objects: Objects, folder: str) -> bytes:
    uri = location.get("uri") if isinstance(location, dict) else None
    if not isinstance(uri, str) or not uri.startswith(folder):
        raise ValidationException(
            f"The s3Location {uri} does not lie below {folder}. In batch inference, what a record refers to must lie in "
            "the folder that is the job's input."
        )
    try:
        if objects.head(uri).size > LARGEST_BYTES:
            raise ValidationException(f"The object {uri} is larger than {LARGEST_BYTES} bytes.")
        return objects.get(uri)
    except ObjectsError as problem:
        raise ValidationException(f"The object {uri} cannot be read: {problem.message}") from None
