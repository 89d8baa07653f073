"""`outcrop accounts`, `users`, `roles` and `policies` as a person uses them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from outcrop.cli import main

ALLOW = {"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": "*"}
MODEL = "arn:aws:bedrock:us-east-1::foundation-model/acme.big"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("AWS_", "OUTCROP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OUTCROP_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=given)


def done(*arguments: str, given: str | None = None) -> str:
    result = run(*arguments, given=given)
    assert result.exit_code == 0, result.output
    return result.stdout


def shown(*arguments: str) -> Any:
    return json.loads(done(*arguments, "--json"))


def document(**changes: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": {**ALLOW, **changes}})


def test_accounts() -> None:
    made = shown("accounts", "create", "team-two", "--id", "111122223333")
    assert made["AccountId"] == "111122223333"
    assert made["Arn"] == "arn:aws:iam::111122223333:user/admin"
    first, second = shown("accounts", "list")
    assert (second["AccountId"], second["Name"], second["Users"]) == ("111122223333", "team-two", ["admin"])
    assert first["Name"] is None
    assert "team-two" in done("accounts", "list")
    (admin,) = shown("users", "list", "--account", "team-two")
    assert admin["AttachedPolicies"] == ["arn:aws:iam::aws:policy/AdministratorAccess"]
    key = shown("keys", "create", "--account", "team-two")
    (entry,) = [one for one in shown("keys", "list") if one["Id"] == key["AccessKeyId"]]
    assert entry["AccountId"] == "111122223333"


def test_users() -> None:
    made = shown("users", "create", "ann", "--policy", "AmazonBedrockReadOnly", "--tag", "team=red")
    assert made["AttachedPolicies"] == ["arn:aws:iam::aws:policy/AmazonBedrockReadOnly"]
    assert made["Tags"] == ["team=red"]
    assert shown("users", "create", "root-like", "--administrator")["AttachedPolicies"]
    assert [user["UserName"] for user in shown("users", "list")] == ["admin", "ann", "root-like"]
    key = shown("keys", "create", "--user", "ann")["AccessKeyId"]
    assert done("users", "delete", "ann") == "ann is deleted.\n"
    assert key not in done("keys", "list")
    assert [user["UserName"] for user in shown("users", "list")] == ["admin", "root-like"]


def test_a_key_for_a_new_user() -> None:
    assert "may do nothing" in run("keys", "create", "--user", "ann").stderr
    assert "may do nothing" not in run("keys", "create", "--user", "bob", "--administrator").stderr
    assert "may do nothing" not in run("keys", "create", "--user", "carl", "--policy", "AmazonBedrockFullAccess").stderr
    assert "may do nothing" not in run("keys", "create").stderr
    attached = {user["UserName"]: user["AttachedPolicies"] for user in shown("users", "list")}
    assert [len(attached[name]) for name in ("admin", "ann", "bob", "carl")] == [1, 0, 1, 1]


def test_roles() -> None:
    made = shown("roles", "create", "work", "--max-session-seconds", "7200", "--boundary", "AmazonBedrockFullAccess")
    assert made["MaxSessionDuration"] == 7200
    assert made["PermissionsBoundary"] == "arn:aws:iam::aws:policy/AmazonBedrockFullAccess"
    assert made["Arn"] in done("roles", "list")
    assert done("roles", "delete", "work")
    assert shown("roles", "list") == []


def test_policies(home: Path) -> None:
    arn = done("policies", "put", "models", "-", given=document()).strip()
    assert arn.endswith(":policy/models")
    home.joinpath("policy.json").write_text(document(Resource=MODEL))
    assert done("policies", "put", "models", str(home / "policy.json")).strip() == arn
    assert json.loads(done("policies", "show", "models"))["Statement"]["Resource"] == MODEL
    assert json.loads(done("policies", "show", "AdministratorAccess"))["Statement"][0]["Action"] == "*"
    assert "models" in [policy["PolicyName"] for policy in shown("policies", "list")]
    done("users", "create", "ann")
    assert arn in done("policies", "attach", "models", "--user", "ann")
    assert "Detach it first" in run("policies", "delete", "models").stderr
    done("policies", "detach", "models", "--user", "ann")
    done("policies", "attach", arn, "--user", "ann", "--boundary")
    assert "Detach it first" in run("policies", "delete", "models").stderr
    done("policies", "detach", "models", "--user", "ann", "--boundary")
    assert done("policies", "delete", "models") == "models is deleted.\n"
    assert "There is no policy models" in run("policies", "show", "models").stderr


def test_policies_of_other_accounts_are_not_there() -> None:
    shown("accounts", "create", "other")
    arn = done("policies", "put", "models", "-", given=document()).strip()
    for name in ("models", arn):
        assert "There is no policy" in run("policies", "show", name, "--account", "other").stderr
        assert "There is no policy" in run("policies", "attach", name, "--user", "admin", "--account", "other").stderr


def test_simulate() -> None:
    done("users", "create", "ann", "--tag", "team=red")
    done("roles", "create", "work", "--policy", "AmazonBedrockReadOnly")
    nothing = run("policies", "simulate", "--user", "ann", "bedrock:InvokeModel", MODEL)
    assert nothing.exit_code == 1
    assert nothing.stdout.startswith("implicitDeny: User: arn:aws:iam::")
    assert "because no identity-based policy allows the bedrock:InvokeModel action" in nothing.stdout
    own = {"StringEquals": {"aws:PrincipalTag/team": "red", "bedrock:ServiceTier": ["flex", "default"]}}
    done("policies", "put", "own", "-", given=document(Sid="OwnModels", Condition=own))
    done("policies", "attach", "own", "--user", "ann")
    asked = ("policies", "simulate", "--user", "ann", "bedrock:InvokeModel", MODEL)
    assert run(*asked).exit_code == 1
    allowed = done(*asked, "--context", "bedrock:ServiceTier=flex")
    assert allowed.startswith("allowed: statement OwnModels of arn:aws:iam::")
    done("policies", "put", "never", "-", given=document(Effect="Deny", Sid="Never"))
    done("policies", "attach", "never", "--user", "ann")
    denied = run(*asked, "--context", "bedrock:ServiceTier=flex", "--json")
    assert denied.exit_code == 1
    told = json.loads(denied.stdout)
    assert told["EvalDecision"] == "explicitDeny"
    assert "with an explicit deny in an identity-based policy. Statement Never of arn:aws:iam::" in told["Reason"]
    assert "allowed" in done("policies", "simulate", "--role", "work", "bedrock:ListGuardrails")
    assert run("policies", "simulate", "--role", "work", "bedrock:DeleteGuardrail").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["accounts", "create", "a b"], "An account name has"),
        (["accounts", "create", "111122223333"], "must not look like an account id"),
        (["accounts", "create", "--id", "12"], "An account id has 12 digits"),
        (["users", "create", "a b"], "A user name has"),
        (["users", "create", "admin"], "There is a user admin"),
        (["users", "create", "ann", "--policy", "Nothing"], "There is no policy Nothing"),
        (["users", "create", "ann", "--tag", "team"], "--tag takes KEY=VALUE"),
        (["users", "create", "ann", "--tag", "aws:x=1"], "is no tag"),
        (["users", "delete", "nobody"], "There is no user nobody"),
        (["users", "list", "--account", "nowhere"], "There is no account nowhere"),
        (["keys", "create", "--user", "admin", "--policy", "AmazonBedrockReadOnly"], "outcrop policies attach"),
        (["roles", "create", "r", "--max-session-seconds", "60"], "longest session is 3600 to 43200"),
        (["roles", "create", "r", "--trust", "-"], "The trust policy is malformed: line 1 column 1"),
        (["roles", "delete", "nobody"], "There is no role nobody"),
        (["policies", "put", "p", "-"], "The policy is malformed. line 1 column 1"),
        (["policies", "put", "a/b", "-"], "A policy name has"),
        (["policies", "delete", "AdministratorAccess"], "managed by AWS"),
        (["policies", "attach", "AdministratorAccess"], "Name a --user or a --role"),
        (["policies", "detach", "AmazonBedrockReadOnly", "--user", "admin"], "admin does not have"),
        (["policies", "detach", "AmazonBedrockReadOnly", "--user", "admin", "--boundary"], "as a boundary"),
        (["policies", "simulate", "bedrock:X", "--user", "admin", "--context", "x"], "--context takes KEY=VALUE"),
    ],
)
def test_mistakes_get_a_sentence(arguments: list[str], sentence: str) -> None:
    result = run(*arguments, given="")
    assert result.exit_code != 0
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_the_place_of_a_mistake_in_a_policy() -> None:
    told = run("policies", "put", "p", "-", given=document(Condition={"IpAddress": {"aws:SourceIp": "10.0.0"}})).stderr
    assert "Statement[0].Condition.IpAddress.aws:SourceIp[0]: '10.0.0' is no IP address or CIDR block." in told


def test_nothing_of_a_failed_command_stays() -> None:
    assert run("users", "create", "ann", "--policy", "AmazonBedrockReadOnly", "--policy", "Nothing").exit_code == 1
    assert [user["UserName"] for user in shown("users", "list")] == ["admin"]
