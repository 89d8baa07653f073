"""Conditions compiled: does what is known of a request satisfy them?

A key that is not there fails a condition, satisfies a negated one (`StringNotEquals`) and every `...IfExists`. A variable
that stands for nothing equals nothing; that must not open anything, so a negated condition of an Allow fails with it.
"""

from __future__ import annotations

import operator as comparisons
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from outcrop.identity.policies import operators
from outcrop.identity.policies.document import ConditionClause
from outcrop.identity.policies.operators import Operator
from outcrop.identity.policies.templates import Keys, Template, arn_pattern, literal, resolved, template, text_pattern

# Whether a value of the request equals (or is like, in, below) one of the policy's; None if a variable is unresolved.
Match: TypeAlias = Callable[[str, Keys], bool | None]

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": comparisons.eq,
    "<": comparisons.lt,
    "<=": comparisons.le,
    ">": comparisons.gt,
    ">=": comparisons.ge,
}

_READ: Mapping[str, Callable[[str], Any]] = {
    "numeric": operators.number,
    "date": operators.date,
    "binary": operators.binary,
}


@dataclass(frozen=True, slots=True)
class Condition:
    operator: Operator
    key: str
    match: Match
    allow: bool

    def holds(self, keys: Keys) -> bool:
        values = keys.get(self.key)
        operator = self.operator
        if operator.comparison == "null":
            return bool(self.match("false" if values else "true", keys))
        if not values:
            return operator.if_exists or operator.quantifier == "all" or (operator.negated and not operator.quantifier)
        if operator.quantifier == "all":
            return all(self._satisfies(value, keys) for value in values)
        if operator.quantifier is None and operator.negated:
            return all(self._satisfies(value, keys) for value in values)
        return any(self._satisfies(value, keys) for value in values)

    def _satisfies(self, value: str, keys: Keys) -> bool:
        matched = self.match(value, keys)
        if not self.operator.negated:
            return bool(matched)
        return not self.allow if matched is None else not matched


def compiled(clause: ConditionClause, *, allow: bool, variables: bool) -> Condition:
    comparison = clause.operator.comparison
    values = clause.values
    if comparison in ("string", "string-ignoring-case", "like", "arn"):
        wildcards = comparison in ("like", "arn")
        templates = tuple(template(value, variables=variables, wildcards=wildcards) for value in values)
        match = _matches[comparison](templates)
    else:
        match = _typed(clause.operator, values)
    return Condition(clause.operator, clause.key, match, allow)


def _among(templates: tuple[Template, ...], equal: Callable[[Template, str], bool]) -> Match:
    def match(value: str, keys: Keys) -> bool | None:
        unresolved = False
        for given in templates:
            known = resolved(given, keys)
            if known is None:
                unresolved = True
            elif equal(known, value):
                return True
        return None if unresolved else False

    return match


def _equal(templates: tuple[Template, ...]) -> Match:
    if all(given.fixed for given in templates):
        texts = frozenset(map(literal, templates))
        return lambda value, keys: value in texts
    return _among(templates, lambda known, value: literal(known) == value)


def _equal_ignoring_case(templates: tuple[Template, ...]) -> Match:
    return _among(templates, lambda known, value: literal(known).casefold() == value.casefold())


def _like(templates: tuple[Template, ...]) -> Match:
    return _among(templates, lambda known, value: text_pattern(known).fullmatch(value) is not None)


def _arn(templates: tuple[Template, ...]) -> Match:
    return _among(templates, lambda known, value: arn_pattern(known).fullmatch(value) is not None)


_matches: Mapping[str, Callable[[tuple[Template, ...]], Match]] = {
    "string": _equal,
    "string-ignoring-case": _equal_ignoring_case,
    "like": _like,
    "arn": _arn,
}


def _typed(operator: Operator, values: tuple[str, ...]) -> Match:
    """A request's value that cannot be read as the operator's type matches nothing."""
    if operator.comparison == "ip":
        networks = [operators.network(value) for value in values]

        def inside(value: str, keys: Keys) -> bool:
            at = operators.address(value)
            return at is not None and any(known is not None and at in known for known in networks)

        return inside
    read = _READ.get(operator.comparison, operators.boolean)
    known = [read(value) for value in values]
    compare = _ORDERS[operator.order]

    def match(value: str, keys: Keys) -> bool:
        mine = read(value)
        return mine is not None and any(compare(mine, theirs) for theirs in known)

    return match
