"""How hard a prompt looks, from 0 to 1, by features that anybody can count. No model is asked.

Every feature is a number from 0 to 1 that more of the thing never lowers; the difficulty is the logistic function of
their weighted sum. The weights were chosen by hand and are explained, with what they were measured to be worth, in
docs/how-to/routers.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

# Of a longer text the first and the last part are read: what is asked stands at one of its ends.
LONGEST_END = 1000

BIAS = -2.5
WEIGHTS: Mapping[str, float] = {
    "length": 1.6,
    "context": 0.8,
    "requests": 1.2,
    "reasoning": 2.0,
    "mathematics": 1.8,
    "code": 1.8,
    "vocabulary": 0.8,
    "language": 1.2,
    "turns": 0.6,
    "tools": 0.8,
    "images": 0.8,
}


@dataclass(frozen=True, slots=True)
class Outline:
    """What a router looks at in a request.

    `text` is the last thing that the user wrote; `characters` counts everything that is sent; `turns` the user's
    messages; `needs` names the members of `Capabilities` that the model must have.
    """

    text: str = ""
    characters: int = 0
    turns: int = 1
    tools: int = 0
    images: int = 0
    needs: frozenset[str] = frozenset()
    max_tokens: int | None = None


def difficulty(outline: Outline) -> float:
    return logistic(BIAS + sum(WEIGHTS[name] * value for name, value in features(outline).items()))


def features(outline: Outline) -> dict[str, float]:
    """All of `WEIGHTS`, each from 0 to 1."""
    text = _ends(outline.text)
    words = _WORD.findall(text.lower())
    code = _share(len(_CODE.findall(text)) + _members(words, _CODE_WORDS), 8)
    return {
        "length": _logarithmic(len(outline.text), 50, 2000),
        "context": _logarithmic(outline.characters, 1000, 32_000),
        "requests": _share(len(_REQUEST.findall(text)), 6),
        "reasoning": _share(_members(words, _REASONING_WORDS), 4),
        "mathematics": _share(
            _members(words, _NUMBER_WORDS) + len(_NUMBER.findall(text)) + 2 * _members(words, _MATHEMATICS_WORDS), 12
        ),
        "code": code,
        "vocabulary": _share(sum(len(word) >= 10 for word in words), max(4, len(words) / 4)),
        "language": _foreign(text, words, code),
        "turns": _share(outline.turns - 1, 8),
        "tools": _share(outline.tools, 8),
        "images": float(outline.images > 0),
    }


def logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _ends(text: str) -> str:
    return text if len(text) <= 2 * LONGEST_END else f"{text[:LONGEST_END]}\n{text[-LONGEST_END:]}"


def _share(count: float, full: float) -> float:
    return min(1.0, max(0.0, count / full))


def _logarithmic(count: int, none: int, full: int) -> float:
    """0 up to `none`, 1 from `full` on, and as much more for every doubling between."""
    return _share(math.log(max(count, none) / none), math.log(full / none))


def _members(words: list[str], known: frozenset[str]) -> int:
    return sum(word in known for word in words)


def _foreign(text: str, words: list[str], code: float) -> float:
    """How little it looks like English: letters beyond ASCII, or prose without English's commonest words."""
    beyond = 0.0 if text.isascii() else _share(sum(map(len, _BEYOND_ASCII.findall(text))), max(1, len(text)) / 4)
    if len(words) < 8 or code >= 0.5:
        return beyond
    return max(beyond, 1 - _share(_members(words, _ENGLISH_WORDS), len(words) / 8))


_WORD = re.compile(r"[^\W\d_]+")
_BEYOND_ASCII = re.compile(r"[^\W\d_\x00-\x7f]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*|[=^√∑∫≤≥≠π×÷]|\\(?:frac|sum|int|sqrt|cdot)")
# A question, or a line of a numbered or bulleted list.
_REQUEST = re.compile(r"[?？؟]|^[ \t]*(?:\d{1,2}[.)]|[-*•])[ \t]", re.MULTILINE)
_CODE = re.compile(
    r"```|[{};][ \t]*$|\w\(\)|=>|->|==|!=|\+=|::|</?[a-z]+>"
    r"|\b(?:def|elif|lambda|const|struct|println?|printf|async|await|void|SELECT|INSERT|WHERE)\b",
    re.MULTILINE,
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CODE_WORDS = _words("""
    algorithm api bash bug code compile compiler database debug docker exception function git html java javascript json
    kubernetes linux php program python query recursion refactor regex runtime rust script sql swift thread typescript
    unittest
""")
_REASONING_WORDS = _words("""
    analyse analysis analyze argue argument assess assumption compare conclude consequence contrast critique deduce derive
    design diagnose disprove estimate evaluate evidence explain formulate hypothesis implications implies infer interpret
    justify optimal optimise optimize plan predict proof prove reason reasoning refute step steps strategy therefore
    tradeoff tradeoffs why
""")
_MATHEMATICS_WORDS = _words("""
    algebra angle average calculate calculus coefficient derivative determinant differential divided eigenvalue equation
    exponential formula fraction geometry gradient integer integral limit logarithm matrix modulo multiply percent
    percentage perimeter polynomial prime primes probability product quotient radius ratio sequence solve square statistics
    sum theorem total triangle variance vector velocity
""")
_NUMBER_WORDS = _words("two three four five six seven eight nine ten dozen half twice double triple each per many much")
_ENGLISH_WORDS = _words("""
    a an and are as at be but by do for from have he her his i if in is it me my not of on or she that the they this to was
    we what when which who will with you your
""")
