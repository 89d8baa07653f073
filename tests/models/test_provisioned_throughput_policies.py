"""What policies hold of provisioned models: by ARN and by name they are the same resource, and the model behind counts too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outcrop.models.operations.provisioned_throughput import create_provisioned_model_throughput
from tests.identity.policies.test_authorization import Desk, allow, deny, mine, model
from tests.inference.bench import MODEL, OTHER_ACCOUNT


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.bench.pool.places = 3
    yield desk
    desk.database.close()


def provisioned(desk: Desk, name: str = "team") -> str:
    request: Any = {"provisionedModelName": name, "modelUnits": 1, "modelId": MODEL}
    return create_provisioned_model_throughput(desk.bench.ctx, request)["provisionedModelArn"]


def test_it_is_run_by_its_own_arn_under_either_name(desk: Desk) -> None:
    arn = provisioned(desk)
    for name in (arn, "team"):
        assert desk.needs(name) == [(arn, False), (model(MODEL), True)]
        assert desk.converse(desk.user(allow("bedrock:InvokeModel", arn)), name) is None
        assert desk.converse(desk.user(allow("bedrock:InvokeModel", model("*"))), name) is not None
        assert "explicit deny" in (desk.converse(desk.user(allow(), deny(resource=arn)), name) or "")
        assert "explicit deny" in (desk.converse(desk.user(allow(), deny(resource=model(MODEL))), name) or "")


def test_another_accounts_is_refused(desk: Desk) -> None:
    arn = provisioned(desk)
    stranger = desk.administrator(OTHER_ACCOUNT)
    assert desk.converse(stranger, arn) is not None
    # The name means nothing to him.
    assert desk.converse(stranger, "team") is None


def test_operations_on_it_by_name_and_arn(desk: Desk) -> None:
    arn, other = provisioned(desk), provisioned(desk, "other")
    caller = desk.user(allow("bedrock:*ProvisionedModelThroughput", arn))
    for operation in ("Get", "Update", "Delete"):
        for name, allowed in ((arn, True), ("team", True), (other, False), ("other", False)):
            refusal = desk.refused(caller, f"{operation}ProvisionedModelThroughput", {"provisionedModelId": name})
            assert (refusal is None) == allowed


def test_to_reserve_needs_the_model_and_the_right_to_reserve(desk: Desk) -> None:
    params = {"provisionedModelName": "new", "modelUnits": 1, "modelId": MODEL}
    both = [model(MODEL), mine("provisioned-model/*")]
    for resources, allowed in ((both, True), (both[:1], False), (both[1:], False)):
        caller = desk.user(allow("bedrock:CreateProvisionedModelThroughput", resources))
        assert (desk.refused(caller, "CreateProvisionedModelThroughput", params) is None) == allowed
