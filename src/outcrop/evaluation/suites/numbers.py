"""Numbers in answers, as the languages of MGSM write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

# Which sign groups digits, and which one begins the decimals. Spaces of all kinds group everywhere.
_COMMA_DECIMALS = frozenset({"de", "es", "fr", "ru"})
_SPACES = "\u0020\u00a0\u2009\u202f"
_SIGNS: Mapping[int, int] = {ord("−"): ord("-"), ord("－"): ord("-"), ord("，"): ord(","), ord("．"): ord(".")}
_NUMBER = re.compile(rf"(?<![\d.,])-?\d+(?:[.,’'{_SPACES}]\d+)*")
_GROUPED = re.compile(rf"\d{{1,3}}(?:[.,’'{_SPACES}]\d{{3}})+")
# 1,00,000, as in Bengali and Telugu.
_INDIAN = re.compile(r"\d{1,2}(?:,\d{2})*,\d{3}")


def numbers(text: str, language: str = "en") -> list[str]:
    """All numbers in a text, in order, as plain digits: "1.250,00 €" in German is "1250"."""
    found: list[str] = []
    for match in _NUMBER.finditer(_plain(text)):
        found += _read(match[0], language)
    return found


def last(text: str, language: str = "en") -> str | None:
    found = numbers(text, language)
    return found[-1] if found else None


def equal(one: str | None, other: str) -> bool:
    """As numbers: 18 is 18.0."""
    if one is None:
        return False
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


def _plain(text: str) -> str:
    """Digits of any script as ASCII's: ১৮ in Bengali, ౧౮ in Telugu, ๑๘ in Thai, １８ in full width."""
    digits = (str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)
    return "".join(digits).translate(_SIGNS)


def _read(token: str, language: str) -> list[str]:
    sign, body = ("-", token[1:]) if token.startswith("-") else ("", token)
    body = re.sub(r"[’']", " ", body)
    if not re.search(r"[.,]", body):
        return _spaced(sign, body)
    decimal = _decimal_sign(body, language)
    if decimal is None:
        return [sign + re.sub(r"\D", "", body)]
    whole, _, fraction = body.rpartition(decimal)
    before = _spaced(sign, whole) if re.search(rf"[{_SPACES}]", whole) else [sign + re.sub(r"\D", "", whole)]
    fraction, *others = re.split(rf"[{_SPACES}]", fraction)
    fraction = fraction.rstrip("0")
    return [*before[:-1], f"{before[-1]}.{fraction}" if fraction else before[-1], *others]


def _spaced(sign: str, body: str) -> list[str]:
    """ "1 250" is a number, "16 3 4" are three."""
    if _GROUPED.fullmatch(body):
        return [sign + re.sub(r"\D", "", body)]
    first, *others = re.split(rf"[{_SPACES}]", body)
    return [sign + first, *others]


def _decimal_sign(body: str, language: str) -> str | None:
    """None where all signs group digits."""
    if "." in body and "," in body:
        return max(".,", key=body.rfind)
    grouped = _GROUPED.fullmatch(body) is not None
    if "," in body:
        groups = grouped or _INDIAN.fullmatch(body) is not None or body.count(",") > 1
        return None if groups else ","
    # A dot before three digits groups in languages whose decimals begin with a comma.
    if grouped and (language in _COMMA_DECIMALS or body.count(".") > 1):
        return None
    return "."
