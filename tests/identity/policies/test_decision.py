"""The user guide's evaluation logic, case by case: which policies must allow, and which one is named in the reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.identity.policies.asking import ask, policies
from tests.identity.policies.oracle import Documents, Request

OURS, THEIRS = "111122223333", "444455556666"
ANN = f"arn:aws:iam::{OURS}:user/ann"
ROLE = f"arn:aws:iam::{OURS}:role/analyst"
SESSION = f"arn:aws:sts::{OURS}:assumed-role/analyst/job"
GUARDRAIL = f"arn:aws:bedrock:us-east-1:{OURS}:guardrail/abcdefghijkl"
ACTION = "bedrock:ApplyGuardrail"


def document(effect: str = "Allow", resource: str = "*", action: str = "bedrock:*", **more: Any) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def shared_with(*names: str, effect: str = "Allow") -> dict[str, Any]:
    return document(effect, GUARDRAIL, Principal={"AWS": list(names)})


ALLOW, DENY, OTHER = document(), document("Deny"), document(action="s3:*")


def user(owner: str | None = OURS, **documents: Any) -> tuple[bool, str]:
    return _asked(Request(OURS, ANN, None, ACTION, GUARDRAIL, owner, {}), documents)


def session(owner: str | None = OURS, **documents: Any) -> tuple[bool, str]:
    return _asked(Request(OURS, SESSION, ROLE, ACTION, GUARDRAIL, owner, {}), documents)


def _asked(request: Request, documents: Any) -> tuple[bool, str]:
    decision = ask(request, policies(Documents(**documents)))
    return decision.allowed, "" if decision.allowed else decision.because(ACTION)


def no(kind: str) -> tuple[bool, str]:
    return False, f"because no {kind} allows the {ACTION} action"


def denied(kind: str) -> tuple[bool, str]:
    return False, f"with an explicit deny in {kind}"


YES = (True, "")


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ({}, no("identity-based policy")),
        ({"identity": [ALLOW]}, YES),
        ({"identity": [OTHER, ALLOW]}, YES),
        ({"identity": [OTHER]}, no("identity-based policy")),
        ({"identity": [ALLOW, DENY]}, denied("an identity-based policy")),
        ({"identity": [ALLOW], "boundary": ALLOW}, YES),
        ({"identity": [ALLOW], "boundary": OTHER}, no("permissions boundary")),
        ({"identity": [ALLOW], "boundary": DENY}, denied("a permissions boundary")),
        ({"boundary": ALLOW}, no("identity-based policy")),
        ({"resource": shared_with(ANN)}, YES),
        ({"resource": shared_with(ANN), "boundary": OTHER}, YES),
        ({"resource": shared_with(ANN), "boundary": DENY}, denied("a permissions boundary")),
        ({"resource": shared_with("*")}, YES),
        ({"resource": shared_with("*"), "boundary": OTHER}, no("permissions boundary")),
        ({"resource": shared_with(OURS)}, no("identity-based policy")),
        ({"resource": shared_with(f"arn:aws:iam::{THEIRS}:user/ann")}, no("identity-based policy")),
        ({"resource": shared_with(OURS, effect="Deny"), "identity": [ALLOW]}, denied("a resource-based policy")),
        ({"resource": document("Deny", NotPrincipal={"AWS": ANN}), "identity": [ALLOW]}, YES),
        (
            {"resource": document("Deny", NotPrincipal={"AWS": ROLE}), "identity": [ALLOW]},
            denied("a resource-based policy"),
        ),
    ],
)
def test_a_user_in_his_own_account(documents: Any, expected: tuple[bool, str]) -> None:
    assert user(**documents) == expected


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ({"identity": [ALLOW]}, YES),
        ({"identity": [ALLOW], "session": [OTHER]}, no("session policy")),
        ({"identity": [ALLOW], "session": [OTHER, ALLOW]}, YES),
        ({"identity": [ALLOW], "session": [ALLOW, DENY]}, denied("a session policy")),
        ({"session": [ALLOW]}, no("identity-based policy")),
        ({"identity": [ALLOW], "boundary": ALLOW, "session": [OTHER]}, no("session policy")),
        ({"resource": shared_with(ROLE)}, YES),
        ({"resource": shared_with(ROLE), "session": [OTHER]}, no("session policy")),
        ({"resource": shared_with(ROLE), "boundary": OTHER}, no("permissions boundary")),
        ({"resource": shared_with(SESSION), "session": [OTHER], "boundary": OTHER}, YES),
        ({"resource": shared_with(SESSION.replace("job", "other"))}, no("identity-based policy")),
    ],
)
def test_a_role(documents: Any, expected: tuple[bool, str]) -> None:
    assert session(**documents) == expected


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ({"identity": [ALLOW]}, no("resource-based policy")),
        ({"resource": shared_with(ANN)}, no("identity-based policy")),
        ({"identity": [ALLOW], "resource": shared_with(ANN)}, YES),
        ({"identity": [ALLOW], "resource": shared_with(OURS)}, YES),
        ({"identity": [ALLOW], "resource": shared_with("*")}, YES),
        ({"identity": [ALLOW], "resource": shared_with(THEIRS)}, no("resource-based policy")),
        ({"identity": [ALLOW], "resource": shared_with(ANN), "boundary": OTHER}, no("permissions boundary")),
        ({"identity": [ALLOW, DENY], "resource": shared_with(ANN)}, denied("an identity-based policy")),
    ],
)
def test_between_accounts_both_must_allow(documents: Any, expected: tuple[bool, str]) -> None:
    assert user(owner=THEIRS, **documents) == expected


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ({"identity": [ALLOW]}, no("resource-based policy")),
        ({"resource": shared_with(ANN)}, YES),
        ({"resource": shared_with(OURS)}, no("identity-based policy")),
        ({"identity": [ALLOW], "resource": shared_with(OURS)}, YES),
    ],
)
def test_a_role_must_trust_whoever_becomes_it(documents: Any, expected: tuple[bool, str]) -> None:
    assert user(trusted=True, **documents) == expected
