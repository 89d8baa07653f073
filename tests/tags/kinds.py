"""One of each kind of resource, for tests that go over all of them.

A room that registers another kind in `outcrop.tags.kinds.TAGGABLE`, or another List operation with pages, adds a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from outcrop import jobs
from outcrop.batch.async_operations import start_async_invoke
from outcrop.batch.operations import create_model_invocation_job
from outcrop.batch.submitted import body_of
from outcrop.context import Context
from outcrop.customization.copying import COPY
from outcrop.customization.model_operations import create_custom_model
from outcrop.customization.submitted import JOB
from outcrop.customization.submitted import arn_of as customization_arn
from outcrop.evaluation.jobs.operations import create_evaluation_job
from outcrop.model_import.operations import create_model_import_job
from outcrop.models import custom, deployments
from outcrop.models.custom import CustomModel
from outcrop.models.deployments import Deployment
from outcrop.models.operations.inference_profiles import create_inference_profile
from outcrop.models.operations.prompt_routers import create_prompt_router
from outcrop.models.operations.provisioned_throughput import create_provisioned_model_throughput
from outcrop.store.ids import new_id
from outcrop.tags import tags as tag_rows
from tests.inference.bench import ACCOUNT, OTHER_ACCOUNT, REGION, Bench
from tests.models.two_models import LARGE, SMALL, arn_of, two_models

Tags = Sequence[Mapping[str, str]]
BUCKETS = {ACCOUNT: "ours", OTHER_ACCOUNT: "theirs"}
ROLE = "arn:aws:iam::111122223333:role/Batch"


@dataclass(frozen=True)
class Kind:
    """`make` gives the ARN of a new one, by a name that is its own; `other` is another query of the List operation.

    What needs weights to be made is made as its room would write it.
    """

    name: str
    make: Callable[[Context, str, Tags], str]
    lists: tuple[str, str]
    other: Mapping[str, Any]
    taggable: bool = True


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


def _custom_model(ctx: Context, name: str, tags: Tags) -> str:
    source = {"s3DataSource": {"s3Uri": f"s3://{BUCKETS[ctx.account]}/model/"}}
    request: Any = {"modelName": name, "roleArn": ROLE, "modelSourceConfig": source, "modelTags": tags}
    return create_custom_model(ctx, request)["modelArn"]


def _import_job(ctx: Context, name: str, tags: Tags) -> str:
    source = {"s3DataSource": {"s3Uri": f"s3://{BUCKETS[ctx.account]}/model/"}}
    request: Any = {
        "jobName": name,
        "importedModelName": f"model-{name}",
        "roleArn": ROLE,
        "modelDataSource": source,
        "jobTags": tags,
    }
    return create_model_import_job(ctx, request)["jobArn"]


def _imported_model(ctx: Context, name: str, tags: Tags) -> str:
    model_id = new_id()
    arn = custom.build_arn("imported", ctx.region, ctx.account, model_id, "")
    details = {
        "jobName": name,
        "jobArn": "",
        "modelDataSource": {},
        "modelArchitecture": "llama",
        "instructSupported": True,
    }
    row = CustomModel(
        model_id, ctx.account, ctx.region, "imported", name, arn, None, None, None, "Creating", None, "own", "",
        details, None, None, ctx.now(), ctx.now(),
    )  # fmt: skip
    with ctx.database.transaction() as transaction:
        custom.add(transaction, row)
        tag_rows.add(transaction, arn, cast("Any", tags))
    return arn


def _deployment(ctx: Context, name: str, tags: Tags) -> str:
    model = _custom_model(ctx, f"of-{new_id()}", []).rpartition("/")[2]
    row = Deployment(
        new_id(), ctx.account, ctx.region, name, None, model, "Failed", None, None, None, None, "", ctx.now(), ctx.now()
    )
    with ctx.database.transaction() as transaction:
        deployments.add(transaction, row)
        tag_rows.add(transaction, row.arn, cast("Any", tags))
    return row.arn


def _customization_job(ctx: Context, name: str, tags: Tags) -> str:
    request = {"jobName": name, "customModelName": f"model-{name}", "roleArn": ROLE, "baseModelIdentifier": SMALL}
    base = {"arn": arn_of(SMALL), "arn_name": "test.small-v1:0", "foundation": SMALL}
    body = {**body_of(cast("Any", request), ctx.caller), "hyperparameters": {}, "base": base, "key": None}
    with ctx.database.transaction() as transaction:
        made = jobs.create(transaction, ctx.account, ctx.region, JOB, body, now=ctx.now(), name=name, unique_name=True)
        arn = customization_arn(made.job)
        tag_rows.add(transaction, arn, cast("Any", tags))
    return arn


def _copy_job(ctx: Context, name: str, tags: Tags) -> str:
    source = custom.build_arn("custom", ctx.region, ctx.account, new_id(), "imported")
    request = {"sourceModelArn": source, "targetModelName": name}
    more = {"source": "", "source_name": "", "source_account": ctx.account, "arn_name": "imported", "key": None}
    with ctx.database.transaction() as transaction:
        body = {**body_of(cast("Any", request), ctx.caller), **more}
        return jobs.create(transaction, ctx.account, ctx.region, COPY, body, now=ctx.now(), name=name).job.id


def _evaluation_job(ctx: Context, name: str, tags: Tags) -> str:
    at = f"s3://{BUCKETS[ctx.account]}"
    dataset = {"name": "Own", "datasetLocation": {"s3Uri": f"{at}/data.jsonl"}}
    metrics = {"taskType": "QuestionAndAnswer", "dataset": dataset, "metricNames": ["Builtin.Accuracy"]}
    request: Any = {
        "jobName": name,
        "roleArn": ROLE,
        "evaluationConfig": {"automated": {"datasetMetricConfigs": [metrics]}},
        "inferenceConfig": {"models": [{"bedrockModel": {"modelIdentifier": SMALL}}]},
        "outputDataConfig": {"s3Uri": f"{at}/out/"},
        "jobTags": tags,
    }
    return create_evaluation_job(ctx, request)["jobArn"]


KINDS = (
    Kind(
        "application-inference-profile", _profile, ("bedrock", "ListInferenceProfiles"), {"typeEquals": "APPLICATION"}
    ),
    Kind("prompt-router", _router, ("bedrock", "ListPromptRouters"), {"type": "custom"}),
    Kind("provisioned-model", _throughput, ("bedrock", "ListProvisionedModelThroughputs"), {"nameContains": "n"}),
    Kind("model-invocation-job", _batch_job, ("bedrock", "ListModelInvocationJobs"), {"nameContains": "n"}),
    Kind("async-invoke", _async_invoke, ("bedrock-runtime", "ListAsyncInvokes"), {"sortOrder": "Ascending"}),
    Kind("custom-model", _custom_model, ("bedrock", "ListCustomModels"), {"nameContains": "n"}),
    Kind("custom-model-deployment", _deployment, ("bedrock", "ListCustomModelDeployments"), {"nameContains": "n"}),
    Kind(
        "model-customization-job", _customization_job, ("bedrock", "ListModelCustomizationJobs"), {"nameContains": "n"}
    ),
    Kind("model-import-job", _import_job, ("bedrock", "ListModelImportJobs"), {"nameContains": "n"}),
    Kind("imported-model", _imported_model, ("bedrock", "ListImportedModels"), {"nameContains": "n"}),
    Kind("evaluation-job", _evaluation_job, ("bedrock", "ListEvaluationJobs"), {"nameContains": "n"}),
    Kind(
        "model-copy-job", _copy_job, ("bedrock", "ListModelCopyJobs"), {"targetModelNameContains": "n"}, taggable=False
    ),
)
