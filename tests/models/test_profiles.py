"""Application inference profiles as models, and as rows."""

from __future__ import annotations

from typing import Any

import pytest

from outcrop.errors import AwsError
from outcrop.inference.operations import converse
from outcrop.models.operations.inference_profiles import create_inference_profile, delete_inference_profile
from tests.inference.bench import MODEL, OTHER_ACCOUNT, REGION, Bench, user

SOURCE = f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"


def test_a_profile_answers_until_it_is_deleted_and_for_its_account_and_region_only(bench: Bench) -> None:
    made = create_inference_profile(bench.ctx, {"inferenceProfileName": "team", "modelSource": {"copyFrom": SOURCE}})
    arn = made["inferenceProfileArn"]
    request: dict[str, Any] = {"modelId": arn, "messages": [user("Hi")]}
    assert bench.call(converse, **request)["stopReason"] == "end_turn"
    own = bench.ctx
    for stranger in (bench.as_caller(OTHER_ACCOUNT), bench.as_caller(region="eu-west-1")):
        bench.ctx = stranger
        with pytest.raises(AwsError, match="model identifier is invalid"):
            bench.call(converse, **request)
    bench.ctx = own
    delete_inference_profile(bench.ctx, {"inferenceProfileIdentifier": arn})
    with pytest.raises(AwsError, match="model identifier is invalid"):
        bench.call(converse, **request)
