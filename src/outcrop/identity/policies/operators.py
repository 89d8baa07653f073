"""The condition operators: what each compares, and which values it takes.

Source: the IAM user guide, "IAM JSON policy elements: Condition operators".
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Literal, TypeAlias

# How the values of a policy are compared with one of a request.
Comparison: TypeAlias = Literal[
    "string", "string-ignoring-case", "like", "arn", "numeric", "date", "bool", "binary", "ip", "null"
]
Quantifier: TypeAlias = Literal["all", "any"]
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")


class BadValue(ValueError):
    """A sentence about a value that the operator cannot compare."""


@dataclass(frozen=True, slots=True)
class Operator:
    """`order` is for numbers and dates: how the request's value relates to the policy's (`<`, `<=`, `>`, `>=`, `=`)."""

    name: str
    comparison: Comparison
    order: str = "="
    negated: bool = False
    quantifier: Quantifier | None = None
    if_exists: bool = False

    @property
    def variables(self) -> bool:
        return self.comparison in ("string", "string-ignoring-case", "like", "arn")

    def check(self, value: str) -> None:
        """Raises BadValue."""
        reader = _READERS.get(self.comparison)
        if reader is not None and reader(value) is None:
            raise BadValue(f"{value!r} is no {_WORDS[self.comparison]}.")


@lru_cache(maxsize=4096)
def number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


@lru_cache(maxsize=4096)
def date(text: str) -> float | None:
    """POSIX seconds of an ISO 8601 date, or of digits that are such seconds."""
    if text.isascii() and text.isdigit() and len(text) <= 12 and len(text) != 8:
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def binary(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


@lru_cache(maxsize=4096)
def network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def address(text: str) -> Address | None:
    """An IPv4 address inside an IPv6 one is that IPv4 address."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _arn(text: str) -> bool | None:
    return True if text == "*" or text.startswith(("arn:", "${")) else None


_READERS: Mapping[Comparison, Callable[[str], object]] = {
    "numeric": number,
    "date": date,
    "bool": boolean,
    "binary": binary,
    "ip": network,
    "null": boolean,
    "arn": _arn,
}
_WORDS: Mapping[Comparison, str] = {
    "numeric": "number",
    "date": "date in ISO 8601 and no number of seconds",
    "bool": "boolean: write true or false",
    "binary": "base64",
    "ip": "IP address or CIDR block",
    "null": "boolean: write true or false",
    "arn": "ARN",
}
_ORDERED: tuple[tuple[str, Comparison], ...] = (("Numeric", "numeric"), ("Date", "date"))
_QUANTIFIERS: tuple[tuple[str, Quantifier | None], ...] = (
    ("", None),
    ("ForAllValues:", "all"),
    ("ForAnyValue:", "any"),
)


def _plain() -> Iterator[Operator]:
    yield Operator("StringEquals", "string")
    yield Operator("StringNotEquals", "string", negated=True)
    yield Operator("StringEqualsIgnoreCase", "string-ignoring-case")
    yield Operator("StringNotEqualsIgnoreCase", "string-ignoring-case", negated=True)
    yield Operator("StringLike", "like")
    yield Operator("StringNotLike", "like", negated=True)
    for prefix, compared in _ORDERED:
        yield Operator(f"{prefix}Equals", compared)
        yield Operator(f"{prefix}NotEquals", compared, negated=True)
        yield Operator(f"{prefix}LessThan", compared, "<")
        yield Operator(f"{prefix}LessThanEquals", compared, "<=")
        yield Operator(f"{prefix}GreaterThan", compared, ">")
        yield Operator(f"{prefix}GreaterThanEquals", compared, ">=")
    yield Operator("Bool", "bool")
    yield Operator("BinaryEquals", "binary")
    yield Operator("IpAddress", "ip")
    yield Operator("NotIpAddress", "ip", negated=True)
    # Both take wildcards, says the user guide: they do the same.
    yield Operator("ArnEquals", "arn")
    yield Operator("ArnLike", "arn")
    yield Operator("ArnNotEquals", "arn", negated=True)
    yield Operator("ArnNotLike", "arn", negated=True)


def _all() -> Iterator[Operator]:
    yield Operator("Null", "null")
    for plain in _plain():
        for prefix, quantifier in _QUANTIFIERS:
            for if_exists in (False, True):
                name = f"{prefix}{plain.name}{'IfExists' * if_exists}"
                yield Operator(name, plain.comparison, plain.order, plain.negated, quantifier, if_exists)


# By name in lower case.
OPERATORS: Mapping[str, Operator] = {operator.name.lower(): operator for operator in _all()}
