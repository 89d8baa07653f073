"""Operations on multipart uploads."""

from __future__ import annotations

from typing import cast

from outcrop.objects import checksums
from outcrop.objects.checksums import ALGORITHMS, COMBINABLE, Checksum, Kind
from outcrop.objects.door import headers as told
from outcrop.objects.door.buckets import xml_answer
from outcrop.objects.door.call import Answer, Call
from outcrop.objects.door.content import announced_checksum
from outcrop.objects.door.objects import copy_source, part_number
from outcrop.objects.door.xml import Element, malformed, parsed, quoted, timestamp
from outcrop.objects.errors import ObjectsError, invalid_argument
from outcrop.objects.local import uploads
from outcrop.objects.local.sealing import of_encryption
from outcrop.objects.local.uploads import Upload, Wanted


def create_multipart_upload(call: Call) -> Answer:
    algorithm, kind = _asked(call)
    described = told.described(call.headers, call.encryption)
    upload = uploads.begin(call.store, call.bucket, call.key, described, algorithm, kind)
    headers = of_encryption(upload.described.headers)
    if algorithm is not None and kind is not None:
        headers |= {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
    content: dict[str, object] = {"Bucket": call.bucket, "Key": call.key, "UploadId": upload.id}
    return xml_answer("InitiateMultipartUploadResult", content, headers)


def _asked(call: Call) -> tuple[str | None, Kind | None]:
    """Algorithm and type of the object's checksum."""
    algorithm = call.headers.get("x-amz-checksum-algorithm", "").upper()
    kind = call.headers.get("x-amz-checksum-type", "").upper()
    if not algorithm:
        return None, None
    if algorithm not in ALGORITHMS:
        raise ObjectsError(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            "[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    if not kind:
        kind = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
    if kind not in ("FULL_OBJECT", "COMPOSITE"):
        raise ObjectsError("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    if (kind == "FULL_OBJECT" and algorithm not in COMBINABLE) or (kind == "COMPOSITE" and algorithm == "CRC64NVME"):
        raise ObjectsError(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm.",
        )
    return algorithm, cast(Kind, kind)


def upload_of(call: Call) -> Upload:
    return uploads.find(call.store.database, call.bucket, call.key, call.query.get("uploadId", ""))


def upload_part(call: Call, checksum: Checksum | None) -> Answer:
    upload = upload_of(call)
    if checksum is not None and upload.algorithm not in (None, checksum.algorithm):
        raise ObjectsError(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm}, "
            f"actual checksum Type: {checksum.algorithm}",
        )
    part = uploads.add_part(call.store, upload, part_number(call), call.content)
    shown = checksum
    if shown is None and upload.algorithm is not None and part.checksum is not None:
        shown = Checksum(upload.algorithm, part.checksum)
    headers = {"etag": quoted(part.etag), **of_encryption(upload.described.headers)}
    return Answer(headers=headers | ({} if shown is None else {shown.header: shown.value}))


def upload_part_copy(call: Call) -> Answer:
    """The bytes pass through this process, whose memory holds one block of them."""
    upload, number, source = upload_of(call), part_number(call), copy_source(call)
    stored = source.stored
    start, stop = 0, stored.size
    if (text := call.headers.get("x-amz-copy-source-range")) is not None:
        span = told.range_of(text, stored.size)
        if span is None or not text.rpartition("-")[2] or int(text.rpartition("-")[2]) >= stored.size:
            raise invalid_argument(
                "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
                "zero-based offsets of the first and last bytes to copy",
                "x-amz-copy-source-range",
                text,
            )
        start, stop = span
    algorithms = () if upload.algorithm is None else (upload.algorithm,)
    draft = call.store.draft(upload.described.headers, algorithms)
    try:
        with call.store.reading(source, start, stop) as reading:
            for chunk in reading:
                draft.write(chunk)
        part = uploads.add_part(call.store, upload, number, draft)
    finally:
        draft.discard()
    content: dict[str, object] = {"LastModified": timestamp(part.modified_at), "ETag": quoted(part.etag)}
    if upload.algorithm is not None and part.checksum is not None:
        content[Checksum(upload.algorithm, part.checksum).element] = part.checksum
    return xml_answer("CopyPartResult", content, of_encryption(upload.described.headers))


def complete_multipart_upload(call: Call) -> Answer:
    document = parsed(call.body, "CompleteMultipartUpload")
    _, full = _full_checksum(call)
    stored = uploads.complete(
        call.store,
        call.bucket,
        call.key,
        call.query["uploadId"],
        [_wanted(part) for part in document.children("Part")],
        full_checksum=full,
        condition=told.condition(call.headers),
    )
    checksum = stored.checksum
    more = {} if checksum is None else {checksum.element: checksum.value, "ChecksumType": checksum.kind}
    content: dict[str, object] = {
        "Location": call.url,
        "Bucket": call.bucket,
        "Key": call.key,
        "ETag": quoted(stored.etag),
        **more,
    }
    return xml_answer("CompleteMultipartUploadResult", content, of_encryption(stored.headers))


def _full_checksum(call: Call) -> tuple[str | None, str | None]:
    """What the header says of the whole object; a composite one ends with the number of parts."""
    for algorithm in ALGORITHMS:
        value = call.headers.get(checksums.header_of(algorithm), "")
        if "-" in value:
            return algorithm, value
    return announced_checksum(call.headers)


def _wanted(part: Element) -> Wanted:
    number, etag = part.text("PartNumber") or "", (part.text("ETag") or "").strip().strip('"')
    if not (number.isascii() and number.isdigit() and len(number) < 6 and etag):
        raise malformed()
    given = (part.text(f"Checksum{algorithm}") for algorithm in ALGORITHMS)
    return Wanted(int(number), etag, next((value for value in given if value), None))


def abort_multipart_upload(call: Call) -> Answer:
    uploads.abort(call.store, upload_of(call))
    return Answer(204)
