"""The evaluator asked in the oracle's terms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from outcrop.identity.policies.compiled import Policy, compiled
from outcrop.identity.policies.decision import Decision, Policies, decide
from outcrop.identity.policies.document import Kind, read
from outcrop.identity.policies.query import Query, Subject
from tests.identity.policies.oracle import Documents, Request


def policy(document: Any, kind: Kind = "identity") -> Policy:
    return compiled("p", read(json.dumps(document), kind))


def policies(documents: Documents) -> Policies:
    return Policies(
        identity=[policy(document) for document in documents.identity],
        boundary=None if documents.boundary is None else policy(documents.boundary),
        session=[policy(document) for document in documents.session],
        resource=None if documents.resource is None else policy(documents.resource, "resource"),
        trusted=documents.trusted,
    )


class _Keys:
    def __init__(self, keys: Mapping[str, list[str]]) -> None:
        self._keys = keys

    def get(self, key: str) -> Sequence[str] | None:
        return self._keys.get(key)


def ask(request: Request, known: Policies) -> Decision:
    subject = Subject(request.account, request.arn, request.role)
    return decide(Query(subject, request.action, request.resource, request.owner, _Keys(request.keys)), known)
