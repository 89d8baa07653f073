"""Amazon Resource Names: `arn:partition:service:region:account:resource`, and the forms that Bedrock's resources have.

Source of the forms: the service authorization reference, "Actions, resources, and condition keys for Amazon Bedrock",
and the patterns in botocore's service models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

# What may stand for each name in braces.
_PARTS: Mapping[str, str] = {
    "model": r"[^/\s]+",
    "name": r"[^/\s]+",
    "id10": r"[0-9A-Za-z]{10}",
    "id12": r"[a-z0-9]{12}",
    "version": r"[0-9]{1,5}",
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "execution": r"[A-Za-z0-9-]{1,36}",
    "other10": r"[0-9A-Za-z]{10}",
}

# kind -> resource part. Longer forms of the same beginning are kinds of their own.
FORMS: Mapping[str, str] = {
    "foundation-model": "foundation-model/{model}",
    "inference-profile": "inference-profile/{model}",
    "application-inference-profile": "application-inference-profile/{id12}",
    "default-prompt-router": "default-prompt-router/{name}",
    "prompt-router": "prompt-router/{id12}",
    "custom-model": "custom-model/{model}/{id12}",
    "custom-model-deployment": "custom-model-deployment/{id12}",
    "imported-model": "imported-model/{id12}",
    "provisioned-model": "provisioned-model/{id12}",
    "model-customization-job": "model-customization-job/{model}/{id12}",
    "model-import-job": "model-import-job/{id12}",
    # Of Outcrop's own operations; AWS has none.
    "pretraining-job": "pretraining-job/{id12}",
    "model-copy-job": "model-copy-job/{id12}",
    "model-invocation-job": "model-invocation-job/{id12}",
    "evaluation-job": "evaluation-job/{id12}",
    "advanced-prompt-optimization-job": "advanced-prompt-optimization-job/{id12}",
    "async-invoke": "async-invoke/{id12}",
    "guardrail": "guardrail/{id12}",
    "guardrail-profile": "guardrail-profile/{name}",
    "automated-reasoning-policy": "automated-reasoning-policy/{id12}",
    "automated-reasoning-policy-version": "automated-reasoning-policy/{id12}:{version}",
    "agent": "agent/{id10}",
    "agent-alias": "agent-alias/{id10}/{other10}",
    "knowledge-base": "knowledge-base/{id10}",
    "flow": "flow/{id10}",
    "flow-alias": "flow/{id10}/alias/{other10}",
    "flow-execution": "flow/{id10}/alias/{other10}/execution/{execution}",
    "prompt": "prompt/{id10}",
    "prompt-version": "prompt/{id10}:{version}",
    "retrieval-instruction": "retrieval-instruction/{id10}",
    "session": "session/{uuid}",
}

# These belong to everyone: their account is empty.
WITHOUT_ACCOUNT = frozenset({"foundation-model"})

_LONGEST = 2048
_ARN = re.compile(r"arn:(aws[a-z-]*):([a-z0-9-]+):([a-z0-9-]*):([0-9]{12}|aws)?:(\S+)")


@dataclass(frozen=True, slots=True)
class Arn:
    """`region` and `account` are empty where the resource has none."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def partition_of(region: str) -> str:
    """The partition that AWS has a region of this name in."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def build(kind: str, region: str, account: str, **names: str) -> str:
    """The ARN of a Bedrock resource: `build("guardrail", region, account, id12="abc…")`.

    `names` are the words in braces of the kind's form. Raises ValueError if one is missing or has no such form.
    """
    try:
        resource = FORMS[kind].format_map(names)
    except KeyError as missing:
        raise ValueError(f"An ARN of kind {kind} needs {missing}.") from None
    if _pattern(kind).fullmatch(resource) is None:
        raise ValueError(f"{resource} is not of the form {FORMS[kind]}.")
    owner = "" if kind in WITHOUT_ACCOUNT else account
    return str(Arn(partition_of(region), "bedrock", region, owner, resource))


def user(account: str, name: str) -> str:
    """The ARN of an IAM user, who belongs to no region."""
    return str(Arn("aws", "iam", "", account, f"user/{name}"))


def role(account: str, name: str) -> str:
    return str(Arn("aws", "iam", "", account, f"role/{name}"))


def policy(account: str, name: str) -> str:
    return str(Arn("aws", "iam", "", account, f"policy/{name}"))


def assumed_role(account: str, role_name: str, session: str) -> str:
    """The ARN of a session of a role."""
    return str(Arn("aws", "sts", "", account, f"assumed-role/{role_name}/{session}"))


@lru_cache(maxsize=4096)
def parse(text: str) -> Arn:
    """Raises ValueError if `text` is no ARN."""
    found = _ARN.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise ValueError("Not an Amazon Resource Name.")
    return Arn(*(part or "" for part in found.groups()))


def recognize(arn: Arn) -> tuple[str, dict[str, str]] | None:
    """Kind and names of a Bedrock resource's ARN; None if it has none of the forms."""
    if arn.service != "bedrock":
        return None
    for kind in FORMS:
        found = _pattern(kind).fullmatch(arn.resource)
        if found is not None and (kind in WITHOUT_ACCOUNT or arn.account):
            return kind, found.groupdict()
    return None


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", FORMS[kind])
    literal = map(re.escape, pieces[::2])
    groups = (f"(?P<{name}>{_PARTS[name]})" for name in pieces[1::2])
    return re.compile("".join(a + b for a, b in zip(literal, (*groups, ""), strict=True)))
