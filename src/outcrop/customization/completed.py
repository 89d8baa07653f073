"""The custom model that a completed job leaves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from outcrop.customization.submitted import arn_of
from outcrop.jobs import Job
from outcrop.models import custom
from outcrop.store.database import Transaction
from outcrop.tags import tags

# What a model tells of the request that made it.
_TOLD = ("trainingDataConfig", "validationDataConfig", "outputDataConfig", "customizationConfig")


def delivering(clock: Callable[[], datetime]) -> Callable[[Transaction, Job], None]:
    """What is called in the transaction that completes a job: the custom model is there if and only if it completed."""

    def deliver(transaction: Transaction, job: Job) -> None:
        given, result, now = job.input["request"], job.result, clock()
        model = custom.CustomModel(
            id=job.id,
            account=job.account,
            region=job.region,
            kind="custom",
            name=given["customModelName"],
            arn=result["model_arn"],
            base_arn=job.input["base"]["arn"],
            foundation=job.input["base"]["foundation"],
            customization_type=given.get("customizationType", "FINE_TUNING"),
            status="Active",
            failure=None,
            serving=result["serving"],
            file=result["file"],
            details={
                "jobName": given["jobName"],
                "jobArn": arn_of(job),
                "hyperParameters": job.input["hyperparameters"],
                "key": job.input.get("key"),
                "training_loss": result["training_loss"],
                "validation_losses": result["validation_losses"],
                **{name: given[name] for name in _TOLD if name in given},
            },
            client_token=None,
            request_hash=None,
            created_at=now,
            updated_at=now,
        )
        custom.add(transaction, model)
        tags.add(transaction, model.arn, given.get("customModelTags", []))

    return deliver
