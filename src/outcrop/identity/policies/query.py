"""What is asked of policies: may this principal do this to that, now?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from outcrop.identity.policies.document import Principals
from outcrop.identity.policies.templates import Keys

# How a resource's policy names a principal: itself, its role or everyone, or only its account.
Naming: TypeAlias = Literal["itself", "role", "account"]


@dataclass(frozen=True, slots=True)
class Subject:
    """`arn` is a user's or a session's; `role_arn` that of the session's role. A service has only its name."""

    account: str
    arn: str
    role_arn: str | None = None
    service: str | None = None

    def named_in(self, principals: Principals) -> Naming | None:
        """The closest way in which the element names this principal, NotPrincipal aside."""
        if self.service is not None:
            named = self.service in principals.services or "*" in principals.services or "*" in principals.named
            return "itself" if named else None
        if self.arn in principals.named:
            return "itself"
        if "*" in principals.named or (self.role_arn is not None and self.role_arn in principals.named):
            return "role"
        of_account = any(
            name == self.account or (name.endswith(":root") and f"::{self.account}:" in name)
            for name in principals.named
        )
        return "account" if of_account else None


@dataclass(frozen=True, slots=True)
class Query:
    """`resource_account` is None where nobody owns the resource (`*`, a foundation model)."""

    subject: Subject
    action: str
    resource: str
    resource_account: str | None
    keys: Keys

    @property
    def crosses_accounts(self) -> bool:
        return self.resource_account is not None and self.resource_account != self.subject.account
