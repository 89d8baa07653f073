"""Every operation of the four services, asked by users with no policy, the exact one, a wide one, a deny, and two that
are about something else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from outcrop.authorization import Authorizer
from outcrop.errors import AccessDeniedException
from outcrop.identity import accounts, actions
from outcrop.identity.access import Access
from outcrop.identity.actions import Check, Place
from outcrop.identity.caller import Caller
from outcrop.identity.policies import managed, rows
from outcrop.request import HttpRequest
from outcrop.store.database import Transaction
from outcrop.wire.model import Operation, load_services
from tests.inference.bench import MODEL, NOW, REGION, bench

OURS, THEIRS = "111122223333", "444455556666"
OPERATIONS = list(load_services().operations.values())
REQUEST = HttpRequest("POST", "/", "", [], source_ip="127.0.0.1")
EXPECTED = {
    "nothing": False,
    "exact": True,
    "wide": True,
    "deny": False,
    "other resource": False,
    "other account": False,
}


def mine(resource: str) -> str:
    return f"arn:aws:bedrock:{REGION}:{OURS}:{resource}"


VALUES: dict[str, Any] = {
    "modelId": MODEL,
    "modelArn": mine("custom-model/a.b/abcdefghijkl"),
    "sourceModelArn": mine("custom-model/a.b/abcdefghijkl"),
    "baseModelIdentifier": MODEL,
    "modelIdentifier": "abcdefghijkl",
    "foundationModel": MODEL,
    "jobIdentifier": "abcdefghijkl",
    "jobIdentifiers": ["abcdefghijkl", "mnopqrstuvwx"],
    "jobArn": mine("model-copy-job/abcdefghijkl"),
    "policyArn": mine("automated-reasoning-policy/abcdefghijkl"),
    "promptRouterArn": mine("prompt-router/abcdefghijkl"),
    "invocationArn": mine("async-invoke/abcdefghijkl"),
    "endpointArn": f"arn:aws:sagemaker:{REGION}:{OURS}:endpoint/x",
    "resourceArn": mine("guardrail/abcdefghijkl"),
    "resourceARN": mine("guardrail/abcdefghijkl"),
    "roleArn": f"arn:aws:iam::{OURS}:role/AmazonBedrockWork",
    "agentResourceRoleArn": f"arn:aws:iam::{OURS}:role/AmazonBedrockWork",
    "executionRoleArn": f"arn:aws:iam::{OURS}:role/AmazonBedrockWork",
    "modelSource": {"copyFrom": f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"},
    "inferenceProfileIdentifier": f"us.{MODEL}",
}  # fmt: skip


def params_of(operation: Operation) -> dict[str, Any]:
    """All that is a text or a tag gets a value."""
    shapes = operation.model.shapes
    found: dict[str, Any] = {}
    for name, member in operation.input_shape["members"].items():
        kind = shapes[member["shape"]]["type"]
        if name in VALUES:
            found[name] = VALUES[name]
        elif name.lower().endswith("tags"):
            found[name] = {"team": "red"} if kind == "map" else [{"key": "team", "value": "red"}]
        elif name.endswith(("Id", "Identifier")) and kind == "string":
            found[name] = "ABCDEFGHIJ"
    return found


@dataclass
class Bench:
    authorizer: Authorizer
    callers: dict[tuple[str, str, str], Caller]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A user for each cell of the matrix, all made in one transaction."""
    folder: Path = tmp_path_factory.mktemp("matrix")
    parts = bench(folder).ctx.parts
    authorizer = Authorizer(Access(parts.database), parts.database, parts.catalogue, lambda: NOW)
    callers = {}
    with parts.database.transaction() as transaction:
        accounts.add_account(transaction, chosen_id=OURS)
        for number, operation in enumerate(OPERATIONS):
            checks = checks_of(authorizer, operation)
            for kind in EXPECTED:
                user = accounts.add_user(transaction, OURS, f"{kind.replace(' ', '-')}-{number}")
                give(transaction, user, kind, checks)
                caller = Caller(OURS, user.arn, user.id, "AKIA", "sigv4", REGION)
                callers[operation.service, operation.name, kind] = caller
    yield Bench(authorizer, callers)
    parts.database.close()


def checks_of(authorizer: Authorizer, operation: Operation) -> list[Check]:
    params, place = params_of(operation), Place(REGION, OURS)
    named = authorizer._named(operation.name, params, place)
    return [check for check in authorizer._checks(operation.name, params, place, named) if not check.deny_only]


def give(transaction: Transaction, user: accounts.User, kind: str, checks: list[Check]) -> None:
    if kind == "nothing":
        return
    if kind == "wide":
        rows.attach(transaction, user.id, managed.PREFIX + "AmazonBedrockFullAccess")
        return
    first = checks[0]
    resources = [check.resource for check in checks]
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": check.action, "Resource": check.resource} for check in checks
    ]
    if kind == "deny":
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        statements = [everything, {"Effect": "Deny", "Action": first.action, "Resource": first.resource}]
    elif kind == "other resource":
        others = [mine("somewhere-else/abcdefghijkl") if one == "*" else f"{one}x" for one in resources]
        statements = [{"Effect": "Allow", "Action": "*", "Resource": others}]
    elif kind == "other account":
        others = [
            mine("*").replace(OURS, THEIRS),
            *(one.replace(f":{OURS}:", f":{THEIRS}:") for one in resources if OURS in one),
        ]
        statements = [{"Effect": "Allow", "Action": "*", "Resource": others}]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    rows.attach(transaction, user.id, rows.put(transaction, OURS, user.name, document).arn)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.service}-{operation.name}")
def test_every_operation(prepared: Bench, operation: Operation) -> None:
    found = {}
    for kind in EXPECTED:
        caller = prepared.callers[operation.service, operation.name, kind]
        told = refusal(prepared, caller, operation)
        found[kind] = told is None
        if told is not None:
            assert told.startswith(f"User: {caller.arn} is not authorized to perform: ")
            assert ("with an explicit deny in an identity-based policy" in told) is (kind == "deny")
    assert found == EXPECTED


def refusal(prepared: Bench, caller: Caller, operation: Operation) -> str | None:
    try:
        prepared.authorizer.check(caller, operation, params_of(operation), REQUEST, REGION)
    except AccessDeniedException as refused:
        return refused.message
    return None


def test_actions_are_called_like_their_operations() -> None:
    others = {
        op.name: actions.action_of(op.name) for op in OPERATIONS if actions.action_of(op.name) != f"bedrock:{op.name}"
    }
    assert others == {
        "Converse": "bedrock:InvokeModel",
        "ConverseStream": "bedrock:InvokeModelWithResponseStream",
        "InvokeModelWithBidirectionalStream": "bedrock:InvokeModelWithResponseStream",
        "StartAsyncInvoke": "bedrock:InvokeModel",
        "RetrieveAndGenerateStream": "bedrock:RetrieveAndGenerate",
    }


# Operations that name a resource, by the parameter that names it, must not be asked about everything.
NAMED = {"guardrailIdentifier", "policyArn", "provisionedModelId", "inferenceProfileIdentifier", "promptRouterArn", "resourceArn",
         "resourceARN", "agentId", "knowledgeBaseId", "flowIdentifier", "promptIdentifier", "sessionIdentifier", "modelId",
         "jobIdentifier", "jobArn", "endpointArn", "invocationArn", "customModelDeploymentIdentifier", "modelIdentifier",
         "retrievalInstructionId"}  # fmt: skip
# Agreements and availability are about models at large, as AWS has it.
AT_LARGE = {"CreateFoundationModelAgreement", "DeleteFoundationModelAgreement", "GetFoundationModelAvailability",
            "ListFoundationModelAgreementOffers"}  # fmt: skip


def test_whoever_names_a_resource_is_asked_about_it(prepared: Bench) -> None:
    for operation in OPERATIONS:
        required = set(operation.input_shape.get("required", ()))
        if required & NAMED and operation.name not in AT_LARGE:
            assert checks_of(prepared.authorizer, operation)[0].resource != "*", operation.name
