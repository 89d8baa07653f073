"""Which kinds of resources can have tags and a policy of their own, and how it is known that one is there.

A room that makes another kind says so in one line where it registers its operations:

    TAGGABLE["custom-model"] = lambda ctx, names: find(ctx.database, ctx.account, ctx.region, names["id12"]) is not None
    TAGGABLE["evaluation-job"] = job("evaluation-job")

The name is that of the kind's form in `identity.arns.FORMS`, whose words in braces are `names`. The ARN is of the
caller's account and region by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from outcrop import jobs
from outcrop.context import Context

Exists = Callable[[Context, Mapping[str, str]], bool]

TAGGABLE: dict[str, Exists] = {}


def job(kind: str) -> Exists:
    """For jobs of a kind whose ARNs end with the job's id."""

    def exists(ctx: Context, names: Mapping[str, str]) -> bool:
        found = jobs.find(ctx.database, ctx.account, ctx.region, kind, names["id12"])
        # Jobs are found by name as well, and an ARN holds no name.
        return found is not None and found.id == names["id12"]

    return exists
