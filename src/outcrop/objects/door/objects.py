"""Operations on objects."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from outcrop.objects.checksums import Checksum
from outcrop.objects.door import headers as told
from outcrop.objects.door.buckets import own_bucket, xml_answer
from outcrop.objects.door.call import Answer, Call
from outcrop.objects.door.content import check_document
from outcrop.objects.door.encryption import may_decrypt
from outcrop.objects.door.xml import Element, parsed, quoted, timestamp
from outcrop.objects.errors import ObjectsError, invalid_argument, not_implemented
from outcrop.objects.local import copying
from outcrop.objects.local.rows import Found
from outcrop.objects.local.sealing import of_encryption
from outcrop.objects.local.uploads import MOST_PARTS
from outcrop.objects.names import check_key
from outcrop.objects.objects import Stored

MOST_DELETED = 1000


def put_object(call: Call, checksum: Checksum | None) -> Answer:
    stored = call.store.publish(
        call.bucket,
        call.key,
        call.content,
        told.described(call.headers, call.encryption),
        checksum=checksum,
        condition=told.condition(call.headers),
    )
    headers = {"etag": quoted(stored.etag), **told.of_checksum(checksum), **of_encryption(stored.headers)}
    return Answer(headers=headers)


def head_object(call: Call) -> Answer:
    found = call.store.find(call.bucket, call.key)
    answer, _ = _about(call, found)
    return answer


def get_object(call: Call) -> Answer:
    while True:
        found = call.store.find(call.bucket, call.key)
        answer, span = _about(call, found)
        if answer.status == 304:
            return answer
        may_decrypt(call, found.stored.headers)
        try:
            answer.body = call.store.reading(found, *span)
        except FileNotFoundError:
            again = call.store.find(call.bucket, call.key)
            if again.id == found.id:
                raise
            continue
        return answer


def _about(call: Call, found: Found) -> tuple[Answer, tuple[int, int]]:
    """Everything but the bytes, and which bytes they are."""
    stored = found.stored
    if told.not_modified(stored, call.headers):
        return Answer(304, {"etag": quoted(stored.etag), "last-modified": told.http_date(stored.modified_at)}), (0, 0)
    span, more = _part_span(call, found)
    if span is None:
        span = told.range_of(call.headers.get("range"), stored.size)
    checksum = span is None and call.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    headers = told.of_object(stored, call.query, checksum=checksum) | more
    if span is None:
        return Answer(200, headers, length=stored.size), (0, stored.size)
    start, stop = span
    headers["content-range"] = f"bytes {start}-{stop - 1}/{stored.size}"
    return Answer(206, headers, length=stop - start), span


def _part_span(call: Call, found: Found) -> tuple[tuple[int, int] | None, dict[str, str]]:
    """The bytes of the part that `partNumber` names."""
    if "partNumber" not in call.query:
        return None, {}
    number = part_number(call)
    if number > len(found.parts):
        raise ObjectsError("InvalidPartNumber", "The requested partnumber is not satisfiable")
    if found.stored.size == 0:
        return None, {}
    start = sum(part.size for part in found.parts[: number - 1])
    more = {"x-amz-mp-parts-count": str(len(found.parts))} if "-" in found.stored.etag else {}
    return (start, start + found.parts[number - 1].size), more


def delete_object(call: Call) -> Answer:
    call.store.delete(call.bucket, call.key, told.condition(call.headers))
    return Answer(204)


def delete_objects(call: Call) -> Answer:
    """Each by itself: what is wrong with one is told of that one."""
    check_document(call.body, call.headers)
    document = parsed(call.body, "Delete")
    wanted = document.children("Object")
    if not 1 <= len(wanted) <= MOST_DELETED:
        raise ObjectsError(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    quiet = document.text("Quiet") == "true"
    deleted, errors = [], []
    for one in wanted:
        key = one.text("Key") or ""
        try:
            _delete_one(call, one, key)
            deleted.append({"Key": key})
        except ObjectsError as problem:
            errors.append({"Key": key, "Code": problem.code, "Message": problem.message})
    return xml_answer("DeleteResult", {"Deleted": [] if quiet else deleted, "Error": errors})


def _delete_one(call: Call, one: Element, key: str) -> None:
    if one.text("VersionId") not in (None, "", "null"):
        raise not_implemented("Versioning")
    check_key(key)
    call.permit("s3:DeleteObject", key)
    etag = one.text("ETag")
    call.store.delete(call.bucket, key, told.condition({} if etag is None else {"if-match": etag}))


def copy_object(call: Call) -> Answer:
    told.refuse_not_built(call.headers)
    source = copy_source(call)
    replaced = call.headers.get("x-amz-metadata-directive", "COPY") == "REPLACE"
    if call.headers.get("x-amz-tagging-directive", "COPY") != "COPY":
        raise not_implemented("Tagging of objects")
    same = (source.stored.bucket, source.stored.key) == (call.bucket, call.key)
    if same and not replaced and not call.encryption:
        raise ObjectsError(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
            "metadata, storage class, website redirect location or encryption attributes.",
        )
    described = told.described(call.headers, {}) if replaced else None
    condition = told.condition(call.headers)
    stored = copying.copy(call.store, source, call.bucket, call.key, described, condition, call.encryption)
    return xml_answer("CopyObjectResult", copy_result(stored), of_encryption(stored.headers))


def copy_result(stored: Stored) -> dict[str, object]:
    checksum = stored.checksum
    more = {} if checksum is None else {checksum.element: checksum.value, "ChecksumType": checksum.kind}
    return {"LastModified": timestamp(stored.modified_at), "ETag": quoted(stored.etag), **more}


def copy_source(call: Call) -> Found:
    """The object that the header names, if the caller may read it and it meets the conditions."""
    name, _, version = call.headers["x-amz-copy-source"].partition("?versionId=")
    if version not in ("", "null"):
        raise not_implemented("Versioning")
    try:
        bucket, _, key = unquote_to_bytes(name.encode("latin-1")).decode().removeprefix("/").partition("/")
    except UnicodeDecodeError:
        bucket, key = "", ""
    if not (bucket and key):
        raise invalid_argument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey", "x-amz-copy-source", name
        )
    call.permit("s3:GetObject", key, bucket)
    own_bucket(call, bucket)
    found = call.store.find(bucket, key)
    told.check_source(found.stored, call.headers)
    may_decrypt(call, found.stored.headers)
    return found


def part_number(call: Call) -> int:
    text = call.query.get("partNumber", "")
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST_PARTS):
        raise invalid_argument(
            f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive", "partNumber", text
        )
    return int(text)
