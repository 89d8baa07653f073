"""The regular expressions of service models, which are written for Java, as Python's.

They are compiled on first use: there are several hundred, and a process uses few of them. The whole value has to
match: the models have lost the `^` and `$` that AWS's own sources hold (`$|^[0-9a-zA-Z]+` was `^$|^[0-9a-zA-Z]+$`),
and AWS matches whole values.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

# `/d{12}` where `\d{12}` is meant: no real ARN could match, and AWS does not enforce it.
_MISSPELT = "/d{12}"
# The class holds the hyphen itself, so `-*` adds nothing to the repeated group but, for a caller's thirty hyphens and a
# character that does not fit, 2^30 ways to try. Names of jobs have it, where also `{0,63}` is said of 63 characters at most.
_RUNAWAY = (r"(-*[a-zA-Z0-9\+\-\.])", r"[a-zA-Z0-9\+\-\.]")
# PromptRouterArn: GetPromptRouter and DeletePromptRouter take the routers that accounts made as well, which it leaves out.
_DEFAULTS_ONLY = (":default-prompt-router/", ":(default-)?prompt-router/")
_PROPERTY = re.compile(r"\\([pP])\{(?:Is)?([A-Za-z]+)\}")


def matcher(pattern: str) -> Callable[[str], bool]:
    """A test of whole values, or one that accepts all where the pattern is known to be wrong."""
    if _MISSPELT in pattern:
        return lambda value: True
    return lambda value: _compiled(pattern)(value) is not None


@cache
def _compiled(pattern: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(translate(pattern)).fullmatch


def translate(pattern: str) -> str:
    r"""Java's `\p{L}`, which Python's `re` lacks, as the ranges it stands for. A negated one can't stand in a class."""
    pattern = pattern.replace(*_RUNAWAY).replace(*_DEFAULTS_ONLY)
    return _PROPERTY.sub(lambda match: _expand(match, pattern), pattern)


def _expand(match: re.Match[str], pattern: str) -> str:
    ranges = _ranges(match[2])
    before = pattern[: match.start()]
    inside = before.count("[") - before.count("\\[") > before.count("]") - before.count("\\]")
    if match[1] == "P":
        if inside:
            raise ValueError(f"a negated property in a character class: {pattern}")
        return f"[^{ranges}]"
    return ranges if inside else f"[{ranges}]"


_ALIASES = {"Alphabetic": "L", "Digit": "Nd", "Punctuation": "P"}


@cache
def _ranges(category: str) -> str:
    """All characters of a Unicode general category (or its first letter) as the inside of a character class."""
    wanted = _ALIASES.get(category, category)
    parts: list[str] = []
    start: int | None = None
    for code in range(0x110001):
        is_member = code < 0x110000 and unicodedata.category(chr(code)).startswith(wanted)
        if is_member and start is None:
            start = code
        elif not is_member and start is not None:
            parts.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    return "".join(parts)
