"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["sigv4", "presigned", "long-term-key", "short-term-key", "none"]


@dataclass(frozen=True, slots=True)
class Caller:
    """`arn` is the principal's (`arn:aws:iam::111122223333:user/admin`); `region` the one it signed for, if any."""

    account: str
    arn: str
    user_id: str
    access_key_id: str
    kind: Kind
    region: str | None = None
