"""May this caller do this? Answered from memory: what users and roles may do is read and compiled once, and again only
after somebody wrote to the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outcrop.errors import AccessDeniedException
from outcrop.identity import accounts, arns
from outcrop.identity.caller import Caller, Session
from outcrop.identity.credentials import Memory
from outcrop.identity.policies import rows
from outcrop.identity.policies.compiled import Policy
from outcrop.identity.policies.compiled import policy as compiled
from outcrop.identity.policies.decision import Decision, Policies, decide, explicit_deny
from outcrop.identity.policies.query import Query, Subject
from outcrop.identity.policies.templates import Keys

if TYPE_CHECKING:
    from outcrop.store.database import Database

# All policies of resources are remembered together, under one name.
_ALL = "all"


@dataclass(frozen=True, slots=True)
class Grants:
    """What is attached to a user or role. `unrestricted`: everything is allowed and nothing denied, whatever is asked."""

    policies: tuple[Policy, ...]
    boundary: Policy | None
    tags: Mapping[str, str]
    unrestricted: bool


class Access:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._grants: Memory[Grants] = Memory(database, self._read_grants)
        self._resources: Memory[Mapping[str, str]] = Memory(database, self._read_resources)

    def grants(self, principal_id: str) -> Grants:
        """Of a user or role; one that is gone may do nothing."""
        found = self._grants.get(principal_id)
        assert found is not None, "somebody without a row has no policies, which is an answer too"
        return found

    def unrestricted(self, caller: Caller) -> bool:
        """Whether no policy could refuse the caller anything in his own account."""
        session = caller.session
        narrowed = session is not None and (session.policies or session.policy_arns)
        return not narrowed and self.grants(caller.principal_id).unrestricted and not self._resource_policies()

    def decide(
        self,
        caller: Caller,
        action: str,
        resource: str,
        keys: Keys,
        *,
        owner: str | None = None,
        trust: Policy | None = None,
    ) -> Decision:
        """`owner` is the account of the resource, None where it has none; `trust` is the policy of a role to be."""
        query = Query(subject_of(caller), action, resource, owner, keys)
        return decide(query, self._policies(caller, resource, trust))

    def denied(self, caller: Caller, action: str, resource: str, keys: Keys) -> Decision | None:
        """The explicit deny, if there is one, of what needs no Allow."""
        query = Query(subject_of(caller), action, resource, None, keys)
        return explicit_deny(query, self._policies(caller, resource, None))

    def _policies(self, caller: Caller, resource: str, trust: Policy | None) -> Policies:
        grants = self.grants(caller.principal_id)
        stored = self._resource_policies().get(resource)
        of_resource = trust if stored is None else compiled(resource, stored, "resource")
        session = () if caller.session is None else self._session_policies(caller.session)
        return Policies(grants.policies, grants.boundary, session, of_resource, trusted=trust is not None)

    def _session_policies(self, session: Session) -> tuple[Policy, ...]:
        inline = tuple(compiled("the session policy", text) for text in session.policies)
        return inline + tuple(map(self._named, session.policy_arns))

    def _resource_policies(self) -> Mapping[str, str]:
        return self._resources.get(_ALL) or {}

    def _read_resources(self, _: str) -> Mapping[str, str]:
        return rows.resource_policies(self._database)

    def _read_grants(self, principal_id: str) -> Grants:
        attached = tuple(self._named(arn) for arn in rows.attached(self._database, principal_id))
        boundary_arn = self._boundary_of(principal_id)
        boundary = None if boundary_arn is None else self._named(boundary_arn)
        everything = any(policy.unconditional for policy in attached)
        denied = any(policy.denies for policy in attached)
        return Grants(
            policies=attached,
            boundary=boundary,
            tags=accounts.tags(self._database, principal_id),
            unrestricted=everything and not denied and boundary is None,
        )

    def _boundary_of(self, principal_id: str) -> str | None:
        for table in ("users", "roles"):
            row = self._database.one(f"SELECT boundary FROM {table} WHERE id = ?", principal_id)  # noqa: S608
            if row is not None:
                boundary: str | None = row["boundary"]
                return boundary
        return None

    def _named(self, arn: str) -> Policy:
        """One that is gone allows nothing, and so still limits whom it limited."""
        text = rows.document(self._database, arn)
        return Policy(arn, ()) if text is None else compiled(arn, text)


def refusal(caller: Caller, action: str, resource: str, decision: Decision) -> AccessDeniedException:
    """In AWS's words."""
    on = "" if resource == "*" else f" on resource: {resource}"
    reason = decision.because(action)
    return AccessDeniedException(f"User: {caller.arn} is not authorized to perform: {action}{on} {reason}")


def owner_of(resource: str) -> str | None:
    """The account in an ARN."""
    try:
        account = arns.parse(resource).account
    except ValueError:
        return None
    return account if account not in ("", "aws") else None


def subject_of(caller: Caller) -> Subject:
    role_arn = None if caller.session is None else caller.session.role_arn
    return Subject(caller.account, caller.arn, role_arn)
