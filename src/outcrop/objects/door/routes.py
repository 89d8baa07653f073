"""Which operation a request asks for: its method, whether it names a bucket and a key, and the parameters that name what of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from outcrop.objects.door import buckets, listings, multipart, objects
from outcrop.objects.door.call import Answer, Call
from outcrop.objects.errors import ObjectsError, not_implemented

# Parameters that are no part of what is asked for.
_BESIDE = ("X-Amz-", "x-amz-", "response-", "x-id", "AWSAccessKeyId", "Signature", "Expires", "content-")
_LISTING = frozenset(
    {"prefix", "delimiter", "max-keys", "marker", "encoding-type", "list-type", "continuation-token", "start-after"}
) | {"fetch-owner"}
_UPLOADS = frozenset(
    {"uploads", "prefix", "delimiter", "max-uploads", "key-marker", "upload-id-marker", "encoding-type"}
)
_PARTS = frozenset({"uploadId", "max-parts", "part-number-marker", "encoding-type"})
_BUCKETS = frozenset({"prefix", "max-buckets", "continuation-token", "bucket-region"})

Takes: TypeAlias = Literal["nothing", "document", "content"]


@dataclass(frozen=True, slots=True)
class Route:
    """`action` is IAM's. `content` handlers get the checksum that came with the content, too."""

    name: str
    action: str
    takes: Takes
    handler: Callable[..., Answer]
    on_object: bool = True


def _simple(name: str, action: str, handler: Callable[[Call], Answer], takes: Takes = "nothing") -> Route:
    return Route(name, action, takes, handler, on_object=False)


LIST_BUCKETS = _simple("ListBuckets", "s3:ListAllMyBuckets", buckets.list_buckets)
CREATE_BUCKET = _simple("CreateBucket", "s3:CreateBucket", buckets.create_bucket, "document")
HEAD_BUCKET = _simple("HeadBucket", "s3:ListBucket", buckets.head_bucket)
DELETE_BUCKET = _simple("DeleteBucket", "s3:DeleteBucket", buckets.delete_bucket)
LOCATION = _simple("GetBucketLocation", "s3:GetBucketLocation", buckets.get_bucket_location)
VERSIONING = _simple("GetBucketVersioning", "s3:GetBucketVersioning", buckets.get_bucket_versioning)
LIST_V1 = _simple("ListObjects", "s3:ListBucket", listings.list_objects)
LIST_V2 = _simple("ListObjectsV2", "s3:ListBucket", listings.list_objects_v2)
LIST_UPLOADS = _simple("ListMultipartUploads", "s3:ListBucketMultipartUploads", listings.list_multipart_uploads)
# What each of them needs is asked for each of them.
DELETE_OBJECTS = _simple("DeleteObjects", "", objects.delete_objects, "document")

GET = Route("GetObject", "s3:GetObject", "nothing", objects.get_object)
HEAD = Route("HeadObject", "s3:GetObject", "nothing", objects.head_object)
PUT = Route("PutObject", "s3:PutObject", "content", objects.put_object)
COPY = Route("CopyObject", "s3:PutObject", "nothing", objects.copy_object)
DELETE = Route("DeleteObject", "s3:DeleteObject", "nothing", objects.delete_object)
CREATE_UPLOAD = Route("CreateMultipartUpload", "s3:PutObject", "nothing", multipart.create_multipart_upload)
PART = Route("UploadPart", "s3:PutObject", "content", multipart.upload_part)
PART_COPY = Route("UploadPartCopy", "s3:PutObject", "nothing", multipart.upload_part_copy)
COMPLETE = Route("CompleteMultipartUpload", "s3:PutObject", "document", multipart.complete_multipart_upload)
ABORT = Route("AbortMultipartUpload", "s3:AbortMultipartUpload", "nothing", multipart.abort_multipart_upload)
LIST_PARTS = Route("ListParts", "s3:ListMultipartUploadParts", "nothing", listings.list_parts)


def find(method: str, bucket: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Route:
    """NotImplemented for what S3 has and this has not; MethodNotAllowed."""
    names = {name for name in query if not name.startswith(_BESIDE)}
    if query.get("versionId") == "null":
        names.discard("versionId")
    if not bucket:
        found, known = (LIST_BUCKETS, _BUCKETS) if method == "GET" else (None, frozenset[str]())
    elif not key:
        found, known = _of_bucket(method, query)
    else:
        found, known = _of_object(method, query, copying="x-amz-copy-source" in headers)
    if strange := sorted(names - known):
        raise not_implemented(f"{method} with the parameter {strange[0][:64]}")
    if found is None:
        raise ObjectsError("MethodNotAllowed", "The specified method is not allowed against this resource.")
    return found


def _of_bucket(method: str, query: Mapping[str, str]) -> tuple[Route | None, frozenset[str]]:
    if method == "GET":
        if "location" in query:
            return LOCATION, frozenset({"location"})
        if "versioning" in query:
            return VERSIONING, frozenset({"versioning"})
        if "uploads" in query:
            return LIST_UPLOADS, _UPLOADS
        return (LIST_V2 if query.get("list-type") == "2" else LIST_V1), _LISTING
    if method == "POST":
        return (DELETE_OBJECTS if "delete" in query else None), frozenset({"delete"})
    return {"PUT": CREATE_BUCKET, "HEAD": HEAD_BUCKET, "DELETE": DELETE_BUCKET}.get(method), frozenset()


def _of_object(method: str, query: Mapping[str, str], *, copying: bool) -> tuple[Route | None, frozenset[str]]:
    part = frozenset({"partNumber"})
    if "uploadId" in query:
        whole = {"GET": LIST_PARTS, "POST": COMPLETE, "DELETE": ABORT}
        if method == "PUT":
            return (PART_COPY if copying else PART), part | {"uploadId"}
        return whole.get(method), _PARTS if method == "GET" else frozenset({"uploadId"})
    if method == "POST":
        return (CREATE_UPLOAD if "uploads" in query else None), frozenset({"uploads"})
    if method == "PUT":
        return (COPY if copying else PUT), frozenset()
    return {"GET": GET, "HEAD": HEAD, "DELETE": DELETE}.get(method), part if method in ("GET", "HEAD") else frozenset()
