"""Headers of objects: those that are kept with one, those that hold a request to a condition, and those that nothing here does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from outcrop.objects.checksums import Checksum
from outcrop.objects.errors import ObjectsError, not_implemented, precondition_failed
from outcrop.objects.local.rows import Described
from outcrop.objects.local.store import Condition
from outcrop.objects.objects import CONTENT_TYPE, Stored

KEPT = ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires")
METADATA = "x-amz-meta-"
# S3's own limit, over names and values.
MOST_METADATA = 2048
# What a caller who sends them counts on does not happen here, so they are refused.
_NOT_BUILT = (
    "x-amz-object-lock-",
    "x-amz-server-side-encryption-customer-",
    "x-amz-server-side-encryption-context",
    "x-amz-grant-",
    "x-amz-tagging",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
)
_PRIVATE = frozenset({"private", "bucket-owner-full-control", "bucket-owner-read"})


def described(headers: Mapping[str, str], encryption: Mapping[str, str]) -> Described:
    """What is kept with the object that a request brings, with how it is encrypted."""
    kept = {name: headers[name] for name in KEPT if name in headers}
    if "content-encoding" in kept:
        # What the body was wrapped in on its way is no part of the object.
        encodings = [part.strip() for part in kept.pop("content-encoding").split(",")]
        if left := [part for part in encodings if part and part != "aws-chunked"]:
            kept["content-encoding"] = ",".join(left)
    kept.setdefault("content-type", CONTENT_TYPE)
    metadata = {name.removeprefix(METADATA): value for name, value in headers.items() if name.startswith(METADATA)}
    size = sum(len(name) + len(value) for name, value in metadata.items())
    if size > MOST_METADATA:
        raise ObjectsError(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            {"Size": str(size), "MaxSizeAllowed": str(MOST_METADATA)},
        )
    return Described({**kept, **encryption}, metadata)


def refuse_not_built(headers: Mapping[str, str]) -> None:
    """NotImplemented, as S3 answers a header for something that it has not."""
    for name, value in headers.items():
        if name.startswith(_NOT_BUILT):
            raise not_implemented(f"What the header {name} asks for")
        if name == "x-amz-acl" and value not in _PRIVATE:
            raise not_implemented(f"The ACL {value[:64]}")
    if headers.get("x-amz-storage-class", "STANDARD") != "STANDARD":
        raise ObjectsError("InvalidStorageClass", "The storage class you specified is not valid")


def of_object(stored: Stored, query: Mapping[str, str], *, checksum: bool) -> dict[str, str]:
    """`query` may ask for other values of some, as presigned links do."""
    found = {
        "etag": f'"{stored.etag}"',
        "last-modified": http_date(stored.modified_at),
        "accept-ranges": "bytes",
        "content-type": CONTENT_TYPE,
        **stored.headers,
    }
    found |= {f"{METADATA}{name}": value for name, value in stored.metadata.items()}
    for name in KEPT:
        if (value := query.get(f"response-{name}")) is not None:
            found[name] = value
    if checksum and stored.checksum is not None:
        found |= of_checksum(stored.checksum)
    return found


def of_checksum(checksum: Checksum | None) -> dict[str, str]:
    return {} if checksum is None else {checksum.header: checksum.value, "x-amz-checksum-type": checksum.kind}


def http_date(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC).replace(microsecond=0), usegmt=True)


def not_modified(stored: Stored, headers: Mapping[str, str]) -> bool:
    """Whether the client has it already; PreconditionFailed if it wants another one. In the order of RFC 9110, 13.2.2."""
    check(stored, headers)
    if (unless := headers.get("if-none-match")) is not None:
        return _names(unless, stored)
    since = _date(headers.get("if-modified-since"))
    return since is not None and _second(stored) <= since


def check(stored: Stored, headers: Mapping[str, str], prefix: str = "") -> None:
    """The conditions that a request must meet to be done. `prefix` is that of a copy's source."""
    if (wanted := headers.get(f"{prefix}if-match")) is not None:
        if not _names(wanted, stored):
            raise precondition_failed("If-Match")
    elif (until := _date(headers.get(f"{prefix}if-unmodified-since"))) is not None and _second(stored) > until:
        raise precondition_failed("If-Unmodified-Since")


def check_source(stored: Stored, headers: Mapping[str, str]) -> None:
    """The same for a copy, which is not done either if the source has not changed."""
    prefix = "x-amz-copy-source-"
    check(stored, headers, prefix)
    unless, since = headers.get(f"{prefix}if-none-match"), _date(headers.get(f"{prefix}if-modified-since"))
    if unless is not None:
        if _names(unless, stored):
            raise precondition_failed("x-amz-copy-source-If-None-Match")
    elif since is not None and _second(stored) <= since:
        raise precondition_failed("x-amz-copy-source-If-Modified-Since")


def condition(headers: Mapping[str, str]) -> Condition:
    """What a write asks of the object that is there, or is not, when it is done."""
    unless, wanted = headers.get("if-none-match"), headers.get("if-match")
    if unless not in (None, "*"):
        raise not_implemented("If-None-Match with anything but *")

    def holds(there: Stored | None) -> None:
        if unless is not None and there is not None:
            raise precondition_failed("If-None-Match")
        if wanted is not None:
            if there is None:
                raise ObjectsError("NoSuchKey", "The specified key does not exist.")
            if not _names(wanted, there):
                raise precondition_failed("If-Match")

    return holds


def range_of(text: str | None, size: int) -> tuple[int, int] | None:
    """Start and stop; None for the whole, which is also what a range in no known form gets. InvalidRange if nothing is in it."""
    if text is None or not text.startswith("bytes=") or "," in text:
        return None
    first, dash, last = text.removeprefix("bytes=").strip().partition("-")
    if not dash or not all(part == "" or (part.isascii() and part.isdigit()) for part in (first, last)):
        return None
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    elif last:
        start, stop = max(size - int(last), 0), size
    else:
        return None
    if start >= size or stop <= start:
        raise ObjectsError(
            "InvalidRange",
            "The requested range is not satisfiable",
            {"RangeRequested": text[:64], "ActualObjectSize": str(size)},
        )
    return start, stop


def _names(etags: str, stored: Stored) -> bool:
    return any(tag.strip().removeprefix("W/").strip('"') in ("*", stored.etag) for tag in etags.split(","))


def _date(text: str | None) -> datetime | None:
    """None, too, for what is no date: such a condition is left out."""
    try:
        found = None if text is None else parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found is None or found.tzinfo is not None else found.replace(tzinfo=UTC)


def _second(stored: Stored) -> datetime:
    """Dates in headers have no fractions."""
    return stored.modified_at.replace(microsecond=0)
