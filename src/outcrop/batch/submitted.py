"""A job as it was submitted: what its row's `input` holds, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from outcrop.encryption.keys import arn_of as kms_arn
from outcrop.identity import arns
from outcrop.identity.caller import Caller, Session
from outcrop.jobs import Job

BATCH, ASYNC = "model-invocation-job", "async-invoke"
DEFAULT_HOURS = 24


@dataclass(frozen=True, slots=True)
class Submitted:
    """`request` is the body of the operation that made the job, `caller` who called it."""

    id: str
    account: str
    region: str
    request: Mapping[str, Any]
    caller: Caller
    at: datetime

    @property
    def hours(self) -> int:
        return int(self.request.get("timeoutDurationInHours", DEFAULT_HOURS))

    @property
    def expires_at(self) -> datetime:
        return self.at + timedelta(hours=self.hours)

    @property
    def input_uri(self) -> str:
        return str(self.request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"])

    @property
    def folder(self) -> str:
        """Where its output goes, without a slash at the end."""
        return folder_of(self.request, self.id)

    @property
    def key(self) -> str | None:
        """The ARN of the key that its output is encrypted under."""
        return key_of(self.request, self.account, self.region)

    @property
    def how(self) -> str:
        return str(self.request.get("modelInvocationType", "InvokeModel"))


def folder_of(request: Mapping[str, Any], job_id: str) -> str:
    given = str(request["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"])
    return f"{given.rstrip('/')}/{job_id}"


def key_of(request: Mapping[str, Any], account: str, region: str) -> str | None:
    """The ARN of the key, or of the alias, that a request of either kind names for its output."""
    given = request["outputDataConfig"]["s3OutputDataConfig"]
    name = given.get("s3EncryptionKeyId") or given.get("kmsKeyId")
    return None if name is None else kms_arn(name, account, region)


def body_of(request: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    """JSON. Without what differs between two calls that mean the same: the id of the key, the time of the session."""
    session = caller.session
    narrowed = None
    if session is not None:
        narrowed = {
            "role_id": session.role_id,
            "role_arn": session.role_arn,
            "policies": session.policies,
            "policy_arns": session.policy_arns,
            "tags": session.tags,
        }
    return {"request": request, "caller": {"arn": caller.arn, "user_id": caller.user_id, "session": narrowed}}


def submitted(job: Job) -> Submitted:
    given = job.input["caller"]
    caller = Caller(
        job.account, given["arn"], given["user_id"], "batch", "none", job.region, _session(given["session"], job)
    )
    return Submitted(job.id, job.account, job.region, job.input["request"], caller, job.created_at)


def arn_of(job: Job) -> str:
    return arns.build(job.kind, job.region, job.account, id12=job.id)


def _session(given: Mapping[str, Any] | None, job: Job) -> Session | None:
    if given is None:
        return None
    began = job.created_at.timestamp()
    return Session(
        given["role_id"],
        given["role_arn"],
        began,
        began,
        tuple(given["policies"]),
        tuple(given["policy_arns"]),
        tuple((key, value) for key, value in given["tags"]),
    )
