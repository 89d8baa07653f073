"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["sigv4", "presigned", "long-term-key", "short-term-key", "none"]


@dataclass(frozen=True, slots=True)
class Session:
    """A role for a while; times in POSIX seconds.

    `policies` are documents and `policy_arns` name others: together they narrow what the role may do.
    """

    role_id: str
    role_arn: str
    issued_at: float
    expires_at: float
    policies: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Caller:
    """`arn` is the principal's (`arn:aws:iam::111122223333:user/admin`); `region` the one it signed for, if any.

    `session` is there where the principal is a role; `user_id` is then `AROA...:session-name`.
    """

    account: str
    arn: str
    user_id: str
    access_key_id: str
    kind: Kind
    region: str | None = None
    session: Session | None = None

    @property
    def principal_id(self) -> str:
        """The id that policies are attached to: the user's or the role's."""
        return self.user_id if self.session is None else self.session.role_id
