"""Texts of a policy with wildcards and variables, as regular expressions.

`*` stands for any text and `?` for one character. In an ARN both stay within one of the parts between colons, but for
the last part, which may hold colons of its own. What a variable stands for is taken literally.

Each stretch after an asterisk is found once and not looked for again (atomic groups), so that a text full of asterisks
cannot keep the matcher busy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Protocol, TypeAlias

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_INSIDE = re.compile(r"\s*([a-zA-Z0-9-]+:[\w.:/=+@-]+)\s*(?:,\s*'([^']*)'\s*)?")


class BadVariable(ValueError):
    """A sentence about a `${...}` that is none."""


class Keys(Protocol):
    """What is known of a request: values by condition key, in lower case. None: the key is not there."""

    def get(self, key: str, /) -> Sequence[str] | None: ...


@dataclass(frozen=True, slots=True)
class Variable:
    key: str
    default: str | None


class Wild(Enum):
    ANY_TEXT = "*"
    ONE_CHARACTER = "?"


Piece: TypeAlias = str | Variable | Wild


@dataclass(frozen=True, slots=True)
class Template:
    pieces: tuple[Piece, ...]

    @property
    def fixed(self) -> bool:
        return not any(isinstance(piece, Variable) for piece in self.pieces)


@lru_cache(maxsize=4096)
def template(text: str, *, variables: bool = True, wildcards: bool = True) -> Template:
    """Raises BadVariable."""
    pieces: list[Piece] = []
    at = 0
    for found in _VARIABLE.finditer(text) if variables else ():
        pieces += _wild(text[at : found.start()], wildcards)
        pieces.append(_variable(found[1]))
        at = found.end()
    rest = text[at:]
    if variables and "${" in rest:
        raise BadVariable(f"The variable in {text!r} does not end.")
    return Template(tuple(pieces) + tuple(_wild(rest, wildcards)))


def _variable(inside: str) -> Piece:
    if inside in ("*", "?", "$"):
        return inside
    found = _INSIDE.fullmatch(inside)
    if found is None:
        raise BadVariable(f"${{{inside}}} is no variable: write ${{key}} or ${{key, 'default'}}.")
    return Variable(found[1].lower(), found[2])


def _wild(text: str, wildcards: bool) -> list[Piece]:
    if not wildcards:
        return [text] if text else []
    pieces: list[Piece] = []
    for part in re.split(r"([*?])", text):
        piece = Wild(part) if part in ("*", "?") else part
        # Two asterisks are one.
        if part and not (piece is Wild.ANY_TEXT and pieces[-1:] == [piece]):
            pieces.append(piece)
    return pieces


def resolved(given: Template, keys: Keys) -> Template | None:
    """With what the variables stand for; None if one stands for nothing, or for several values."""
    if given.fixed:
        return given
    pieces: list[Piece] = []
    for piece in given.pieces:
        if isinstance(piece, Variable):
            values = keys.get(piece.key)
            if values is not None and len(values) == 1:
                pieces.append(values[0])
            elif not values and piece.default is not None:
                pieces.append(piece.default)
            else:
                return None
        else:
            pieces.append(piece)
    return Template(tuple(pieces))


def literal(given: Template) -> str:
    """The text of a template that has neither wildcards nor variables."""
    return "".join(piece for piece in given.pieces if isinstance(piece, str))


@lru_cache(maxsize=4096)
def text_pattern(given: Template) -> re.Pattern[str]:
    """Of a resolved template: any text."""
    return re.compile(_glob(given.pieces, "."), re.DOTALL)


def widest(given: Template) -> re.Pattern[str]:
    """What the template could match at all, whatever its variables stand for, and more."""
    return text_pattern(Template(tuple(Wild.ANY_TEXT if isinstance(one, Variable) else one for one in given.pieces)))


@lru_cache(maxsize=4096)
def arn_pattern(given: Template) -> re.Pattern[str]:
    """Of a resolved template: an ARN, part by part."""
    if given.pieces == (Wild.ANY_TEXT,):
        return re.compile(".*", re.DOTALL)
    *parts, last = _parts(given.pieces)
    return re.compile("".join(_glob(part, "[^:]") + ":" for part in parts) + _glob(last, "."), re.DOTALL)


def _parts(pieces: tuple[Piece, ...]) -> list[tuple[Piece, ...]]:
    """The pieces between the first five colons, and the rest."""
    parts: list[list[Piece]] = [[]]
    for piece in pieces:
        if not isinstance(piece, str):
            parts[-1].append(piece)
            continue
        first, *others = piece.split(":", 6 - len(parts))
        parts[-1].append(first)
        parts += [[other] for other in others]
    return [tuple(part) for part in parts]


def _glob(pieces: tuple[Piece, ...], any_character: str) -> str:
    """Text before the first asterisk, then each stretch between two of them at its first place, then the end."""
    stretches: list[str] = [""]
    for piece in pieces:
        if piece is Wild.ANY_TEXT:
            stretches.append("")
        else:
            stretches[-1] += any_character if piece is Wild.ONE_CHARACTER else re.escape(str(piece))
    first, *others = stretches
    if not others:
        return first
    *between, last = others
    found = "".join(f"(?>{any_character}*?{stretch})" for stretch in between if stretch)
    return f"{first}{found}{any_character}*{last}"
