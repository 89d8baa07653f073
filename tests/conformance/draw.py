"""Random values for botocore shapes, within their constraints: what the round trips send through real clients."""

from __future__ import annotations

import math
import random
import re
import re._constants as sre  # type: ignore[import-not-found]  # the standard library's own, without types
import re._parser as sre_parser  # type: ignore[import-not-found]
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from outcrop.wire.patterns import translate

# A structure deeper than this gets only what it must have, so that shapes that hold themselves end.
DEEP = 4
# Values that travel in a URI or a header are drawn from these; in bodies the rest of Unicode is mixed in.
PRINTABLE = string.ascii_letters + string.digits + " -_.~!*'();:@&=+$,/?%#[]{}|^<>\"\\`"
WIDE = PRINTABLE + "\n\t\u00e9\u00df\u4f60\u597d\U0001f44d\u0627\u2028\x7f"
LOCATIONS_OF_TEXT = ("uri", "header", "querystring", "headers")
_TRIES = 200


class Draw:
    """Draws values for one botocore ServiceModel, reproducibly by seed."""

    def __init__(self, seed: object) -> None:
        self.random = random.Random(str(seed))

    def structure(self, shape: Any, depth: int = 0) -> dict[str, Any]:
        """Every required member and some of the others; of a union, one."""
        members = shape.members
        if getattr(shape, "is_tagged_union", False):
            names = [self.random.choice(self._shallow(members, depth))]
        else:
            wanted = 0.0 if depth > DEEP else 0.6
            names = [n for n in members if n in shape.required_members or self.random.random() < wanted]
        return {name: self.value(members[name], depth + 1, members[name].serialization) for name in names}

    def _shallow(self, members: Any, depth: int) -> list[str]:
        if depth <= DEEP:
            return list(members)
        flat = [name for name, member in members.items() if member.type_name not in ("structure", "list", "map")]
        return flat or list(members)

    def value(self, shape: Any, depth: int, place: dict[str, Any]) -> Any:
        kind = shape.type_name
        if kind == "structure":
            return self.document() if shape.is_document_type else self.structure(shape, depth)
        if kind == "list":
            return [self.value(shape.member, depth + 1, place) for _ in range(self._count(shape, depth))]
        if kind == "map":
            pairs = (
                (self.value(shape.key, depth + 1, place), self.value(shape.value, depth + 1, place))
                for _ in range(self._count(shape, depth))
            )
            return dict(pairs)
        drawers: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
            "string": self.string,
            "blob": self.blob,
            "boolean": self.boolean,
            "timestamp": self.timestamp,
            "float": self.float,
            "double": self.float,
            "integer": self.integer,
            "long": self.integer,
        }
        return drawers[kind](shape, place)

    def _count(self, shape: Any, depth: int) -> int:
        low = int(shape.metadata.get("min", 0))
        high = int(shape.metadata.get("max", 10**6))
        more = 0 if depth > DEEP else self.random.randint(0, 2)
        return max(low, min(high, max(low, 1 if depth <= DEEP else 0) + more))

    def string(self, shape: Any, place: dict[str, Any]) -> str:
        if shape.enum:
            return str(self.random.choice(shape.enum))
        low, high = int(shape.metadata.get("min", 0)), int(shape.metadata.get("max", 10**6))
        in_text = place.get("location") in LOCATIONS_OF_TEXT
        if in_text:
            low = max(low, 1)  # an empty label has no route, an empty header no value
        pattern = shape.metadata.get("pattern")
        if pattern is None:
            alphabet = PRINTABLE if in_text else WIDE
            text = "".join(self.random.choices(alphabet, k=self.random.randint(low, min(high, low + 20))))
            return text.strip().ljust(low, "x") if in_text else text
        return self.matching(pattern, low, high, in_text)

    def matching(self, pattern: str, low: int, high: int, in_text: bool) -> str:
        """A string that matches the whole pattern and fits the lengths."""
        if "/d{12}" in pattern:
            pattern = pattern.replace("/d", r"\d")  # AWS's slip, see outcrop.wire.patterns
        tree = sre_parser.parse(translate(pattern))
        whole = re.compile(translate(pattern))
        for spread in range(_TRIES):
            text = self._from_tree(tree, 3 + spread, low)
            if low <= len(text) <= high and whole.fullmatch(text) and (not in_text or text == text.strip()):
                return text
        raise AssertionError(f"no string of {low} to {high} characters was found for {pattern}")

    def _from_tree(self, tree: Any, spread: int, low: int) -> str:
        return "".join(self._from_node(code, argument, spread, low) for code, argument in tree)

    def _from_node(self, code: Any, argument: Any, spread: int, low: int) -> str:
        if code is sre.LITERAL:
            return chr(argument)
        if code is sre.NOT_LITERAL:
            return "x" if argument != ord("x") else "y"
        if code is sre.ANY:
            return self.random.choice(string.ascii_letters)
        if code is sre.IN:
            return self._from_set(argument)
        if code is sre.BRANCH:
            return self._from_tree(self.random.choice(argument[1]), spread, low)
        if code is sre.SUBPATTERN:
            return self._from_tree(argument[3], spread, low)
        if code in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, inner = argument
            longest = min(int(most), max(least + spread, min(low, int(most))))
            times = least if self.random.random() < 0.3 else self.random.randint(least, longest)
            return "".join(self._from_tree(inner, spread, low) for _ in range(times))
        assert code in (sre.AT, sre.ASSERT_NOT, sre.ASSERT), code
        return ""

    def _from_set(self, items: list[tuple[Any, Any]]) -> str:
        if items[0][0] is sre.NEGATE:
            return "x"
        code, argument = self.random.choice(items)
        if code is sre.RANGE:
            return chr(self.random.randint(argument[0], min(argument[1], argument[0] + 90)))
        if code is sre.CATEGORY:
            return {sre.CATEGORY_SPACE: " ", sre.CATEGORY_DIGIT: "7"}.get(argument, "w")
        return chr(argument)

    def integer(self, shape: Any, place: dict[str, Any]) -> int:
        low = math.ceil(shape.metadata.get("min", -1000))
        return self.random.randint(low, math.floor(shape.metadata.get("max", max(low, 0) + 1000)))

    def float(self, shape: Any, place: dict[str, Any]) -> float:
        low = float(shape.metadata.get("min", -1000))
        high = float(shape.metadata.get("max", max(low, 0) + 1000))
        return min(high, max(low, round(self.random.uniform(low, high), 3)))

    def blob(self, shape: Any, place: dict[str, Any]) -> bytes:
        low = max(int(shape.metadata.get("min", 0)), 1)
        return self.random.randbytes(self.random.randint(low, low + 40))

    def boolean(self, shape: Any, place: dict[str, Any]) -> bool:
        return self.random.random() < 0.5

    def timestamp(self, shape: Any = None, place: Any = None) -> datetime:
        return datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=self.random.randint(0, 10**9))

    def document(self, depth: int = 0) -> Any:
        """Any JSON document whose top is an object, as botocore's own users pass them."""
        if depth == 0 or (depth < 3 and self.random.random() < 0.4):
            return {f"k{at}": self.document(depth + 1) for at in range(self.random.randint(1, 3))}
        return self.random.choice([1, -2.5, True, False, "text \u00e9", [], [1, "a"], {}, None])
