"""One suite for everything that `Objects` can be: what rooms rely on, whatever holds the bucket.

A test module derives from `ObjectsContract` and gives `objects` and `bucket`, an empty bucket, as fixtures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from outcrop.objects.errors import ObjectsError
from outcrop.objects.objects import Objects, walk

MIB = 1024 * 1024


def refused(code: str) -> pytest.RaisesExc[ObjectsError]:
    return pytest.RaisesExc(ObjectsError, check=lambda problem: problem.code == code)


class ObjectsContract:
    def test_what_is_put_is_got(self, objects: Objects, bucket: str) -> None:
        uri = f"s3://{bucket}/texts/one.txt"
        put = objects.put(uri, b"one", content_type="text/plain", metadata={"by": "me"})
        head = objects.head(uri)
        assert objects.get(uri) == b"one"
        assert (head.uri, head.size, head.content_type, head.metadata) == (uri, 3, "text/plain", {"by": "me"})
        assert put.etag == head.etag == "f97c5d29941bfb1b2fdab0874906ab82"

    def test_a_body_is_bytes_a_file_or_pieces(self, objects: Objects, bucket: str, tmp_path: Path) -> None:
        content = bytes(range(256)) * 1000
        (tmp_path / "file").write_bytes(content)
        pieces = (content[at : at + 1000] for at in range(0, len(content), 1000))
        for name, body in (("bytes", content), ("file", tmp_path / "file"), ("pieces", pieces)):
            objects.put(f"s3://{bucket}/{name}", body)
            assert objects.get(f"s3://{bucket}/{name}") == content

    def test_nothing_is_a_body(self, objects: Objects, bucket: str) -> None:
        for name, body in (("bytes", b""), ("pieces", iter([]))):
            objects.put(f"s3://{bucket}/{name}", body)
            assert objects.get(f"s3://{bucket}/{name}") == b""
            assert objects.get(f"s3://{bucket}/{name}", 0, 10) == b""
            assert objects.head(f"s3://{bucket}/{name}").size == 0

    def test_a_large_body_comes_in_pieces(self, objects: Objects, bucket: str) -> None:
        uri = f"s3://{bucket}/large"
        block = bytes(range(256)) * 4096
        objects.put(uri, (block for _ in range(20)))
        with objects.open(uri) as reading:
            sizes = [len(chunk) for chunk in reading]
        assert sum(sizes) == 20 * MIB
        assert max(sizes) <= MIB
        assert objects.get(uri, 9 * MIB - 2, 9 * MIB + 2) == block[-2:] + block[:2]

    @pytest.mark.parametrize(
        ("start", "stop", "expected"),
        [(0, None, b"abcdef"), (2, None, b"cdef"), (2, 4, b"cd"), (5, 100, b"f"), (3, 3, b""), (0, 0, b"")],
    )
    def test_ranges(self, objects: Objects, bucket: str, start: int, stop: int | None, expected: bytes) -> None:
        objects.put(f"s3://{bucket}/letters", b"abcdef")
        with objects.open(f"s3://{bucket}/letters", start, stop) as reading:
            assert reading.read() == expected
            assert reading.stored.size == 6

    @pytest.mark.parametrize(("start", "stop"), [(6, None), (6, 8), (100, None), (4, 2), (-1, None)])
    def test_ranges_that_are_none(self, objects: Objects, bucket: str, start: int, stop: int | None) -> None:
        objects.put(f"s3://{bucket}/letters", b"abcdef")
        with refused("InvalidRange"):
            objects.get(f"s3://{bucket}/letters", start, stop)

    def test_put_writes_over(self, objects: Objects, bucket: str) -> None:
        uri = f"s3://{bucket}/again"
        objects.put(uri, b"first", content_type="text/plain", metadata={"n": "1"})
        objects.put(uri, b"second")
        assert objects.get(uri) == b"second"
        assert objects.head(uri).metadata == {}
        assert objects.head(uri).content_type == "binary/octet-stream"

    def test_only_new(self, objects: Objects, bucket: str, tmp_path: Path) -> None:
        uri = f"s3://{bucket}/lock"
        (tmp_path / "file").write_bytes(b"mine")
        objects.put(uri, tmp_path / "file", only_new=True, content_type="text/plain")
        with refused("PreconditionFailed"):
            objects.put(uri, b"theirs", only_new=True)
        assert objects.get(uri) == b"mine"
        assert objects.head(uri).content_type == "text/plain"

    def test_a_body_that_fails_leaves_what_was_there(self, objects: Objects, bucket: str) -> None:
        def failing() -> Iterator[bytes]:
            yield b"x" * 9 * MIB
            raise OSError("the source broke")

        uri = f"s3://{bucket}/kept"
        objects.put(uri, b"before")
        with pytest.raises(OSError, match="the source broke"):
            objects.put(uri, failing())
        assert objects.get(uri) == b"before"

    def test_exists_and_delete(self, objects: Objects, bucket: str) -> None:
        uri = f"s3://{bucket}/here"
        assert not objects.exists(uri)
        objects.put(uri, b"")
        assert objects.exists(uri)
        objects.delete(uri)
        objects.delete(uri)
        assert not objects.exists(uri)
        with refused("NoSuchKey"):
            objects.get(uri)
        with refused("NoSuchKey"):
            objects.head(uri)

    def test_a_bucket_that_is_not_there(self, objects: Objects, bucket: str) -> None:
        for attempt in (
            lambda uri: objects.get(uri),
            lambda uri: objects.head(uri),
            lambda uri: objects.exists(uri),
            lambda uri: objects.put(uri, b""),
            lambda uri: objects.list(uri),
            lambda uri: objects.delete(uri),
            lambda uri: objects.copy(f"s3://{bucket}/there", uri),
        ):
            objects.put(f"s3://{bucket}/there", b"")
            with refused("NoSuchBucket"):
                attempt("s3://no-such-bucket-anywhere/key")

    def test_copy(self, objects: Objects, bucket: str) -> None:
        source, target = f"s3://{bucket}/from", f"s3://{bucket}/to/here"
        objects.put(source, b"content", content_type="text/plain", metadata={"a": "b"})
        copied = objects.copy(source, target)
        objects.delete(source)
        assert objects.get(target) == b"content"
        assert (copied.uri, copied.content_type, copied.metadata) == (target, "text/plain", {"a": "b"})
        with refused("NoSuchKey"):
            objects.copy(source, target)

    def test_list_by_the_bytes_of_keys(self, objects: Objects, bucket: str) -> None:
        keys = ["a", "B", "a/b", "a-b", "ü", "z", "日本", "\U0001f600", "a/", "é"]
        for key in keys:
            objects.put(f"s3://{bucket}/{key}", key.encode())
        page = objects.list(f"s3://{bucket}")
        assert [stored.key for stored in page.objects] == sorted(keys, key=str.encode)
        assert [stored.size for stored in page.objects] == [len(key.encode()) for key in sorted(keys, key=str.encode)]
        assert page.after is None
        assert [stored.key for stored in objects.list(f"s3://{bucket}/a/").objects] == ["a/", "a/b"]

    def test_list_with_a_delimiter(self, objects: Objects, bucket: str) -> None:
        for key in ("top", "x/1", "x/2", "x/y/3", "x", "w/4"):
            objects.put(f"s3://{bucket}/{key}", b"")
        page = objects.list(f"s3://{bucket}/", delimiter="/")
        assert [stored.key for stored in page.objects] == ["top", "x"]
        assert page.prefixes == ("w/", "x/")
        page = objects.list(f"s3://{bucket}/x/", delimiter="/")
        assert [stored.key for stored in page.objects] == ["x/1", "x/2"]
        assert page.prefixes == ("x/y/",)

    @pytest.mark.parametrize("limit", [1, 2, 3, 7])
    @pytest.mark.parametrize("delimiter", ["", "/"])
    def test_pages(self, objects: Objects, bucket: str, limit: int, delimiter: str) -> None:
        for key in ("a", "b/1", "b/2", "b/3", "c", "d/1", "e"):
            objects.put(f"s3://{bucket}/{key}", b"")
        seen: list[str] = []
        after: str | None = ""
        while after is not None:
            page = objects.list(f"s3://{bucket}/", delimiter=delimiter, after=after, limit=limit)
            assert len(page.objects) + len(page.prefixes) <= limit
            seen += sorted([*(stored.key for stored in page.objects), *page.prefixes])
            after = page.after
        assert seen == (["a", "b/", "c", "d/", "e"] if delimiter else ["a", "b/1", "b/2", "b/3", "c", "d/1", "e"])

    def test_walk(self, objects: Objects, bucket: str) -> None:
        for key in ("a/1", "a/2", "b"):
            objects.put(f"s3://{bucket}/{key}", b"")
        assert [stored.key for stored in walk(objects, f"s3://{bucket}/a/")] == ["a/1", "a/2"]
        assert list(walk(objects, f"s3://{bucket}/none")) == []

    @pytest.mark.parametrize("uri", ["s3:/b/k", "http://bucket/key", "s3://bucket", "s3://bucket/", "key", ""])
    def test_what_is_no_uri_of_an_object(self, objects: Objects, bucket: str, uri: str) -> None:
        with refused("InvalidURI"):
            objects.get(uri.replace("bucket", bucket))

    def test_names_that_cannot_be(self, objects: Objects, bucket: str) -> None:
        with refused("InvalidBucketName"):
            objects.get("s3://Not_A_Bucket/key")
        with refused("KeyTooLongError"):
            objects.put(f"s3://{bucket}/{'k' * 1025}", b"")
        objects.put(f"s3://{bucket}/{'k' * 1024}", b"long")
        assert objects.get(f"s3://{bucket}/{'k' * 1024}") == b"long"
