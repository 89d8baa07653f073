"""JSON Schema's string formats as regular expressions, for decoders that know none or know them loosely.

Each is narrower than its format where being exact would be long: what fits here is always of the format, not the reverse.
Only syntax that means the same in every dialect of regular expressions, so that any engine may be handed it.
"""

from __future__ import annotations

from collections.abc import Mapping

_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_FOURTH = "(?:0[48]|[2468][048]|[13579][26])"
_LEAP_YEAR = f"(?:[0-9]{{2}}{_FOURTH}|{_FOURTH}00)"
_DAY = "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
_DATE = f"(?:{_YEAR}-{_DAY}|{_LEAP_YEAR}-02-29)"
_MINUTE = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_MINUTE}:[0-5][0-9](?:\.[0-9]{{1,6}})?(?:Z|[+-]{_MINUTE})"

_N = "[0-9]{1,6}"
_DAYS = f"(?:{_N}Y(?:{_N}M(?:{_N}D)?)?|{_N}M(?:{_N}D)?|{_N}D)"
_HOURS = f"T(?:{_N}H(?:{_N}M(?:{_N}S)?)?|{_N}M(?:{_N}S)?|{_N}S)"
_DURATION = f"P(?:{_DAYS}(?:{_HOURS})?|{_HOURS}|{_N}W)"

# No two hyphens in a row: "xn--..." would have to be valid Punycode.
_LABEL = "[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}"
_HOST = rf"{_LABEL}(?:\.{_LABEL}){{0,3}}"
# The last label has a letter, or it would be read as an IPv4 address.
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL}){{0,2}}\.[A-Za-z]{{2,20}}"
_ATOM = "[A-Za-z0-9_+-]{1,20}"
_EMAIL = rf"{_ATOM}(?:\.{_ATOM}){{0,2}}@{_DOMAIN}"

_PERCENT = "%[0-9A-F]{2}"
_SEGMENT = f"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{_PERCENT})"
_TAIL = f"(?:/{_SEGMENT}*)*(?:[?](?:{_SEGMENT}|[/?])*)?(?:#(?:{_SEGMENT}|[/?])*)?"
_URI = f"(?:[a-z][a-z0-9+-]{{0,15}}://{_HOST}(?::[1-9][0-9]{{0,3}})?{_TAIL}|mailto:{_EMAIL}|urn:[a-z0-9]{{2,20}}:{_SEGMENT}+)"

_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_WORD = "[0-9A-Fa-f]{1,4}"
_IPV6 = "|".join(
    [
        f"(?:{_WORD}:){{7}}{_WORD}",
        f"(?:{_WORD}:){{1,7}}:",
        *(f"(?:{_WORD}:){{1,{left}}}(?::{_WORD}){{1,{7 - left}}}" for left in range(1, 7)),
        f":(?::{_WORD}){{1,7}}",
        "::",
    ]
)

PATTERNS: Mapping[str, str] = {
    "date-time": f"{_DATE}T{_TIME}",
    "date": _DATE,
    "time": _TIME,
    "duration": _DURATION,
    "email": _EMAIL,
    "hostname": _HOST,
    "uri": _URI,
    "ipv4": rf"{_BYTE}(?:\.{_BYTE}){{3}}",
    "ipv6": f"(?:{_IPV6})",
    "uuid": "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
}
# Of JSON Schema too, and enforced by nobody here: they say something to the model and promise nothing.
UNENFORCED = (
    "idn-email", "idn-hostname", "iri", "iri-reference", "json-pointer", "regex", "relative-json-pointer", "uri-reference",
    "uri-template",
)  # fmt: skip
EXAMPLES: Mapping[str, str] = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "a@example.com",
    "hostname": "example.com",
    "uri": "https://example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
