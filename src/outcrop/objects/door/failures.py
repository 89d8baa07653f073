"""Errors as S3's documents. The only place that gives one its HTTP status."""

from __future__ import annotations

from outcrop.objects.door.call import XML
from outcrop.objects.door.xml import document
from outcrop.objects.errors import ObjectsError

# What is not named here is 400.
STATUS = {
    "AccessDenied": 403,
    "BucketAlreadyExists": 409,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidPartNumber": 416,
    "InvalidRange": 416,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NotImplemented": 501,
    "PermanentRedirect": 301,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "SignatureDoesNotMatch": 403,
}


def written(problem: ObjectsError, resource: str, request_id: str) -> tuple[int, dict[str, str], bytes]:
    content = {
        "Code": problem.code,
        "Message": problem.message,
        **problem.members,
        "Resource": resource,
        "RequestId": request_id,
        "HostId": request_id,
    }
    status = STATUS.get(problem.code, 400)
    headers = {"content-type": XML}
    if problem.code == "InvalidRange":
        headers["content-range"] = f"bytes */{problem.members.get('ActualObjectSize', '*')}"
    return status, headers, document("Error", content, namespace="")
