"""A call as CloudTrail writes it down: who, what, when, from where and how it ended; never what was said.

Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from outcrop.identity.caller import Caller
from outcrop.store.ids import request_id

EVENT_VERSION = "1.11"
LONGEST = 512
_READS = ("Get", "List", "Head", "Describe", "Count")


@dataclass(frozen=True, slots=True)
class Event:
    """`service` is `bedrock`, `s3` or `sts`; `labels` are the operation's path labels, still percent-encoded."""

    service: str
    name: str
    time: datetime
    region: str
    request_id: str
    address: str | None
    agent: str | None
    caller: Caller | None
    error: str | None
    labels: Mapping[str, str]


def members(event: Event) -> dict[str, Any]:
    """The record. An error's message may quote the request, so only its code is told."""
    record: dict[str, Any] = {
        "eventVersion": EVENT_VERSION,
        "userIdentity": _identity(event.caller),
        "eventTime": _second(int(event.time.timestamp())),
        "eventSource": f"{event.service}.amazonaws.com",
        "eventName": event.name,
        "awsRegion": event.region,
        "sourceIPAddress": event.address,
        "userAgent": None if event.agent is None else event.agent[:LONGEST],
        "requestParameters": {name: unquote(value)[:LONGEST] for name, value in event.labels.items()} or None,
        "requestID": event.request_id,
        "eventID": request_id(),
        "readOnly": event.name.rpartition(".")[2].startswith(_READS),
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": None if event.caller is None else event.caller.account,
        "eventCategory": "Management",
    }
    if event.error is not None:
        record["errorCode"] = event.error
    if event.caller is not None and event.caller.kind.endswith("-key"):
        record["additionalEventData"] = {"callWithBearerToken": True}
    return record


@lru_cache(maxsize=4)
def _second(timestamp: int) -> str:
    """Many calls fall into one second."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=1024)
def _identity(caller: Caller | None) -> dict[str, Any]:
    if caller is None:
        return {"type": "Unknown"}
    identity: dict[str, Any] = {
        "type": "IAMUser" if caller.session is None else "AssumedRole",
        "principalId": caller.user_id,
        "arn": caller.arn,
        "accountId": caller.account,
        "accessKeyId": caller.access_key_id,
    }
    if caller.session is None:
        identity["userName"] = caller.arn.rpartition("/")[2]
    else:
        issuer = {"type": "Role", "principalId": caller.session.role_id, "arn": caller.session.role_arn}
        identity["sessionContext"] = {"sessionIssuer": issuer}
    return identity
