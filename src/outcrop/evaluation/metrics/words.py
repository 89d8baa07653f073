"""Answers compared word by word, as SQuAD's published evaluation script compares them, and word error rate."""

from __future__ import annotations

import re
import string
from collections import Counter, defaultdict
from collections.abc import Sequence

# Between the answers that are all right, in a referenceResponse.
OR = "<OR>"

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def alternatives(reference: str) -> tuple[str, ...]:
    """The answers that a reference accepts; at least one, which may be empty."""
    found = tuple(text for part in reference.split(OR) if (text := part.strip()))
    return found or ("",)


def normalised(text: str) -> str:
    """Lower case, without punctuation and articles, one space between words."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact(answer: str, references: Sequence[str]) -> float:
    return float(any(normalised(answer) == normalised(reference) for reference in references))


def f1(answer: str, references: Sequence[str]) -> float:
    """Of the best reference: the harmonic mean of the shares of words that it and the answer have in common."""
    return max(_f1(normalised(answer).split(), normalised(reference).split()) for reference in references)


def _f1(answer: Sequence[str], reference: Sequence[str]) -> float:
    if not answer or not reference:
        return float(answer == reference)
    common = (Counter(answer) & Counter(reference)).total()
    return 2 * common / (len(answer) + len(reference))


def holds(answer: str, references: Sequence[str]) -> float:
    """1 if one of the references stands in the answer, whole words, whatever is around it."""
    said = f" {normalised(answer)} "
    return float(any((wanted := normalised(reference)) and f" {wanted} " in said for reference in references))


def error_rate(answer: str, reference: str) -> float:
    """Word error rate: insertions, deletions and substitutions, each word of the reference counted once.

    Against a reference without words it is 0 where the answer has none either, else 1.
    """
    said, wanted = answer.split(), reference.split()
    if not wanted:
        return float(bool(said))
    return _distance(said, wanted) / len(wanted)


def _distance(said: Sequence[str], wanted: Sequence[str]) -> int:
    """Levenshtein's, of words, by Myers' bit-parallel algorithm (1999): a column of the table is two integers, so that
    long answers take microseconds a word.
    """
    places: dict[str, int] = defaultdict(int)
    for at, word in enumerate(wanted):
        places[word] |= 1 << at
    every, last = (1 << len(wanted)) - 1, 1 << (len(wanted) - 1)
    more, less, distance = every, 0, len(wanted)
    for word in said:
        equal = places.get(word, 0)
        vertical = equal | less
        horizontal = (((equal & more) + more) ^ more) | equal
        up, down = less | (~(horizontal | more) & every), more & horizontal
        distance += bool(up & last) - bool(down & last)
        up, down = (up << 1 | 1) & every, down << 1 & every
        more, less = down | (~(vertical | up) & every), up & vertical
    return distance


def label_in(answer: str, labels: Sequence[str]) -> str | None:
    """The label that an answer means: the whole of it, else the one that stands first in it. None if none does."""
    said = normalised(answer)
    known = {normalised(label): label for label in labels}
    if said in known:
        return known[said]
    places = [
        (found.start(), -len(short), label)
        for short, label in known.items()
        if short and (found := re.search(rf"\b{re.escape(short)}\b", said))
    ]
    return min(places)[2] if places else None
