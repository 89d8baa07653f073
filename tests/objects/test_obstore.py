"""obstore: an S3 client in Rust that shares no code with AWS's."""

from __future__ import annotations

import pytest
from obstore import copy, delete, get, get_range, head, list_with_delimiter, put
from obstore import list as listed
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from tests.live import Server
from tests.objects.clients import Buckets, administrators

MIB = 1024 * 1024


@pytest.fixture
def store(server: Server, buckets: Buckets) -> S3Store:
    key = administrators(server)
    return S3Store(
        buckets.new(),
        endpoint=server.url,
        region="us-east-1",
        access_key_id=key.id,
        secret_access_key=key.secret,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def test_objects(store: S3Store) -> None:
    put(store, "a/ü b+c%.txt", b"hello", attributes={"Content-Type": "text/plain"})
    found = get(store, "a/ü b+c%.txt")
    assert bytes(found.bytes()) == b"hello"
    assert found.attributes["Content-Type"] == "text/plain"
    assert bytes(get_range(store, "a/ü b+c%.txt", start=1, end=3)) == b"el"
    copy(store, "a/ü b+c%.txt", "b")
    assert head(store, "b")["size"] == 5
    with pytest.raises(AlreadyExistsError):
        put(store, "b", b"x", mode="create")
    found_here = list_with_delimiter(store)
    assert ([one["path"] for one in found_here["objects"]], list(found_here["common_prefixes"])) == (["b"], ["a"])
    delete(store, ["b", "a/ü b+c%.txt"])
    assert [one for page in listed(store) for one in page] == []


def test_a_multipart_upload(store: S3Store) -> None:
    put(store, "large", (bytes([number]) * MIB for number in range(13)), chunk_size=5 * MIB)
    assert bytes(get(store, "large").bytes()) == b"".join(bytes([number]) * MIB for number in range(13))


@pytest.mark.parametrize("algorithm", ["SHA256", "CRC64NVME"])
def test_checksums(store: S3Store, algorithm: str) -> None:
    checked = S3Store(config={**store.config, "checksum_algorithm": algorithm}, client_options={"allow_http": True})
    put(checked, "small", b"x")
    put(checked, "large", (b"y" * MIB for _ in range(11)), chunk_size=5 * MIB)
    assert bytes(get(store, "small").bytes()) == b"x"
    assert head(store, "large")["size"] == 11 * MIB


def test_pages(store: S3Store) -> None:
    for number in range(25):
        put(store, f"many/{number:02}", b"")
    pages = list(listed(store, "many", chunk_size=10, offset="many/04"))
    assert [one["path"] for page in pages for one in page] == [f"many/{number:02}" for number in range(5, 25)]
