"""A job reads and writes as its role, whatever its caller may. As on AWS, the role needs no right to the model."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outcrop.identity import accounts
from outcrop.identity.policies import rows
from outcrop.store.database import Database
from tests.batch.batches import Batches, id_of, messages
from tests.objects.clients import allowing, another_account
from tests.stores import store_at

GOOD = {"recordId": "A", "modelInput": messages("Hi")}
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "bedrock.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def allow(action: str, *places: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": [f"arn:aws:s3:::{place}" for place in places]}


def role(home: Path, name: str, *statements: dict[str, Any], account: str = "", trust: str = TRUST) -> str:
    """The ARN of a new role; of the first account, if no other is named."""
    with closing(Database.open(store_at(home))) as database:
        account = account or accounts.default_account(database)
        with database.transaction() as transaction:
            policy = rows.put(transaction, account, name, allowing(*statements))
            made = accounts.add_role(transaction, account, name, trust)
            rows.attach(transaction, made.id, policy.arn)
    return made.arn


def test_a_narrow_role_is_enough(batches: Batches) -> None:
    folder = batches.folder()
    source = batches.put(f"{folder}/in.jsonl", [GOOD])
    reads, writes = allow("s3:GetObject", f"batches/{folder}/*"), allow("s3:PutObject", "batches/out/*")
    arn = batches.create(source, roleArn=role(batches.server.home, folder, reads, writes))
    assert batches.until(arn)["status"] == "Completed"


@pytest.mark.parametrize(
    ("missing", "action", "resource"),
    [
        ("writes", "s3:PutObject", "arn:aws:s3:::batches/out/{job}/manifest.json.out"),
        ("reads", "s3:GetObject", "arn:aws:s3:::batches/{folder}/in.jsonl"),
        ("lists", "s3:ListBucket", "arn:aws:s3:::batches"),
    ],
)
def test_what_the_role_may_not_the_job_may_not(batches: Batches, missing: str, action: str, resource: str) -> None:
    """The caller, an administrator, may do all of it."""
    folder = batches.folder()
    batches.put(f"{folder}/in.jsonl", [GOOD])
    rights = {
        "reads": allow("s3:GetObject", f"batches/{folder}/*"),
        "writes": allow("s3:PutObject", "batches/out/*"),
        "lists": allow("s3:ListBucket", "batches"),
    }
    given = role(batches.server.home, folder, *(right for name, right in rights.items() if name != missing))
    arn = batches.create(f"s3://batches/{folder}/", roleArn=given)
    job = batches.until(arn)
    place = resource.format(job=id_of(arn), folder=folder)
    session = f"{given.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/BedrockBatch-{id_of(arn)}"
    assert job["status"] == "Failed"
    assert job["message"] == (
        f"User: {session} is not authorized to perform: {action} on resource: {place} because no identity-based policy "
        f"allows the {action} action"
    )
    assert batches.keys(arn) == []


def test_a_role_of_another_account_is_not_passed(batches: Batches) -> None:
    folder = batches.folder()
    source = batches.put(f"{folder}/in.jsonl", [GOOD])
    key = another_account(batches.server.home)
    with closing(Database.open(store_at(batches.server.home))) as database:
        (row,) = database.query(
            "SELECT account_id FROM users JOIN access_keys ON user_id = users.id WHERE access_keys.id = ?", key.id
        )
    theirs = role(batches.server.home, folder, allow("s3:*", "*"), account=row["account_id"])
    with pytest.raises(ClientError) as caught:
        batches.create(source, roleArn=theirs)
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert "Cross-account pass role is not allowed." in caught.value.response["Error"]["Message"]


def test_a_role_that_does_not_trust_bedrock(batches: Batches) -> None:
    folder = batches.folder()
    source = batches.put(f"{folder}/in.jsonl", [GOOD])
    trust = TRUST.replace("bedrock.amazonaws.com", "lambda.amazonaws.com")
    given = role(batches.server.home, folder, allow("s3:*", "*"), trust=trust)
    with pytest.raises(ClientError) as caught:
        batches.create(source, roleArn=given)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403), caught.value
    assert given in caught.value.response["Error"]["Message"]
