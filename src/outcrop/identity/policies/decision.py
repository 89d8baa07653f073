"""The decision: an explicit deny wins, then something must allow, then everything that limits must allow too.

Source: the IAM user guide, "Policy evaluation logic" and "Permissions boundaries", with its rules for how far a
resource's own policy reaches past a boundary or a session policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from outcrop.identity.policies.compiled import Policy
from outcrop.identity.policies.query import Naming, Query

Source: TypeAlias = Literal["identity", "boundary", "session", "resource"]

_DENIED_IN: dict[Source, str] = {
    "identity": "an identity-based policy",
    "boundary": "a permissions boundary",
    "session": "a session policy",
    "resource": "a resource-based policy",
}
_NOT_ALLOWED_BY: dict[Source, str] = {
    "identity": "identity-based policy",
    "boundary": "permissions boundary",
    "session": "session policy",
    "resource": "resource-based policy",
}


@dataclass(frozen=True, slots=True)
class Policies:
    """All that is said about one principal and one resource. An empty list of `session` or a None limits nothing.

    `trusted`: the resource is a role, which nobody becomes whom its own policy does not name.
    """

    identity: Sequence[Policy] = ()
    boundary: Policy | None = None
    session: Sequence[Policy] = ()
    resource: Policy | None = None
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """`source` is the kind of policy that decided, or that lacks an Allow; `policy` and `statement` name the place."""

    allowed: bool
    explicit: bool
    source: Source
    policy: str | None = None
    statement: str | None = None

    def because(self, action: str) -> str:
        """The reason of a refusal in AWS's words."""
        if self.explicit:
            return f"with an explicit deny in {_DENIED_IN[self.source]}"
        return f"because no {_NOT_ALLOWED_BY[self.source]} allows the {action} action"


def decide(query: Query, policies: Policies) -> Decision:
    denied = explicit_deny(query, policies)
    if denied is not None:
        return denied
    limits: list[tuple[Source, Sequence[Policy]]] = []
    if policies.boundary is not None:
        limits.append(("boundary", (policies.boundary,)))
    if policies.session:
        limits.append(("session", policies.session))
    naming, by_resource = _resource_allow(query, policies.resource)
    if query.crosses_accounts:
        return _across(query, policies, limits, by_resource)
    if policies.trusted and by_resource is None:
        return Decision(False, False, "resource")
    if naming == "itself" and by_resource is not None:
        return by_resource
    granted = _allow(query, "identity", policies.identity) or (by_resource if naming == "role" else None)
    if granted is None:
        return Decision(False, False, "identity")
    return _limited(query, granted, limits)


def explicit_deny(query: Query, policies: Policies) -> Decision | None:
    """The first statement that denies, in any of the policies."""
    sources: list[tuple[Source, Sequence[Policy]]] = [
        ("identity", policies.identity),
        ("boundary", () if policies.boundary is None else (policies.boundary,)),
        ("session", policies.session),
        ("resource", () if policies.resource is None else (policies.resource,)),
    ]
    for source, given in sources:
        for policy in given:
            for statement in policy.denying(query.action):
                if statement.names(query) and statement.applies(query):
                    return Decision(False, True, source, policy.name, statement.name)
    return None


def _across(
    query: Query, policies: Policies, limits: list[tuple[Source, Sequence[Policy]]], by_resource: Decision | None
) -> Decision:
    """Between accounts both sides must allow: the principal's own policies and the resource's."""
    granted = _allow(query, "identity", policies.identity)
    if granted is None:
        return Decision(False, False, "identity")
    limited = _limited(query, granted, limits)
    if not limited.allowed:
        return limited
    return by_resource or Decision(False, False, "resource")


def _limited(query: Query, granted: Decision, limits: list[tuple[Source, Sequence[Policy]]]) -> Decision:
    for source, given in limits:
        if _allow(query, source, given) is None:
            return Decision(False, False, source)
    return granted


def _allow(query: Query, source: Source, policies: Sequence[Policy]) -> Decision | None:
    for policy in policies:
        for statement in policy.allowing(query.action):
            if statement.applies(query):
                return Decision(True, False, source, policy.name, statement.name)
    return None


def _resource_allow(query: Query, policy: Policy | None) -> tuple[Naming | None, Decision | None]:
    """The statement that allows and names the principal most closely."""
    best: tuple[Naming | None, Decision | None] = (None, None)
    if policy is None:
        return best
    order: tuple[Naming, ...] = ("account", "role", "itself")
    for statement in policy.allowing(query.action):
        naming = statement.names(query)
        if naming is None or (best[0] is not None and order.index(naming) <= order.index(best[0])):
            continue
        if statement.applies(query):
            best = naming, Decision(True, False, "resource", policy.name, statement.name)
    return best
