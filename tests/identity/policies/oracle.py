"""AWS's rules once more, slow and obvious, over the JSON itself: nothing here is shared with what it judges."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

Keys = dict[str, list[str]]
Statement = dict[str, Any]
# A character, or a wildcard: ("*",) any text, ("?",) one character.
Token = str | tuple[str]


@dataclass(frozen=True)
class Request:
    account: str
    arn: str
    role: str | None
    action: str
    resource: str
    owner: str | None
    keys: Keys


@dataclass(frozen=True)
class Documents:
    identity: list[Any] = field(default_factory=list)
    boundary: Any = None
    session: list[Any] = field(default_factory=list)
    resource: Any = None
    trusted: bool = False


def decide(request: Request, documents: Documents) -> tuple[bool, bool]:
    """Whether it is allowed, and whether a Deny said no."""
    everything = [*documents.identity, *documents.session]
    everything += [one for one in (documents.boundary, documents.resource) if one is not None]
    if any(matches(s, d, request) for d in everything for s in statements(d, "Deny")):
        return False, True
    by_identity = any_allows(documents.identity, request)
    in_boundary = documents.boundary is None or any_allows([documents.boundary], request)
    in_session = not documents.session or any_allows(documents.session, request)
    ways = set()
    if documents.resource is not None:
        for statement in statements(documents.resource, "Allow"):
            if matches(statement, documents.resource, request):
                ways |= how_named(statement["Principal"], request)
    if request.owner is not None and request.owner != request.account:
        return by_identity and in_boundary and in_session and bool(ways), False
    if documents.trusted and not ways:
        return False, False
    if "itself" in ways:
        return True, False
    return (by_identity or "role" in ways) and in_boundary and in_session, False


def statements(document: Any, effect: str) -> list[Statement]:
    listed = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    return [statement for statement in listed if statement["Effect"] == effect]


def any_allows(documents: list[Any], request: Request) -> bool:
    return any(matches(s, d, request) for d in documents for s in statements(d, "Allow"))


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def matches(statement: Statement, document: Any, request: Request) -> bool:
    variables = document.get("Version") == "2012-10-17"
    allow = statement["Effect"] == "Allow"
    if "Principal" in statement and not how_named(statement["Principal"], request):
        return False
    if "NotPrincipal" in statement and how_named(statement["NotPrincipal"], request):
        return False
    actions = many(statement.get("Action", statement.get("NotAction")))
    named = any(glob(wild(action.lower()), request.action.lower()) for action in actions)
    if named == ("NotAction" in statement):
        return False
    if not resource_matches(statement, request, variables, allow):
        return False
    return all(
        condition_holds(operator, key, many(values), request.keys, variables, allow)
        for operator, block in statement.get("Condition", {}).items()
        for key, values in block.items()
    )


def resource_matches(statement: Statement, request: Request, variables: bool, allow: bool) -> bool:
    if "Resource" not in statement and "NotResource" not in statement:
        return True
    patterns = many(statement.get("Resource", statement.get("NotResource")))
    filled = [fill(pattern, request.keys, variables, wildcards=True) for pattern in patterns]
    named = any(tokens is not None and arn_glob(tokens, request.resource) for tokens in filled)
    if "Resource" in statement:
        return named
    # What cannot be said to be excluded is not allowed.
    return not named and not (allow and None in filled)


def how_named(principal: Any, request: Request) -> set[str]:
    names = ["*"] if principal == "*" else many(principal.get("AWS", []))
    ways = set()
    for name in names:
        if name == request.arn:
            ways.add("itself")
        if name == "*" or (request.role is not None and name == request.role):
            ways.add("role")
        if name in (request.account, f"arn:aws:iam::{request.account}:root"):
            ways.add("account")
    return ways


def wild(text: str) -> list[Token]:
    return [(character,) if character in "*?" else character for character in text]


def fill(text: str, keys: Keys, variables: bool, *, wildcards: bool) -> list[Token] | None:
    """Tokens, with variables filled in; None if one of them has no value or several."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        found = re.compile(r"\$\{([^}]*)\}").match(text, at) if variables else None
        if found is None:
            tokens += wild(text[at]) if wildcards else [text[at]]
            at += 1
            continue
        at = found.end()
        name, _, default = found[1].partition(",")
        if name in ("*", "?", "$"):
            tokens.append(name)
            continue
        values = keys.get(name.strip().lower(), [])
        if len(values) == 1:
            tokens += list(values[0])
        elif not values and default:
            tokens += list(default.strip().strip("'"))
        else:
            return None
    return tokens


def glob(tokens: list[Token], text: str, blocked: list[bool] | None = None) -> bool:
    """All places that can be reached, token by token. `blocked`: whether a wildcard may not pass a colon."""
    places = {0}
    for number, token in enumerate(tokens):
        stops = blocked is not None and blocked[number]
        reached = set()
        for place in places:
            if token == ("*",):
                reached.add(place)
                while place < len(text) and not (stops and text[place] == ":"):
                    place += 1
                    reached.add(place)
            elif place < len(text) and (
                token == text[place] or (token == ("?",) and not (stops and text[place] == ":"))
            ):
                reached.add(place + 1)
        places = reached
    return len(text) in places


def arn_glob(tokens: list[Token], text: str) -> bool:
    """A wildcard stays in its part, of six; in the last one that the pattern has it does not."""
    colons = [number for number, token in enumerate(tokens) if token == ":"][:5]
    blocked = [any(colon > number for colon in colons) for number in range(len(tokens))]
    return glob(tokens, text, blocked)


def condition_holds(operator: str, key: str, wanted: list[Any], keys: Keys, variables: bool, allow: bool) -> bool:
    name = operator.lower()
    texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in wanted]
    values = keys.get(key.lower(), [])
    if name == "null":
        absent = not values
        return any((text.lower() == "true") == absent for text in texts)
    quantifier, _, rest = name.rpartition(":")
    if_exists = rest.endswith("ifexists")
    rest = rest.removesuffix("ifexists")
    negated = "not" in rest
    if not values:
        if if_exists or quantifier == "forallvalues":
            return True
        return negated and not quantifier

    def one(value: str) -> bool:
        compared = [compare(rest.replace("not", ""), text, value, keys, variables) for text in texts]
        if not negated:
            return True in compared
        if True in compared:
            return False
        return not (allow and None in compared)

    if quantifier == "forallvalues" or (negated and not quantifier):
        return all(one(value) for value in values)
    return any(one(value) for value in values)


def compare(name: str, wanted: str, value: str, keys: Keys, variables: bool) -> bool | None:
    if name.startswith(("string", "arn")):
        tokens = fill(wanted, keys, variables, wildcards=name in ("stringlike", "arnlike", "arnequals"))
        if tokens is None:
            return None
        if name.startswith("arn"):
            return arn_glob(tokens, value)
        if name.endswith("ignorecase"):
            return "".join(map(str, tokens)).lower() == value.lower()
        return glob(tokens, value)
    if name == "bool":
        return wanted.lower() == value.lower()
    if name == "binaryequals":
        try:
            return base64.b64decode(wanted, validate=True) == base64.b64decode(value, validate=True)
        except ValueError:
            return False
    if name == "ipaddress":
        try:
            return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
        except ValueError:
            return False
    read = number if name.startswith("numeric") else moment
    left, right = read(value), read(wanted)
    if left is None or right is None:
        return False
    order = name.removeprefix("numeric").removeprefix("date")
    return {
        "equals": left == right,
        "lessthan": left < right,
        "lessthanequals": left <= right,
        "greaterthan": left > right,
        "greaterthanequals": left >= right,
    }[order]


def number(text: str) -> Fraction | None:
    try:
        return Fraction(text) if "/" not in text else None
    except ValueError:
        return None


def moment(text: str) -> Fraction | None:
    if text.isdigit():
        return Fraction(text)
    try:
        found = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return Fraction(int(found.timestamp()))
