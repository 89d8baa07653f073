"""Operations that Bedrock does not have, below `/outcrop/`: a service model of our own in the form of botocore's.

So they are read, checked, authorized, audited and answered like all others, and no client of AWS ever sees them. `models/` is laid out as
AWS_DATA_PATH wants it: with that, boto3 makes a client of them (`boto3.client("outcrop")`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from outcrop.wire.model import Operation, digest

SERVICE = "outcrop"
MODELS = Path(__file__).parent / "models"


def operations() -> Mapping[tuple[str, str], Operation]:
    """By (service, OperationName), each prepared."""
    (file,) = (MODELS / SERVICE).glob("*/service-2.json")
    found = digest(SERVICE, orjson.loads(file.read_bytes()))
    for operation in found.values():
        operation.prepare()
    return found
