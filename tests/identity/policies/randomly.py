"""Policies and requests by chance, of few words, so that they often have to do with each other."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from tests.identity.policies.oracle import Documents, Keys, Request

OURS, THEIRS = "111122223333", "444455556666"
USERS = [f"arn:aws:iam::{OURS}:user/ann", f"arn:aws:iam::{OURS}:user/bob", f"arn:aws:iam::{THEIRS}:user/ann"]
ROLES = [f"arn:aws:iam::{OURS}:role/analyst", f"arn:aws:iam::{THEIRS}:role/analyst"]
ACTIONS = [
    "bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream", "bedrock:GetGuardrail", "bedrock:ListGuardrails",
    "sts:AssumeRole",
]  # fmt: skip
ACTION_PATTERNS = [
    *ACTIONS, "*", "*:*", "bedrock:*", "bedrock:Invoke*", "BEDROCK:invokemodel", "bedrock:?etGuardrail",
    "bedrock:*Guardrail*", "sts:*", "bedrock:*Model*Stream", "s3:GetObject",
]  # fmt: skip
RESOURCES = [
    "*",
    "arn:aws:bedrock:us-east-1::foundation-model/acme.big-v1:0",
    "arn:aws:bedrock:eu-west-1::foundation-model/acme.small-v1:0",
    f"arn:aws:bedrock:us-east-1:{OURS}:guardrail/abcdefghijkl",
    f"arn:aws:bedrock:us-east-1:{THEIRS}:guardrail/abcdefghijkl",
    f"arn:aws:bedrock:us-east-1:{OURS}:guardrail/ann",
    f"arn:aws:bedrock:us-east-1:{OURS}:prompt/red:1",
    f"arn:aws:iam::{OURS}:role/analyst",
]
STRINGS = ["ann", "bob", "red", "blue", "Red", "a*", "", "arn:aws:bedrock:us-east-1::x"]
VARIABLES = [
    "${aws:username}", "${aws:PrincipalTag/team}", "${aws:principaltag/team, 'red'}", "${*}", "${?}", "${$}",
    "${aws:TagKeys}",
]  # fmt: skip
NUMBERS = ["1", "2", "2.0", "-3", "1e1", "10", "0.5"]
DATES = ["2026-01-01T00:00:00Z", "2026-06-01T12:00:00Z", "1767225600", "1780315200"]
ADDRESSES = ["10.0.0.1", "10.0.0.0/8", "192.168.1.0/24", "192.168.1.7", "2001:db8::/32", "2001:db8::1", "0.0.0.0/0"]
BINARIES = ["YQ==", "Yg==", "YWI="]
ARNS = [*RESOURCES[1:4], "arn:aws:bedrock:*:*:guardrail/*", "arn:aws:bedrock:*::*", "*", "arn:aws:*:us-east-1:*"]
KEYS: dict[str, list[str]] = {
    "aws:username": ["ann", "bob"],
    "aws:PrincipalTag/team": ["red", "blue", "Red"],
    "aws:TagKeys": ["red", "ann", "blue"],
    "aws:RequestTag/team": ["red", "blue", ""],
    "aws:SourceIp": [address for address in ADDRESSES if "/" not in address] + ["nowhere"],
    "aws:CurrentTime": [*DATES, "yesterday"],
    "aws:EpochTime": ["1767225600", "1780315200"],
    "s3:max-keys": [*NUMBERS, "many"],
    "aws:SecureTransport": ["true", "false", "TRUE", "maybe"],
    "x:blob": [*BINARIES, "?"],
    "aws:SourceArn": [*RESOURCES[1:], "no-arn"],
}
TYPES: list[tuple[str, list[str], tuple[str, ...]]] = [
    ("String", STRINGS, ("Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike")),
    ("Numeric", NUMBERS, ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")),
    ("Date", DATES, ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")),
    ("Arn", ARNS, ("Equals", "NotEquals", "Like", "NotLike")),
    ("", BINARIES, ("BinaryEquals",)),
    ("", ["true", "false", "True"], ("Bool",)),
    ("", ADDRESSES, ("IpAddress", "NotIpAddress")),
]
# Keys whose values have to do with a type.
FITTING = {
    "Numeric": ["s3:max-keys", "aws:EpochTime"],
    "Date": ["aws:CurrentTime", "aws:EpochTime"],
    "Arn": ["aws:SourceArn"],
    "BinaryEquals": ["x:blob"],
    "Bool": ["aws:SecureTransport"],
    "IpAddress": ["aws:SourceIp"],
    "NotIpAddress": ["aws:SourceIp"],
}


@dataclass
class Dice:
    random: Random

    def likely(self, probability: float) -> bool:
        return self.random.random() < probability

    def one(self, given: list[Any]) -> Any:
        return self.random.choice(given)

    def some(self, given: list[Any], most: int = 3) -> Any:
        """One, or a list of a few."""
        if self.likely(0.5):
            return self.one(given)
        return [self.one(given) for _ in range(self.random.randint(1, most))]

    def documents(self) -> Documents:
        return Documents(
            identity=[self.document() for _ in range(self.random.choice([0, 1, 1, 2]))],
            boundary=self.document() if self.likely(0.2) else None,
            session=[self.document() for _ in range(self.random.choice([0, 0, 0, 1, 2]))],
            resource=self.document(principals=True) if self.likely(0.4) else None,
            trusted=self.likely(0.1),
        )

    def document(self, *, principals: bool = False) -> dict[str, Any]:
        document: dict[str, Any] = {"Version": "2012-10-17" if self.likely(0.85) else "2008-10-17"}
        statements = [self.statement(principals=principals) for _ in range(self.random.choice([1, 1, 2, 3]))]
        document["Statement"] = statements[0] if len(statements) == 1 and self.likely(0.3) else statements
        return document

    def statement(self, *, principals: bool = False, effect: str | None = None) -> dict[str, Any]:
        effect = effect or ("Allow" if self.likely(0.75) else "Deny")
        statement: dict[str, Any] = {"Effect": effect}
        if principals:
            excluded = effect == "Deny" and self.likely(0.3)
            statement["NotPrincipal" if excluded else "Principal"] = self.principals()
        statement["NotAction" if self.likely(0.15) else "Action"] = self.some(ACTION_PATTERNS)
        resources = [self.resource() for _ in range(self.random.randint(1, 2))]
        statement["NotResource" if self.likely(0.15) else "Resource"] = resources
        if self.likely(0.5):
            statement["Condition"] = dict(self.condition() for _ in range(self.random.choice([1, 1, 2])))
        return statement

    def principals(self) -> Any:
        if self.likely(0.2):
            return "*"
        sessions = [f"arn:aws:sts::{OURS}:assumed-role/analyst/job"]
        return {"AWS": self.some([*USERS, *ROLES, *sessions, OURS, THEIRS, f"arn:aws:iam::{OURS}:root", "*"])}

    def resource(self) -> str:
        """An ARN with parts replaced by wildcards and variables."""
        if self.likely(0.25):
            return "*"
        parts = self.one(RESOURCES[1:]).split(":", 5)
        for at in range(1, len(parts)):
            if self.likely(0.2):
                parts[at] = self.one(["*", parts[at][:4] + "*", "?" * len(parts[at]), "*" + parts[at][-3:], "u*-*-?"])
        if self.likely(0.2):
            parts[-1] = f"{parts[-1].partition('/')[0]}/{self.one(VARIABLES)}{self.one(['', '*', ':1'])}"
        if self.likely(0.05):
            return ":".join(parts[:3]) + ":*"
        return ":".join(parts)

    def condition(self) -> tuple[str, dict[str, Any]]:
        if self.likely(0.08):
            return "Null", {self.key(): self.some(["true", "false", True])}
        prefix, values, suffixes = self.one(TYPES)
        suffix = self.one(list(suffixes))
        operator = f"{self.one(['', '', '', 'ForAllValues:', 'ForAnyValue:'])}{prefix}{suffix}"
        operator += self.one(["", "", "IfExists"])
        key = self.key() if self.likely(0.3) else self.one(FITTING.get(prefix or suffix, list(KEYS)))
        return operator, {key: self.values(prefix, suffix, values)}

    def values(self, prefix: str, suffix: str, values: list[str]) -> Any:
        if prefix in ("String", "Arn") and self.likely(0.2):
            return [self.one(VARIABLES) + self.one(["", "*" if suffix.endswith("Like") else ""]), self.one(values)]
        if suffix in ("Like", "NotLike") and prefix == "String":
            return self.some(["*", "a*", "?ob", "*e*", "r?d", *values])
        return self.some(values)

    def key(self) -> str:
        key = self.one(list(KEYS))
        return str(key.upper() if self.likely(0.1) else key)

    def keys(self) -> Keys:
        found: Keys = {}
        for key, values in KEYS.items():
            if self.likely(0.7):
                count = self.random.choice([1, 1, 1, 2, 0]) if key == "aws:TagKeys" or self.likely(0.1) else 1
                found[key.lower()] = [self.one(values) for _ in range(count)]
        return found

    def request(self) -> Request:
        resource = self.one(RESOURCES)
        account = resource.split(":")[4] if resource.startswith("arn:") else ""
        keys = self.keys()
        if self.likely(0.3):
            role = self.one(ROLES)
            owner = role.split(":")[4]
            arn = f"arn:aws:sts::{owner}:assumed-role/analyst/{self.one(['job', 'other'])}"
            return Request(owner, arn, role, self.one(ACTIONS), resource, account or None, keys)
        user = self.one(USERS)
        return Request(user.split(":")[4], user, None, self.one(ACTIONS), resource, account or None, keys)
