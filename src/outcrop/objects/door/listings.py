"""What is in a bucket, in both versions of the listing, and the uploads that are under way."""

from __future__ import annotations

import base64
import binascii

from outcrop.objects.checksums import Checksum
from outcrop.objects.door.buckets import xml_answer
from outcrop.objects.door.call import Answer, Call
from outcrop.objects.door.xml import quoted, timestamp, url_encoded
from outcrop.objects.errors import invalid_argument
from outcrop.objects.local import rows, uploads
from outcrop.objects.local.listing import common_prefix
from outcrop.objects.local.uploads import Upload
from outcrop.objects.objects import LARGEST_PAGE, Page, Stored


def list_objects_v2(call: Call) -> Answer:
    query = call.query
    token, start_after = query.get("continuation-token"), query.get("start-after", "")
    limit = _limit(call, "max-keys")
    page = _page(call, start_after if token is None else _opened(token), limit)
    content: dict[str, object] = {
        "Name": call.bucket,
        "Prefix": _told(call, query.get("prefix", "")),
        "Delimiter": _told(call, query["delimiter"]) if query.get("delimiter") else None,
        "MaxKeys": limit,
        "EncodingType": query.get("encoding-type"),
        "KeyCount": len(page.objects) + len(page.prefixes),
        "IsTruncated": page.after is not None,
        "ContinuationToken": token,
        "NextContinuationToken": None if page.after is None else _sealed(page.after),
        "StartAfter": _told(call, start_after) if start_after else None,
    }
    owner = query.get("fetch-owner") == "true"
    return xml_answer("ListBucketResult", content | _contents(call, page, owner=owner))


def list_objects(call: Call) -> Answer:
    """The first version: it goes on after a key, or after a common prefix, that the caller names."""
    query = call.query
    limit = _limit(call, "max-keys")
    page = _page(call, query.get("marker", ""), limit)
    content: dict[str, object] = {
        "Name": call.bucket,
        "Prefix": _told(call, query.get("prefix", "")),
        "Marker": _told(call, query.get("marker", "")),
        "Delimiter": _told(call, query["delimiter"]) if query.get("delimiter") else None,
        "MaxKeys": limit,
        "EncodingType": query.get("encoding-type"),
        "IsTruncated": page.after is not None,
        "NextMarker": _told(call, page.after) if page.after is not None else None,
    }
    return xml_answer("ListBucketResult", content | _contents(call, page, owner=True))


def list_multipart_uploads(call: Call) -> Answer:
    query = call.query
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    marker = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
    limit = _limit(call, "max-uploads")
    listed: list[dict[str, object]] = []
    prefixes: list[str] = []
    last = marker
    truncated = False
    for upload in uploads.of_bucket(call.store.database, call.bucket):
        if not upload.key.startswith(prefix) or not _is_after(upload, marker):
            continue
        common = common_prefix(upload.key, prefix, delimiter)
        if common is not None and common in prefixes:
            continue
        if len(listed) + len(prefixes) == limit:
            truncated = True
            break
        if common is None:
            listed.append(_upload(call, upload))
        else:
            prefixes.append(common)
        last = (upload.key, upload.id)
    content: dict[str, object] = {
        "Bucket": call.bucket,
        "KeyMarker": _told(call, marker[0]),
        "UploadIdMarker": marker[1],
        "NextKeyMarker": _told(call, last[0]) if truncated else None,
        "NextUploadIdMarker": last[1] if truncated else None,
        "Prefix": _told(call, prefix) if prefix else None,
        "Delimiter": _told(call, delimiter) if delimiter else None,
        "EncodingType": query.get("encoding-type"),
        "MaxUploads": limit,
        "IsTruncated": truncated,
        "Upload": listed,
        "CommonPrefixes": [{"Prefix": _told(call, one)} for one in prefixes],
    }
    return xml_answer("ListMultipartUploadsResult", content)


def list_parts(call: Call) -> Answer:
    upload = uploads.find(call.store.database, call.bucket, call.key, call.query["uploadId"])
    limit = _limit(call, "max-parts")
    marker = call.query.get("part-number-marker", "0")
    if not (marker.isascii() and marker.isdigit()):
        raise invalid_argument("The part number marker is not a number.", "part-number-marker", marker)
    after = [part for part in rows.parts_of(call.store.database, upload.id) if part.number > int(marker)]
    listed = [
        {
            "PartNumber": part.number,
            "LastModified": timestamp(part.modified_at),
            "ETag": quoted(part.etag),
            "Size": part.size,
            **_part_checksum(upload, part.checksum),
        }
        for part in after[:limit]
    ]
    truncated = len(after) > len(listed)
    content: dict[str, object] = {
        "Bucket": call.bucket,
        "Key": call.key,
        "UploadId": upload.id,
        "Initiator": {"ID": call.caller.account},
        "Owner": {"ID": call.caller.account},
        "StorageClass": "STANDARD",
        "PartNumberMarker": int(marker),
        "NextPartNumberMarker": listed[-1]["PartNumber"] if listed else 0,
        "MaxParts": limit,
        "IsTruncated": truncated,
        "ChecksumAlgorithm": upload.algorithm,
        "ChecksumType": upload.kind,
        "Part": listed,
    }
    return xml_answer("ListPartsResult", content)


def _page(call: Call, after: str, limit: int) -> Page:
    query = call.query
    return call.store.list(call.bucket, query.get("prefix", ""), query.get("delimiter", ""), after, limit)


def _contents(call: Call, page: Page, *, owner: bool) -> dict[str, object]:
    return {
        "Contents": [_listed(call, stored, owner=owner) for stored in page.objects],
        "CommonPrefixes": [{"Prefix": _told(call, prefix)} for prefix in page.prefixes],
    }


def _listed(call: Call, stored: Stored, *, owner: bool) -> dict[str, object]:
    return {
        "Key": _told(call, stored.key),
        "LastModified": timestamp(stored.modified_at),
        "ETag": quoted(stored.etag),
        "Size": stored.size,
        "StorageClass": "STANDARD",
        "Owner": {"ID": call.caller.account} if owner else None,
    }


def _upload(call: Call, upload: Upload) -> dict[str, object]:
    return {
        "Key": _told(call, upload.key),
        "UploadId": upload.id,
        "Initiator": {"ID": call.caller.account},
        "Owner": {"ID": call.caller.account},
        "StorageClass": "STANDARD",
        "Initiated": timestamp(upload.initiated_at),
        "ChecksumAlgorithm": upload.algorithm,
        "ChecksumType": upload.kind,
    }


def _part_checksum(upload: Upload, value: str | None) -> dict[str, object]:
    if upload.algorithm is None or value is None:
        return {}
    return {Checksum(upload.algorithm, value).element: value}


def _is_after(upload: Upload, marker: tuple[str, str]) -> bool:
    """An id alone means nothing; a key alone leaves out all uploads of that key."""
    key, upload_id = marker
    if not key:
        return True
    return upload.key > key or (upload.key == key and upload_id != "" and upload.id > upload_id)


def _limit(call: Call, name: str) -> int:
    text = call.query.get(name, "")
    if text == "":
        return LARGEST_PAGE
    if not (text.isascii() and text.isdigit() and len(text) < 11):
        raise invalid_argument(f"Provided {name} not an integer or within integer range", name, text)
    return min(int(text), LARGEST_PAGE)


def _told(call: Call, key: str) -> str:
    encoding = call.query.get("encoding-type")
    if encoding not in (None, "url"):
        raise invalid_argument("Invalid Encoding Method specified in Request", "encoding-type", encoding)
    return key if encoding is None else url_encoded(key)


def _sealed(after: str) -> str:
    return base64.urlsafe_b64encode(after.encode()).decode()


def _opened(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise invalid_argument("The continuation token provided is incorrect", "continuation-token", token) from None
