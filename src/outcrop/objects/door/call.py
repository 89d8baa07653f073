"""One S3 call, and what is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from outcrop.identity import arns
from outcrop.identity.caller import Caller
from outcrop.objects.local.blobs import Draft
from outcrop.objects.local.store import LocalStore
from outcrop.objects.objects import Reading

XML = "application/xml"


@dataclass(slots=True)
class Call:
    """`bucket` and `key` are decoded; `query` has the parameters as they mean, `headers` are folded and lower case.

    `may` raises unless the caller may do an action on an ARN.
    `draft` holds the content of an operation that takes any, `body` the document of one that takes that; `encryption` are
    the headers that are kept of how it is to be encrypted.
    """

    store: LocalStore
    caller: Caller
    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    url: str
    region: str
    may: Callable[[str, str], None]
    draft: Draft | None = None
    body: bytes = b""
    encryption: Mapping[str, str] = field(default_factory=dict)

    def permit(self, action: str, key: str = "", bucket: str = "") -> None:
        """ObjectsError AccessDenied, in IAM's words, unless the caller may do that to an object or, without a key, to a bucket."""
        self.may(action, arn(self.region, bucket or self.bucket, key))

    @property
    def content(self) -> Draft:
        assert self.draft is not None
        return self.draft


@dataclass(slots=True)
class Answer:
    """`length` is told where the body is not sent, as for HEAD."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Reading = b""
    length: int | None = None


def arn(region: str, bucket: str, key: str = "") -> str:
    """Of an object or a bucket; `*` where there is neither."""
    if not bucket:
        return "*"
    name = f"{bucket}/{key}" if key else bucket
    return f"arn:{arns.partition_of(region)}:s3:::{name}"


def parameters(query: str) -> dict[str, str]:
    """The parameters of a query, decoded; the first of each name."""
    found: dict[str, str] = {}
    # A plus sign stands for itself in what AWS's clients send and sign.
    for name, value in parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, errors="surrogateescape"):
        found.setdefault(name, value)
    return found
