"""A job as GetEvaluationJob and ListEvaluationJobs show it."""

from __future__ import annotations

from typing import Any

from outcrop.batch.submitted import arn_of
from outcrop.evaluation.jobs.plan import Plan, plan_of
from outcrop.evaluation.jobs.statuses import status_of
from outcrop.jobs import Job
from outcrop.shapes.bedrock import EvaluationSummary, GetEvaluationJobResponse

_LONGEST_MESSAGE, _MOST_MESSAGES = 2048, 20


def whole(job: Job) -> GetEvaluationJobResponse:
    request: Any = job.input["request"]
    response: GetEvaluationJobResponse = {
        "jobName": request["jobName"],
        "status": status_of(job),
        "jobArn": arn_of(job),
        "roleArn": request["roleArn"],
        "jobType": _kind(request),
        "applicationType": application_of(job),
        "evaluationConfig": request["evaluationConfig"],
        "inferenceConfig": request["inferenceConfig"],
        "outputDataConfig": request["outputDataConfig"],
        "creationTime": job.created_at,
        "lastModifiedTime": job.updated_at,
    }
    if "jobDescription" in request:
        response["jobDescription"] = request["jobDescription"]
    if "customerEncryptionKeyId" in request:
        response["customerEncryptionKeyId"] = request["customerEncryptionKeyId"]
    # Also what is wrong with a worksheet that came back, while the job goes on waiting for one.
    told = [job.reason] if job.reason is not None else (job.state or {}).get("refused") or []
    if told:
        response["failureMessages"] = [line[:_LONGEST_MESSAGE] for line in told[:_MOST_MESSAGES]]
    return response


def short(job: Job) -> EvaluationSummary:
    request: Any = job.input["request"]
    plan = plan_of(request)
    summary: EvaluationSummary = {
        "jobArn": arn_of(job),
        "jobName": request["jobName"],
        "status": status_of(job),
        "creationTime": job.created_at,
        "jobType": _kind(request),
        "evaluationTaskTypes": list(dict.fromkeys(dataset.task for dataset in plan.datasets)),
        "applicationType": application_of(job),
    }
    if plan.judge is not None:
        summary["evaluatorModelIdentifiers"] = [plan.judge]
    if plan.custom_judge is not None:
        summary["customMetricsEvaluatorModelIdentifiers"] = [plan.custom_judge]
    _say_what_answers(summary, plan)
    return summary


def application_of(job: Job) -> str:
    request: Any = job.input["request"]
    return "RagEvaluation" if "ragConfigs" in request["inferenceConfig"] else "ModelEvaluation"


def _kind(request: Any) -> str:
    return "Human" if "human" in request["evaluationConfig"] else "Automated"


def _say_what_answers(summary: EvaluationSummary, plan: Plan) -> None:
    sources = [model.source for model in plan.models if model.source is not None]
    if plan.rag is not None:
        summary["inferenceConfigSummary"] = {"ragConfigSummary": {"precomputedRagSourceIdentifiers": sources}}
        return
    models = [model.identifier for model in plan.models if model.identifier is not None]
    summary["modelIdentifiers"] = models
    summary["inferenceConfigSummary"] = {
        "modelConfigSummary": {"bedrockModelIdentifiers": models, "precomputedInferenceSourceIdentifiers": sources}
    }
