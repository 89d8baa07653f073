"""Policies made ready to be asked often: patterns are regular expressions, and each policy remembers by action which of
its statements are worth a look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from outcrop.identity.policies.conditions import Condition
from outcrop.identity.policies.conditions import compiled as compiled_condition
from outcrop.identity.policies.document import Document, Kind, Principals, Statement, read
from outcrop.identity.policies.query import Naming, Query
from outcrop.identity.policies.templates import Keys, Template, arn_pattern, resolved, template, text_pattern, widest

# Actions remembered of one policy. There are fewer than 300; a foreign one must not fill the memory.
_ACTIONS = 512


@dataclass(frozen=True, slots=True)
class CompiledStatement:
    """`resources` are patterns without variables, `templates` those with, and `widest` what these could match."""

    name: str
    allow: bool
    principals: Principals | None
    actions: re.Pattern[str]
    not_actions: bool
    resources: re.Pattern[str] | None
    templates: tuple[Template, ...]
    widest: re.Pattern[str] | None
    not_resources: bool
    conditions: tuple[Condition, ...]

    def concerns(self, action: str) -> bool:
        return (self.actions.fullmatch(action.lower()) is not None) is not self.not_actions

    def applies(self, query: Query) -> bool:
        """Whether resource and conditions fit; the action is known to."""
        if not self._covers(query.resource, query.keys):
            return False
        return all(condition.holds(query.keys) for condition in self.conditions)

    def names(self, query: Query) -> Naming | None:
        """How the statement means the principal of the request. One without principals means whoever has the policy."""
        if self.principals is None:
            return "itself"
        naming = query.subject.named_in(self.principals)
        if self.principals.excluded:
            return None if naming is not None else "role"
        return naming

    @property
    def unconditional(self) -> bool:
        """An Allow of everything on everything."""
        everything = not (self.not_actions or self.not_resources or self.conditions or self.principals)
        return self.allow and everything and self.actions.pattern == ".*" and _is_everything(self.resources)

    def _covers(self, resource: str, keys: Keys) -> bool:
        if self.resources is not None and self.resources.fullmatch(resource) is not None:
            return not self.not_resources
        if self.widest is None or (not self.not_resources and self.widest.fullmatch(resource) is None):
            return self.not_resources
        for given in self.templates:
            known = resolved(given, keys)
            if known is None:
                # Nobody knows what is left out, so nothing is allowed by leaving it out.
                if self.not_resources and self.allow:
                    return False
            elif arn_pattern(known).fullmatch(resource) is not None:
                return not self.not_resources
        return self.not_resources


# Those that allow, and those that deny.
_Concerning: TypeAlias = tuple[tuple[CompiledStatement, ...], tuple[CompiledStatement, ...]]


@dataclass(slots=True)
class Policy:
    """`name` is what a decision calls it: an ARN, or words such as `session policy`."""

    name: str
    statements: tuple[CompiledStatement, ...]
    _by_action: dict[str, _Concerning] = field(default_factory=dict, repr=False)

    def allowing(self, action: str) -> tuple[CompiledStatement, ...]:
        """The statements that would allow the action on the right resource."""
        return (self._by_action.get(action) or self._concerning(action))[0]

    def denying(self, action: str) -> tuple[CompiledStatement, ...]:
        return (self._by_action.get(action) or self._concerning(action))[1]

    def _concerning(self, action: str) -> _Concerning:
        about = [statement for statement in self.statements if statement.concerns(action)]
        found = tuple(one for one in about if one.allow), tuple(one for one in about if not one.allow)
        if len(self._by_action) >= _ACTIONS:
            self._by_action.clear()
        self._by_action[action] = found
        return found

    @property
    def unconditional(self) -> bool:
        return any(statement.unconditional for statement in self.statements)

    @property
    def denies(self) -> bool:
        return any(not statement.allow for statement in self.statements)


@lru_cache(maxsize=2048)
def policy(name: str, text: str, kind: Kind = "identity") -> Policy:
    """The policy in a document. Raises MalformedPolicy."""
    return compiled(name, read(text, kind))


def compiled(name: str, document: Document) -> Policy:
    return Policy(name, tuple(_statement(statement, document.variables) for statement in document.statements))


def _statement(given: Statement, variables: bool) -> CompiledStatement:
    templates = [template(text, variables=variables) for text in given.resources]
    fixed = [arn_pattern(one).pattern for one in templates if one.fixed]
    filled = [one for one in templates if not one.fixed]
    return CompiledStatement(
        name=given.name,
        allow=given.allow,
        principals=given.principals,
        actions=_any_of(text_pattern(template(text.lower(), variables=False)).pattern for text in given.actions),
        not_actions=given.not_actions,
        resources=_any_of(fixed) if fixed else None,
        templates=tuple(filled),
        widest=_any_of(widest(one).pattern for one in filled) if filled else None,
        not_resources=given.not_resources,
        conditions=tuple(
            compiled_condition(clause, allow=given.allow, variables=variables) for clause in given.conditions
        ),
    )


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    alternatives = list(dict.fromkeys(patterns))
    if ".*" in alternatives:
        return re.compile(".*", re.DOTALL)
    return re.compile("|".join(f"(?:{pattern})" for pattern in alternatives), re.DOTALL)


def _is_everything(pattern: re.Pattern[str] | None) -> bool:
    return pattern is not None and pattern.pattern == ".*"
