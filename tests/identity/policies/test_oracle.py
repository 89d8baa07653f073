"""The evaluator against the oracle, and what must hold whatever the policies are.

OUTCROP_POLICY_ROUNDS asks for more rounds than CI has time for; OUTCROP_POLICY_SEED for others.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from random import Random

import pytest

from tests.identity.policies import oracle
from tests.identity.policies.asking import ask, policies
from tests.identity.policies.oracle import Documents
from tests.identity.policies.randomly import Dice

ROUNDS = int(os.environ.get("OUTCROP_POLICY_ROUNDS", "5000"))
SEED = int(os.environ.get("OUTCROP_POLICY_SEED", "20261125"))
REQUESTS = 20
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_the_oracle_agrees(part: int) -> None:
    """A hundred thousand pairs of policies and request in all; the counts show that all outcomes are met often."""
    dice = Dice(Random(f"{SEED} {part}"))
    counts = {(True, False): 0, (False, True): 0, (False, False): 0}
    for _ in range(ROUNDS // PARTS):
        documents = dice.documents()
        known = policies(documents)
        for _ in range(REQUESTS):
            request = dice.request()
            expected = oracle.decide(request, documents)
            decision = ask(request, known)
            assert (decision.allowed, decision.explicit) == expected, json.dumps([vars(documents), vars(request)])
            counts[expected] += 1
    assert min(counts.values()) > ROUNDS // PARTS * REQUESTS / 20, counts


def test_a_deny_never_allows_and_an_allow_never_denies() -> None:
    dice = Dice(Random(SEED + 1))
    changed = {"Deny": 0, "Allow": 0}
    for _ in range(ROUNDS // 5):
        before = dice.documents()
        effect = dice.one(["Deny", "Allow"])
        after = _with_statement(dice, before, effect)
        known, grown = policies(before), policies(after)
        for _ in range(REQUESTS):
            request = dice.request()
            earlier, later = ask(request, known).allowed, ask(request, grown).allowed
            changed[effect] += earlier != later
            if effect == "Deny":
                assert later <= earlier, json.dumps([vars(after), vars(request)])
            else:
                assert later >= earlier, json.dumps([vars(after), vars(request)])
    assert min(changed.values()) > ROUNDS / 100, changed


def _with_statement(dice: Dice, documents: Documents, effect: str) -> Documents:
    """One more statement in one of the policies there are, or in a policy of its own."""
    place = dice.one(["identity", "identity", "boundary", "session", "resource"])
    made = dice.statement(principals=place == "resource", effect=effect)
    if place == "boundary" and documents.boundary is not None:
        return replace(documents, boundary=_grown(documents.boundary, made))
    if place == "resource" and documents.resource is not None:
        return replace(documents, resource=_grown(documents.resource, made))
    if place == "session" and documents.session:
        return replace(documents, session=[*documents.session, {"Version": "2012-10-17", "Statement": [made]}])
    made.pop("Principal", None)
    made.pop("NotPrincipal", None)
    return replace(documents, identity=[*documents.identity, {"Version": "2012-10-17", "Statement": [made]}])


def _grown(document: dict[str, object], statement: dict[str, object]) -> dict[str, object]:
    have = document["Statement"]
    return {**document, "Statement": [*(have if isinstance(have, list) else [have]), statement]}
