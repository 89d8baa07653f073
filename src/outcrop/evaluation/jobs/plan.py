"""What a job is to do: its request, read once and checked for all that can be told before anything is fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outcrop.errors import ValidationException
from outcrop.evaluation.metrics import accuracy
from outcrop.evaluation.metrics.custom import Custom, NotAMetric, custom
from outcrop.evaluation.metrics.judged import GENERAL, RETRIEVE, RETRIEVE_AND_GENERATE, Judged

ACCURACY, ROBUSTNESS, TOXICITY = "Builtin.Accuracy", "Builtin.Robustness", "Builtin.Toxicity"
PROGRAMMATIC = (ACCURACY, ROBUSTNESS, TOXICITY)

# botocore's enum, and General, which AWS's own examples give for jobs with a judge.
TASKS = ("Summarization", "Classification", "QuestionAndAnswer", "Generation", "Custom", "General")
BUILT_IN, OUTCROP = "Builtin.", "Outcrop."


@dataclass(frozen=True, slots=True)
class DatasetPlan:
    """`uri` is None for a built-in set."""

    task: str
    name: str
    uri: str | None
    metrics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """A model to ask, or the `source` of answers that come with the data."""

    identifier: str | None
    params: str | None = None
    performance: Mapping[str, Any] | None = None
    source: str | None = None

    @property
    def name(self) -> str:
        return self.identifier or self.source or ""


@dataclass(frozen=True, slots=True)
class Plan:
    """`judge` and `custom_judge` are identifiers of models. `rag`: None, or which of its two kinds."""

    human: bool
    rag: str | None
    datasets: tuple[DatasetPlan, ...]
    models: tuple[ModelPlan, ...]
    judge: str | None = None
    judged: Mapping[str, Judged] | None = None
    customs: tuple[Custom, ...] = ()
    custom_judge: str | None = None
    rating: tuple[Mapping[str, Any], ...] = ()

    @property
    def asked(self) -> list[str]:
        """All models that will be asked something."""
        named = [model.identifier for model in self.models] + [self.judge, self.custom_judge]
        return list(dict.fromkeys(name for name in named if name is not None))


def plan_of(request: Mapping[str, Any]) -> Plan:
    """ValidationException with a sentence for a combination that means nothing."""
    config = request["evaluationConfig"]
    rag, models = _answered_by(request)
    if "human" in config:
        return _human(config["human"], rag, models)
    automated = config["automated"]
    datasets = _datasets(automated["datasetMetricConfigs"])
    if len(models) != 1:
        raise ValidationException("An automated evaluation job evaluates exactly one model or source of answers.")
    customs, custom_judge = _customs(automated, rag is not None)
    judge = _judge(automated.get("evaluatorModelConfig"))
    judged = _judged(rag)
    names = {one.name for one in customs}
    by_judge = judge is not None or bool(names)
    for dataset in datasets:
        known = set(names) | (set(judged) if judge is not None else set() if by_judge else set(PROGRAMMATIC))
        _check_metrics(dataset, known)
        if not by_judge:
            _check_programmatic(dataset, rag)
    return Plan(False, rag, datasets, models, judge, judged, customs, custom_judge)


def _answered_by(request: Mapping[str, Any]) -> tuple[str | None, tuple[ModelPlan, ...]]:
    given = request["inferenceConfig"]
    application = request.get("applicationType", "RagEvaluation" if "ragConfigs" in given else "ModelEvaluation")
    wanted = "ragConfigs" if application == "RagEvaluation" else "models"
    if wanted not in given or not given[wanted]:
        raise ValidationException(
            f"An evaluation job of the applicationType {application} needs inferenceConfig.{wanted}."
        )
    if application == "ModelEvaluation":
        return None, tuple(_model(one) for one in given["models"])
    return _rag(given["ragConfigs"])


def _model(given: Mapping[str, Any]) -> ModelPlan:
    if "precomputedInferenceSource" in given:
        return ModelPlan(None, source=given["precomputedInferenceSource"]["inferenceSourceIdentifier"])
    model = given["bedrockModel"]
    return ModelPlan(model["modelIdentifier"], model.get("inferenceParams"), model.get("performanceConfig"))


def _rag(given: Sequence[Mapping[str, Any]]) -> tuple[str, tuple[ModelPlan, ...]]:
    if len(given) != 1:
        raise ValidationException("A RAG evaluation job evaluates exactly one source.")
    if "knowledgeBaseConfig" in given[0]:
        raise ValidationException(
            "Knowledge bases are not built in this version of Outcrop. Give answers with the data and name their source in "
            "precomputedRagSourceConfig."
        )
    ((kind, source),) = given[0]["precomputedRagSourceConfig"].items()
    return kind.removesuffix("SourceConfig"), (ModelPlan(None, source=source["ragSourceIdentifier"]),)


def _judged(rag: str | None) -> Mapping[str, Judged]:
    if rag is None:
        return GENERAL
    return RETRIEVE if rag == "retrieve" else RETRIEVE_AND_GENERATE


def _judge(config: Mapping[str, Any] | None) -> str | None:
    return None if config is None else str(config["bedrockEvaluatorModels"][0]["modelIdentifier"])


def _customs(automated: Mapping[str, Any], rag: bool) -> tuple[tuple[Custom, ...], str | None]:
    given = automated.get("customMetricConfig")
    if given is None:
        return (), None
    try:
        made = tuple(custom(one["customMetricDefinition"], rag=rag) for one in given["customMetrics"])
    except NotAMetric as problem:
        raise ValidationException(str(problem)) from None
    if len({one.name for one in made}) < len(made):
        raise ValidationException("Two custom metrics have the same name.")
    return made, _judge(given["evaluatorModelConfig"])


def _datasets(given: Sequence[Mapping[str, Any]]) -> tuple[DatasetPlan, ...]:
    made = []
    for one in given:
        task, dataset = one["taskType"], one["dataset"]
        if task not in TASKS:
            raise ValidationException(f"The taskType {task} is not one of {', '.join(TASKS)}.")
        uri = dataset.get("datasetLocation", {}).get("s3Uri")
        shipped = dataset["name"].startswith((BUILT_IN, OUTCROP))
        if shipped and uri is not None:
            raise ValidationException(
                f"{dataset['name']} is the name of a built-in dataset, which has no datasetLocation."
            )
        if not shipped and uri is None:
            raise ValidationException(f"The dataset {dataset['name']} needs a datasetLocation with an s3Uri.")
        metrics = tuple(dict.fromkeys(one["metricNames"]))
        made.append(DatasetPlan(task, dataset["name"], uri, metrics))
    if len({(one.task, one.name) for one in made}) < len(made):
        raise ValidationException("Two of the datasetMetricConfigs have the same taskType and dataset name.")
    return tuple(made)


def _check_metrics(dataset: DatasetPlan, known: set[str]) -> None:
    for name in dataset.metrics:
        if name not in known:
            raise ValidationException(
                f"The metric {name} is not known for this kind of evaluation job. It is one of {', '.join(sorted(known))}."
            )


def _check_programmatic(dataset: DatasetPlan, rag: str | None) -> None:
    if rag is not None:
        raise ValidationException("A RAG evaluation job needs an evaluatorModelConfig.")
    if dataset.task == "General":
        raise ValidationException("The taskType General is for jobs with a judge: an evaluatorModelConfig is needed.")
    if dataset.task == accuracy.CLASSIFICATION and TOXICITY in dataset.metrics:
        raise ValidationException("Builtin.Toxicity is not a metric of Classification.")


METHODS = ("ThumbsUpDown", "IndividualLikertScale", "ComparisonLikertScale", "ComparisonChoice", "ComparisonRank")


def _human(given: Mapping[str, Any], rag: str | None, models: tuple[ModelPlan, ...]) -> Plan:
    if rag is not None:
        raise ValidationException("Human evaluation is for models, not for RAG sources.")
    if not 1 <= len(models) <= 2:
        raise ValidationException("A human evaluation job evaluates one or two models.")
    if len({model.name for model in models}) < len(models):
        raise ValidationException("The two models of a human evaluation job must differ.")
    if "humanWorkflowConfig" not in given:
        raise ValidationException("A human evaluation job needs a humanWorkflowConfig.")
    rating = tuple(given.get("customMetrics", ()))
    if not rating:
        raise ValidationException(
            "A human evaluation job needs customMetrics: what people are asked about each answer."
        )
    for one in rating:
        method = one["ratingMethod"]
        if method not in METHODS:
            raise ValidationException(f"The ratingMethod {method} is not one of {', '.join(METHODS)}.")
        if method.startswith("Comparison") and len(models) < 2:
            raise ValidationException(f"The ratingMethod {method} compares two models, and the job has one.")
    names = [one["name"] for one in rating]
    if len(set(names)) < len(names):
        raise ValidationException("Two customMetrics have the same name.")
    datasets = _datasets(given["datasetMetricConfigs"])
    for dataset in datasets:
        _check_metrics(dataset, set(names))
    return Plan(True, None, datasets, models, rating=rating)
