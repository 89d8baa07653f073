"""Tokens of every List operation that has pages: good for the one query that they were made for, and for nobody else."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from outcrop.app import handlers
from outcrop.context import Context
from outcrop.errors import AwsError
from outcrop.wire.model import load_services
from tests.inference.bench import OTHER_ACCOUNT, Bench
from tests.tags.kinds import KINDS, Kind, everything

each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.lists[1])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """With three of each kind in both accounts."""
    bench = everything(tmp_path)
    for ctx in (bench.ctx, bench.as_caller(OTHER_ACCOUNT)):
        for kind in KINDS:
            for number in range(3):
                # Throughput has eight places for both accounts.
                kind.make(ctx, f"n{number}", [])
    return bench


def listed(ctx: Context, kind: Kind, **members: Any) -> tuple[list[Any], str | None]:
    response: Mapping[str, Any] = handlers()[kind.lists](ctx, members)
    (items,) = [value for name, value in response.items() if name != "nextToken"]
    return items, response.get("nextToken")


def refused(ctx: Context, kind: Kind, token: str, **members: Any) -> None:
    with pytest.raises(AwsError) as caught:
        listed(ctx, kind, maxResults=1, nextToken=token, **members)
    assert (caught.value.code, caught.value.message) == ("ValidationException", "The provided nextToken is invalid.")


def test_every_operation_with_pages_is_in_the_table() -> None:
    operations, built = load_services().operations, handlers()
    with_pages = {key for key in built if "nextToken" in operations[key].input_shape["members"]}
    assert with_pages == {kind.lists for kind in KINDS}


@each
def test_pages_hold_all_items_once(bench: Bench, kind: Kind) -> None:
    whole, _ = listed(bench.ctx, kind, **kind.other)
    assert len(whole) >= 3
    pages, token = list[Any](), None
    while True:
        more: dict[str, str] = {} if token is None else {"nextToken": token}
        items, token = listed(bench.ctx, kind, maxResults=1, **kind.other, **more)
        pages += items
        if token is None:
            break
    assert pages == whole


@each
def test_a_token_is_refused_for_anything_else(bench: Bench, kind: Kind) -> None:
    _, token = listed(bench.ctx, kind, maxResults=1)
    assert token is not None
    assert len(listed(bench.ctx, kind, maxResults=2, nextToken=token)[0]) == 2
    refused(bench.ctx, kind, token, **kind.other)
    refused(bench.as_caller(OTHER_ACCOUNT), kind, token)
    refused(bench.as_caller(region="eu-west-1"), kind, token)
    for other in KINDS:
        if other is not kind:
            refused(bench.ctx, other, token)


@each
def test_a_token_that_was_altered_is_refused(bench: Bench, kind: Kind) -> None:
    _, token = listed(bench.ctx, kind, maxResults=1)
    assert token is not None
    raw = bytearray(base64.urlsafe_b64decode(token))
    for place in (0, 15, 16, len(raw) - 1):
        altered = bytes(raw[:place]) + bytes([raw[place] ^ 1]) + bytes(raw[place + 1 :])
        refused(bench.ctx, kind, base64.urlsafe_b64encode(altered).decode())
    for text in ("", token[:-4], token + "AAAA", "1", "null"):
        refused(bench.ctx, kind, text)
