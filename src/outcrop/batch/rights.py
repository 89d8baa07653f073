"""With whose rights a job reads and writes S3: its role's; those of its caller where the role is not of this server."""

from __future__ import annotations

from outcrop.batch.submitted import Submitted
from outcrop.identity import accounts, arns
from outcrop.identity.access import Access, refusal
from outcrop.identity.caller import Caller, Session
from outcrop.identity.request_keys import Known
from outcrop.objects.names import parse
from outcrop.store.database import Database

GET, PUT, LIST = "s3:GetObject", "s3:PutObject", "s3:ListBucket"


class Rights:
    def __init__(self, database: Database, job: Submitted) -> None:
        self._access = Access(database)
        self._principal = _principal(database, job)
        self._keys: Known = {
            "aws:principalaccount": (job.account,),
            "aws:requestedregion": (job.region,),
            "aws:viaawsservice": ("true",),
            "aws:userid": (self._principal.user_id,),
        }

    def check(self, action: str, uri: str) -> None:
        """AccessDeniedException, in AWS's words, if the job may not do that with that object or bucket."""
        at = parse(uri)
        resource = f"arn:aws:s3:::{at.bucket}" if action == LIST else f"arn:aws:s3:::{at.bucket}/{at.key}"
        self._check(action, resource)

    def check_model(self, action: str, arn: str) -> None:
        """The same of a model."""
        self._check(action, arn)

    def _check(self, action: str, resource: str) -> None:
        decision = self._access.decide(self._principal, action, resource, self._keys)
        if not decision.allowed:
            raise refusal(self._principal, action, resource, decision)


def _principal(database: Database, job: Submitted) -> Caller:
    role = accounts.role_of_arn(database, str(job.request.get("roleArn", "")))
    if role is None or role.account != job.account:
        return job.caller
    name = f"BedrockBatch-{job.id}"
    began = job.at.timestamp()
    session = Session(role.id, role.arn, began, job.expires_at.timestamp())
    arn = arns.assumed_role(role.account, role.name, name)
    return Caller(role.account, arn, f"{role.id}:{name}", "batch", "none", job.region, session)
