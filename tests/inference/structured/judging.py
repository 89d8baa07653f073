"""The judge of the tests is another library than the one the server uses, with Python's own parsers, and strict JSON."""

from __future__ import annotations

import datetime
import ipaddress
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import orjson


def fits(text: str, schema: Any) -> bool:
    value = orjson.loads(text)
    validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    return bool(validator(schema, format_checker=FORMATS).is_valid(value))


def _with_zone(moment: datetime.datetime | datetime.time) -> bool:
    return moment.tzinfo is not None


def _is_duration(text: str) -> bool:
    """RFC 3339's: each unit once, in order, none left out between two, weeks alone."""
    found = re.fullmatch(r"P(.*?)(?:T(.+))?", text, re.ASCII)
    if found is None:
        return False
    units = [re.sub(r"\d+", "", part) for part in (found[1] or "", found[2] or "")]
    if not re.fullmatch(r"(\d+[YMDWHS])*", (found[1] or "") + (found[2] or ""), re.ASCII):
        return False
    if units[0] == "W":
        return found[2] is None
    return units != ["", ""] and units[0] in "YMD" and units[1] in "HMS"


def _is_hostname(text: str) -> bool:
    labels = text.split(".")
    return len(text) < 254 and all(re.fullmatch(r"(?!-)(?!..--)[A-Za-z0-9-]{1,63}(?<!-)", label) for label in labels)


def _is_email(text: str) -> bool:
    local, at, host = text.rpartition("@")
    return at == "@" and 0 < len(local) <= 64 and all(local.split(".")) and _is_hostname(host)


def _is_uri(text: str) -> bool:
    parts = urlsplit(text)
    # The port is read, and is in range, or urllib raises.
    known = parts.port is None or 0 <= parts.port < 65536
    return (
        known
        and bool(re.fullmatch(r"[a-z][a-z0-9+.-]*", parts.scheme))
        and bool(parts.netloc or parts.path)
        and text.isascii()
    )


def _with_a_year(text: str) -> str:
    """RFC 3339 has a year 0, a leap year; Python has none."""
    return f"0004{text[4:]}" if text.startswith("0000") else text


PARSERS: Mapping[str, Callable[[str], object]] = {
    "date-time": lambda text: _with_zone(datetime.datetime.fromisoformat(_with_a_year(text))),
    "date": lambda text: datetime.date.fromisoformat(_with_a_year(text)),
    "time": lambda text: _with_zone(datetime.time.fromisoformat(text)),
    "duration": _is_duration,
    "email": _is_email,
    "hostname": _is_hostname,
    "uri": _is_uri,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "uuid": uuid.UUID,
}
FORMATS = jsonschema.FormatChecker(formats=())


def _checked(parse: Callable[[str], object]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or parse(value) is not False


FORMATS.checkers = {name: (_checked(parse), ValueError) for name, parse in PARSERS.items()}
