"""The condition keys of a request: who, from where, when, with which tags.

Source: the IAM user guide, "AWS global condition context keys", and the service authorization reference of Bedrock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from outcrop.identity.access import Grants, owner_of
from outcrop.identity.caller import Caller
from outcrop.request import HttpRequest

Known = dict[str, tuple[str, ...]]
# The tags of a resource, by its ARN.
Tags = Callable[[str], Mapping[str, str]]

_RESOURCE_TAG = "aws:resourcetag/"
_BEARER = {"long-term-key": "LONG_TERM", "short-term-key": "SHORT_TERM"}


def known_keys(caller: Caller, grants: Grants, request: HttpRequest, region: str, now: datetime) -> Known:
    """What is the same for every action of one request."""
    keys: Known = {
        "aws:principalarn": (caller.session.role_arn if caller.session else caller.arn,),
        "aws:principalaccount": (caller.account,),
        "aws:principaltype": ("AssumedRole" if caller.session else "User",),
        "aws:principalisawsservice": ("false",),
        "aws:viaawsservice": ("false",),
        "aws:userid": (caller.user_id,),
        "aws:requestedregion": (region,),
        "aws:currenttime": (now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),),
        "aws:epochtime": (str(int(now.timestamp())),),
        "aws:securetransport": ("true" if request.scheme == "https" else "false",),
    }
    if caller.session is None:
        keys["aws:username"] = (caller.arn.rpartition("/")[2],)
    else:
        issued = datetime.fromtimestamp(caller.session.issued_at, UTC)
        keys["aws:tokenissuetime"] = (issued.strftime("%Y-%m-%dT%H:%M:%SZ"),)
    if request.source_ip is not None:
        keys["aws:sourceip"] = (request.source_ip,)
    for header, key in (("user-agent", "aws:useragent"), ("referer", "aws:referer")):
        if (value := request.header(header)) is not None:
            keys[key] = (value,)
    if (kind := _BEARER.get(caller.kind)) is not None:
        keys["bedrock:bearertokentype"] = (kind,)
    tags = {**grants.tags, **dict(caller.session.tags if caller.session else ())}
    keys |= {f"aws:principaltag/{name.lower()}": (value,) for name, value in tags.items()}
    return keys


def request_tags(tags: Mapping[str, str]) -> Known:
    keys: Known = {f"aws:requesttag/{name.lower()}": (value,) for name, value in tags.items()}
    if tags:
        keys["aws:tagkeys"] = tuple(tags)
    return keys


class ResourceKeys:
    """The keys of one action on one resource; the resource's tags are looked up when a policy asks for them."""

    __slots__ = ("_known", "_more", "_resource", "_tags")

    def __init__(self, known: Known, more: Mapping[str, tuple[str, ...]], resource: str, tags: Tags) -> None:
        self._known = known
        self._more = more
        self._resource = resource
        self._tags = tags

    def get(self, key: str) -> Sequence[str] | None:
        found = self._more.get(key) or self._known.get(key)
        if found is not None:
            return found
        if key.startswith(_RESOURCE_TAG):
            wanted = key.removeprefix(_RESOURCE_TAG)
            tags = self._tags(self._resource)
            return next(((value,) for name, value in tags.items() if name.lower() == wanted), None)
        if key == "aws:resourceaccount":
            owner = owner_of(self._resource)
            return None if owner is None else (owner,)
        return None
