"""The three timestamp formats of rest-json, read strictly (as Smithy's malformed-request tests demand) and written.

`unixTimestamp` is the default in JSON bodies, `rfc822` in headers, `iso8601` in labels and queries.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?[Zz]", re.ASCII)
_HTTP_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d)(?:\.(\d+))? GMT", re.ASCII
)
_EPOCH_TEXT = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_MONTH_NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_MONTHS = {name: at for at, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def from_epoch(seconds: float) -> datetime:
    """Seconds since 1970 → aware UTC time; ValueError outside the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError) as error:
        raise ValueError("timestamp out of range") from error


def from_epoch_text(text: str) -> datetime:
    if not _EPOCH_TEXT.fullmatch(text):
        raise ValueError(f"not seconds since 1970: {text!r}")
    return from_epoch(float(text))


def from_date_time(text: str) -> datetime:
    """`2020-01-02T03:04:05[.678]Z`; an offset other than Z is refused, as Smithy's servers do."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 date-time in UTC: {text!r}")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    return datetime(year, month, day, hour, minute, second, _microseconds(match[7]), tzinfo=UTC)


def from_http_date(text: str) -> datetime:
    """`Tue, 29 Apr 2014 18:30:38 GMT` (IMF-fixdate, with optional fractional seconds)."""
    match = _HTTP_DATE.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        raise ValueError(f"not an HTTP date: {text!r}")
    day, year, hour, minute, second = (int(match[at]) for at in (1, 3, 4, 5, 6))
    return datetime(year, _MONTHS[match[2]], day, hour, minute, second, _microseconds(match[7]), tzinfo=UTC)


def _microseconds(fraction: str | None) -> int:
    return int(fraction[:6].ljust(6, "0")) if fraction else 0


def to_epoch(moment: datetime) -> int | float:
    """Whole seconds as int, else seconds with millisecond precision (what the protocol carries)."""
    seconds = round(moment.timestamp(), 3)
    return int(seconds) if seconds == int(seconds) else seconds


def to_date_time(moment: datetime) -> str:
    moment = moment.astimezone(UTC)
    text = f"{moment.year:04}-{moment.month:02}-{moment.day:02}T{moment.hour:02}:{moment.minute:02}:{moment.second:02}"
    if moment.microsecond:
        text += f".{moment.microsecond:06}".rstrip("0")
    return text + "Z"


def to_http_date(moment: datetime) -> str:
    """Written by hand because strftime follows the locale."""
    moment = moment.astimezone(UTC)
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTH_NAMES[moment.month - 1]} {moment.year:04} "
        f"{moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"
    )
