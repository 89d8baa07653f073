"""What deciding costs: one decision at a hundred policies, and the authorisation of a whole request.

python -m benchmarks.policies
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from outcrop.authorization import Authorizer
from outcrop.engines.pool import Engines
from outcrop.identity import accounts
from outcrop.identity.access import Access
from outcrop.identity.caller import Caller
from outcrop.identity.policies import managed, rows
from outcrop.identity.policies.compiled import Policy, policy
from outcrop.identity.policies.decision import Policies, decide
from outcrop.identity.policies.query import Query, Subject
from outcrop.models.catalogue import Catalogue
from outcrop.models.specs import all_specs
from outcrop.request import HttpRequest
from outcrop.settings import EngineSettings, Settings
from outcrop.store.database import Database
from outcrop.wire.model import load_services

ACCOUNT = "111122223333"
MODEL = "outcrop.house-nano-v1:0"
ARN = f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}"
CALLS = 500


def document(number: int) -> str:
    """Of the size and kind that people write: three statements, wildcards, a variable, conditions."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Action": "bedrock:Invoke*",
                    "Resource": f"arn:aws:bedrock:*::foundation-model/secret-{number}.*",
                    "Condition": {"StringNotEquals": {"aws:PrincipalTag/team": "red"}},
                },
                {
                    "Effect": "Allow",
                    "Action": ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"],
                    "Resource": [
                        f"arn:aws:bedrock:*:${{aws:PrincipalAccount}}:*/team-{number}-${{aws:username}}*",
                        f"arn:aws:bedrock:*::foundation-model/acme-{number}.*",
                    ],
                    "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "Bool": {"aws:SecureTransport": "true"}},
                },
                {"Effect": "Allow", "Action": ["bedrock:Get*", "bedrock:List*"], "Resource": "*"},
            ],
        }
    )


def microseconds(call: Callable[[], object]) -> float:
    """Of processor time; the median of several runs."""
    taken = []
    for _ in range(7):
        begun = time.process_time()
        for _ in range(CALLS):
            call()
        taken.append((time.process_time() - begun) / CALLS * 1e6)
    return sorted(taken)[3]


def decisions() -> None:
    keys: Any = {
        "aws:username": ["ann"],
        "aws:principalaccount": [ACCOUNT],
        "aws:principaltag/team": ["red"],
        "aws:sourceip": ["10.0.0.1"],
        "aws:securetransport": ["true"],
    }
    subject = Subject(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ann")
    last = policy("last", managed.DOCUMENTS[managed.ADMINISTRATOR])
    for count in (1, 10, 100):
        given: list[Policy] = [policy(f"p{number}", document(number)) for number in range(count)]
        for name, all_of_them in (("refused", given), ("allowed by the last", [*given, last])):
            known, query = (
                Policies(identity=all_of_them),
                Query(subject, "bedrock:InvokeModel", ARN, None, keys),
            )
            print(f"{count:4} policies, {name:20} {microseconds(lambda q=query, k=known: decide(q, k)):8.1f} us")  # type: ignore[misc]
    print(f"     compiling one policy           {microseconds(lambda: policy.__wrapped__('p', document(1))):8.1f} us")


def requests(folder: Path) -> None:
    database = Database.open(folder / "outcrop.db")
    settings = Settings()
    engines = Engines(all_specs(settings), EngineSettings(), home=folder, offline=True)
    authorizer = Authorizer(
        Access(database), database, Catalogue(settings, database, engines), lambda: datetime.now(UTC)
    )
    with database.transaction() as transaction:
        accounts.add_account(transaction, chosen_id=ACCOUNT)
        admin, ann = accounts.add_user(transaction, ACCOUNT, "admin"), accounts.add_user(transaction, ACCOUNT, "ann")
        rows.attach(transaction, admin.id, managed.ADMINISTRATOR)
        for number in range(19):
            rows.attach(transaction, ann.id, rows.put(transaction, ACCOUNT, f"p{number}", document(number)).arn)
        rows.attach(transaction, ann.id, managed.PREFIX + "AmazonBedrockFullAccess")
    operation = load_services().operations["bedrock-runtime", "Converse"]
    request = HttpRequest("POST", "/", "", [("user-agent", "x")], source_ip="10.0.0.1")
    for user, name in ((admin, "an administrator"), (ann, "a user with 20 policies")):
        caller = Caller(ACCOUNT, user.arn, user.id, "AKIA", "sigv4", "us-east-1")
        for model in (MODEL, f"us.{MODEL}"):
            params = {"modelId": model}
            taken = microseconds(lambda c=caller, p=params: authorizer.check(c, operation, p, request, "us-east-1"))  # type: ignore[misc]
            print(f"Converse with {model:28} by {name:24} {taken:8.1f} us")
    database.close()


if __name__ == "__main__":
    decisions()
    with tempfile.TemporaryDirectory() as made:
        requests(Path(made))
