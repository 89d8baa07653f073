"""What can go wrong with objects, in S3's codes and words. The S3 interface gives each its HTTP status."""

from __future__ import annotations

from collections.abc import Mapping


class ObjectsError(Exception):
    """`code` is S3's (`NoSuchKey`); `members` are further elements of its error document."""

    def __init__(self, code: str, message: str, members: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.members: Mapping[str, str] = members or {}


def no_such_bucket(bucket: str) -> ObjectsError:
    return ObjectsError("NoSuchBucket", "The specified bucket does not exist", {"BucketName": bucket})


def no_such_key(key: str) -> ObjectsError:
    return ObjectsError("NoSuchKey", "The specified key does not exist.", {"Key": key})


def access_denied(message: str = "Access Denied") -> ObjectsError:
    return ObjectsError("AccessDenied", message)


def precondition_failed(condition: str) -> ObjectsError:
    return ObjectsError(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        {"Condition": condition},
    )


def not_implemented(what: str) -> ObjectsError:
    return ObjectsError("NotImplemented", f"{what} is not built in this version of Outcrop.")


def invalid_argument(message: str, name: str = "", value: str = "") -> ObjectsError:
    members = {"ArgumentName": name, "ArgumentValue": value[:256]} if name else {}
    return ObjectsError("InvalidArgument", message, members)
