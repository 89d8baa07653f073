"""One of each kind of resource, for tests that go over all of them.

A room that registers another kind in `outcrop.tags.kinds.TAGGABLE`, or another List operation with pages, adds a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outcrop.batch.async_operations import start_async_invoke
from outcrop.batch.operations import create_model_invocation_job
from outcrop.context import Context
from outcrop.models.operations.inference_profiles import create_inference_profile
from outcrop.models.operations.prompt_routers import create_prompt_router
from outcrop.models.operations.provisioned_throughput import create_provisioned_model_throughput
from tests.inference.bench import ACCOUNT, OTHER_ACCOUNT, REGION, Bench
from tests.models.two_models import LARGE, SMALL, arn_of, two_models

Tags = Sequence[Mapping[str, str]]
BUCKETS = {ACCOUNT: "ours", OTHER_ACCOUNT: "theirs"}
ROLE = "arn:aws:iam::111122223333:role/Batch"


@dataclass(frozen=True)
class Kind:
    """`make` gives the ARN of a new one, by a name that is its own; `other` is another query of the List operation."""

    name: str
    make: Callable[[Context, str, Tags], str]
    lists: tuple[str, str]
    other: Mapping[str, Any]


def everything(folder: Path) -> Bench:
    """Two models, eight places for reservations, and a bucket for each account."""
    bench = two_models(folder)
    bench.pool.places = 8
    for account, bucket in BUCKETS.items():
        with bench.ctx.database.transaction() as transaction:
            transaction.execute("INSERT INTO accounts (id, created_at) VALUES (?, '')", account)
        bench.ctx.parts.objects.store.create_bucket(bucket, account, REGION)
    return bench


def _profile(ctx: Context, name: str, tags: Tags) -> str:
    request: Any = {"inferenceProfileName": name, "modelSource": {"copyFrom": arn_of(SMALL)}, "tags": tags}
    return create_inference_profile(ctx, request)["inferenceProfileArn"]


def _router(ctx: Context, name: str, tags: Tags) -> str:
    models = [{"modelArn": arn_of(SMALL)}, {"modelArn": arn_of(LARGE)}]
    request: Any = {
        "promptRouterName": name,
        "models": models,
        "fallbackModel": models[0],
        "routingCriteria": {"responseQualityDifference": 10},
        "tags": tags,
    }
    return create_prompt_router(ctx, request)["promptRouterArn"]


def _throughput(ctx: Context, name: str, tags: Tags) -> str:
    request: Any = {"provisionedModelName": name, "modelUnits": 1, "modelId": SMALL, "tags": tags}
    return create_provisioned_model_throughput(ctx, request)["provisionedModelArn"]


def _batch_job(ctx: Context, name: str, tags: Tags) -> str:
    at = f"s3://{BUCKETS[ctx.account]}"
    request: Any = {
        "jobName": name,
        "roleArn": ROLE,
        "modelId": SMALL,
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": f"{at}/in/"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"{at}/out/"}},
        "tags": tags,
    }
    return create_model_invocation_job(ctx, request)["jobArn"]


def _async_invoke(ctx: Context, name: str, tags: Tags) -> str:
    request: Any = {
        "modelId": SMALL,
        "modelInput": {"prompt": name},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{BUCKETS[ctx.account]}/{name}"}},
        "tags": tags,
    }
    return start_async_invoke(ctx, request)["invocationArn"]


KINDS = (
    Kind(
        "application-inference-profile", _profile, ("bedrock", "ListInferenceProfiles"), {"typeEquals": "APPLICATION"}
    ),
    Kind("prompt-router", _router, ("bedrock", "ListPromptRouters"), {"type": "custom"}),
    Kind("provisioned-model", _throughput, ("bedrock", "ListProvisionedModelThroughputs"), {"nameContains": "n"}),
    Kind("model-invocation-job", _batch_job, ("bedrock", "ListModelInvocationJobs"), {"nameContains": "n"}),
    Kind("async-invoke", _async_invoke, ("bedrock-runtime", "ListAsyncInvokes"), {"sortOrder": "Ascending"}),
)
