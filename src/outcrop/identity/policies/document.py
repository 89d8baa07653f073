"""A policy document read: the grammar of AWS's JSON policies, and where a text breaks it.

Source: the IAM user guide, "IAM JSON policy element reference" and "Grammar of the IAM JSON policy language".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from outcrop.identity.policies.operators import OPERATORS, BadValue, Operator
from outcrop.identity.policies.templates import BadVariable, template

# `identity`: of users, roles and sessions, and boundaries. `resource`: at a resource. `trust`: who may be a role.
Kind: TypeAlias = Literal["identity", "resource", "trust"]

CURRENT, OLD = "2012-10-17", "2008-10-17"

# The longest document of each kind, in characters that are not white space.
LONGEST: Mapping[Kind, int] = {"identity": 6144, "resource": 20_480, "trust": 4096}
LONGEST_SESSION = 2048

_ACTION = re.compile(r"\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+|\*:\*")
_SID = re.compile(r"[a-zA-Z0-9]*")
_ACCOUNT = re.compile(r"[0-9]{12}")
_PRINCIPAL_ARN = re.compile(
    r"arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:(root|(user|role|assumed-role|federated-user)/[^*?\s]+)"
)
_KEY = re.compile(r"[a-zA-Z0-9-]+:[\w.:/=+@-]+")
_PRINCIPAL_TYPES = ("AWS", "Service", "Federated", "CanonicalUser")
_ELEMENTS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)


class MalformedPolicy(ValueError):
    """`place` is a path into the document (`Statement[0].Action`), or a line and column of a text that is no JSON."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}" if place else problem)
        self.place = place


@dataclass(frozen=True, slots=True)
class Principals:
    """`named` are account ids, ARNs or `*`; `excluded` turns the element into NotPrincipal."""

    named: tuple[str, ...]
    services: tuple[str, ...]
    excluded: bool


@dataclass(frozen=True, slots=True)
class ConditionClause:
    """One operator with one key and the values it is compared with."""

    operator: Operator
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """`name` is the Sid, or the statement's number from 1. `not_...`: the list says what is *not* meant."""

    name: str
    allow: bool
    principals: Principals | None
    actions: tuple[str, ...]
    not_actions: bool
    resources: tuple[str, ...]
    not_resources: bool
    conditions: tuple[ConditionClause, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """`variables`: whether `${...}` means something, which it does not in the old version."""

    variables: bool
    statements: tuple[Statement, ...]


def read(text: str, kind: Kind = "identity", *, longest: int | None = None) -> Document:
    """Raises MalformedPolicy."""
    limit = LONGEST[kind] if longest is None else longest
    if (size := len("".join(text.split()))) > limit:
        raise MalformedPolicy("", f"The policy has {size} characters; it may have {limit}.")
    policy = _parsed(text)
    if not isinstance(policy, dict):
        raise MalformedPolicy("", "A policy must be a JSON object.")
    _only(policy, frozenset({"Version", "Id", "Statement"}), "")
    version = policy.get("Version", OLD)
    if version not in (CURRENT, OLD):
        raise MalformedPolicy("Version", f"The version must be {CURRENT} or {OLD}.")
    if not isinstance(policy.get("Id", ""), str):
        raise MalformedPolicy("Id", "The id must be a string.")
    given = policy.get("Statement")
    if not isinstance(given, (list, dict)) or not given:
        raise MalformedPolicy("Statement", "A policy needs at least one statement.")
    listed = given if isinstance(given, list) else [given]
    variables = version == CURRENT
    statements = tuple(_statement(one, number, kind, variables) for number, one in enumerate(listed))
    _check_ids([one.get("Sid") for one in listed])
    return Document(variables, statements)


def _check_ids(ids: list[str | None]) -> None:
    for number, sid in enumerate(ids):
        if sid and sid in ids[:number]:
            raise MalformedPolicy(f"Statement[{number}].Sid", f"Another statement is called {sid} already.")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except json.JSONDecodeError as problem:
        raise MalformedPolicy(
            f"line {problem.lineno} column {problem.colno}", f"no valid JSON: {problem.msg}"
        ) from None
    except RecursionError:
        raise MalformedPolicy("", "The policy is nested too deeply.") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedPolicy(twice, "The key is given more than once in the same object.")
    return found


def _statement(given: Any, number: int, kind: Kind, variables: bool) -> Statement:
    place = f"Statement[{number}]"
    if not isinstance(given, dict):
        raise MalformedPolicy(place, "A statement must be a JSON object.")
    _only(given, _ELEMENTS, f"{place}.")
    sid = given.get("Sid", "")
    if not isinstance(sid, str) or (kind == "identity" and not _SID.fullmatch(sid)):
        raise MalformedPolicy(f"{place}.Sid", "A statement's id has letters and digits only.")
    if given.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicy(f"{place}.Effect", "The effect must be Allow or Deny.")
    not_actions, actions = _one_of(given, "Action", place)
    for at, action in enumerate(actions):
        if not _ACTION.fullmatch(action):
            raise MalformedPolicy(
                f"{place}.{'Not' * not_actions}Action[{at}]",
                f"{action!r} is no action: write service:Operation, with * and ? in the operation, or *.",
            )
    not_resources, resources = _resources(given, place, kind, variables)
    return Statement(
        name=sid or str(number + 1),
        allow=given["Effect"] == "Allow",
        principals=_principals(given, place, kind),
        actions=actions,
        not_actions=not_actions,
        resources=resources,
        not_resources=not_resources,
        conditions=tuple(_conditions(given.get("Condition", {}), f"{place}.Condition", variables)),
    )


def _only(given: Mapping[str, Any], allowed: frozenset[str], place: str) -> None:
    for name in given:
        if name not in allowed:
            raise MalformedPolicy(f"{place}{name}", "There is no such element in a policy.")


def _one_of(given: Mapping[str, Any], name: str, place: str) -> tuple[bool, tuple[str, ...]]:
    """Exactly one of `name` and `Not` + name, a string or a list of strings."""
    present = [form for form in (name, f"Not{name}") if form in given]
    if len(present) != 1:
        raise MalformedPolicy(place, f"A statement needs exactly one of {name} and Not{name}.")
    return present[0] != name, _texts(given[present[0]], f"{place}.{present[0]}")


def _texts(given: Any, place: str) -> tuple[str, ...]:
    listed = given if isinstance(given, list) else [given]
    if not listed:
        raise MalformedPolicy(place, "The list must not be empty.")
    for at, text in enumerate(listed):
        if not isinstance(text, str) or not text:
            raise MalformedPolicy(f"{place}[{at}]", "A string is expected.")
    return tuple(listed)


def _resources(given: Mapping[str, Any], place: str, kind: Kind, variables: bool) -> tuple[bool, tuple[str, ...]]:
    if kind == "trust":
        if "Resource" in given or "NotResource" in given:
            raise MalformedPolicy(place, "A trust policy has no Resource: it is about its role.")
        return False, ("*",)
    negated, resources = _one_of(given, "Resource", place)
    for at, resource in enumerate(resources):
        where = f"{place}.{'Not' * negated}Resource[{at}]"
        if resource != "*" and not _is_arn_pattern(resource):
            raise MalformedPolicy(where, f"{resource!r} must be in ARN format or '*'.")
        _check_variables(resource, where, variables)
    return negated, resources


def _is_arn_pattern(text: str) -> bool:
    """Six parts, or fewer with an asterisk at the end that stands for all that follow."""
    parts = text.split(":", 5)
    return parts[0] == "arn" and len(parts) > 2 and (len(parts) == 6 or parts[-1].endswith("*"))


def _check_variables(text: str, place: str, variables: bool) -> None:
    if variables and "${" in text:
        try:
            template(text)
        except BadVariable as problem:
            raise MalformedPolicy(place, str(problem)) from None


def _principals(given: Mapping[str, Any], place: str, kind: Kind) -> Principals | None:
    present = [form for form in ("Principal", "NotPrincipal") if form in given]
    if kind == "identity":
        if present:
            raise MalformedPolicy(f"{place}.{present[0]}", "A policy of a user or role names no principal.")
        return None
    if len(present) != 1:
        raise MalformedPolicy(place, "A statement needs exactly one of Principal and NotPrincipal.")
    where, excluded = f"{place}.{present[0]}", present[0] == "NotPrincipal"
    if excluded and given["Effect"] == "Allow":
        raise MalformedPolicy(where, "NotPrincipal goes with Deny only: with Allow it would let everyone else in.")
    value = given[present[0]]
    if value == "*":
        return Principals(("*",), (), excluded)
    if not isinstance(value, dict) or not value:
        raise MalformedPolicy(where, '"*" or an object such as {"AWS": "111122223333"} is expected.')
    _only(value, frozenset(_PRINCIPAL_TYPES), f"{where}.")
    named = _texts(value["AWS"], f"{where}.AWS") if "AWS" in value else ()
    for at, name in enumerate(named):
        if name != "*" and not _ACCOUNT.fullmatch(name) and not _PRINCIPAL_ARN.fullmatch(name):
            raise MalformedPolicy(
                f"{where}.AWS[{at}]",
                f"{name!r} is no account id and no ARN of an account, a user, a role or a session.",
            )
    services = _texts(value["Service"], f"{where}.Service") if "Service" in value else ()
    return Principals(named, services, excluded)


def _conditions(given: Any, place: str, variables: bool) -> list[ConditionClause]:
    if not isinstance(given, dict):
        raise MalformedPolicy(place, "A condition must be a JSON object.")
    found = []
    for name, block in given.items():
        operator = OPERATORS.get(name.lower())
        if operator is None:
            raise MalformedPolicy(f"{place}.{name}", "There is no such condition operator.")
        if not isinstance(block, dict) or not block:
            raise MalformedPolicy(f"{place}.{name}", "An object of condition keys and values is expected.")
        for key, values in block.items():
            where = f"{place}.{name}.{key}"
            if not _KEY.fullmatch(key):
                raise MalformedPolicy(where, "A condition key is written service:name.")
            found.append(ConditionClause(operator, key.lower(), _values(operator, values, where, variables)))
    return found


def _values(operator: Operator, given: Any, place: str, variables: bool) -> tuple[str, ...]:
    listed = given if isinstance(given, list) else [given]
    if not listed:
        raise MalformedPolicy(place, "The list must not be empty.")
    values = []
    for at, value in enumerate(listed):
        text = _scalar(value, f"{place}[{at}]")
        try:
            operator.check(text)
        except BadValue as problem:
            raise MalformedPolicy(f"{place}[{at}]", str(problem)) from None
        if operator.variables:
            _check_variables(text, f"{place}[{at}]", variables)
        values.append(text)
    return tuple(values)


def _scalar(value: Any, place: str) -> str:
    """Numbers and booleans may be written as such; they are compared as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return value
    raise MalformedPolicy(place, "A string, a number or a boolean is expected.")
