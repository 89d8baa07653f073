"""What each operation asks permission for: an action, and the ARNs that it acts on.

Source: the service authorization reference, "Actions, resources, and condition keys for Amazon Bedrock", and the user
guide's pages on permissions. An action is called like its operation unless a table here says otherwise; an operation
that no table names acts on `*`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from outcrop.identity import arns
from outcrop.identity.arns import partition_of

if TYPE_CHECKING:
    from outcrop.store.database import Database

USE_API_KEY = "bedrock:CallWithBearerToken"
INVOKE, INVOKE_STREAM = "bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"

# What Bedrock is called as a principal.
SERVICE = "bedrock.amazonaws.com"

# Kinds of resources that have names besides their ids: what a name stands for in an account and region, as an ARN.
# A room that makes such resources adds its line, or a policy on the ARN could be got around by the name.
NAMES: dict[str, Callable[[Database, str, str, str], str | None]] = {}

# What runs a model goes by few actions, whatever the operation is called.
ACTIONS: Mapping[str, str] = {
    "Converse": INVOKE,
    "ConverseStream": INVOKE_STREAM,
    "StartAsyncInvoke": INVOKE,
    "InvokeModelWithBidirectionalStream": INVOKE_STREAM,
    "RetrieveAndGenerateStream": "bedrock:RetrieveAndGenerate",
    # Of operations that are Outcrop's own.
    **{
        name: f"outcrop:{name}"
        for name in ("CreatePretrainingJob", "GetPretrainingJob", "ListPretrainingJobs", "StopPretrainingJob")
    },
}

# Operations that run the model in `modelId`: their resources are the model, and the profile or router it is named by.
ON_MODELS = frozenset(
    {
        "Converse", "ConverseStream", "CountTokens", "InvokeModel", "InvokeModelWithBidirectionalStream",
        "InvokeModelWithResponseStream", "StartAsyncInvoke",
    }
)  # fmt: skip

# A parameter and the kind of resource that it names, wherever it stands.
_BY_PARAMETER: Mapping[str, str] = {
    "guardrailIdentifier": "guardrail",
    "policyArn": "automated-reasoning-policy",
    "provisionedModelId": "provisioned-model",
    "inferenceProfileIdentifier": "inference-profile",
    "promptRouterArn": "prompt-router",
    "customModelDeploymentIdentifier": "custom-model-deployment",
    "invocationArn": "async-invoke",
    "endpointArn": "endpoint",
    "resourceArn": "resource",
    "resourceARN": "resource",
    "jobArn": "model-copy-job",
    "sessionIdentifier": "session",
    "agentId": "agent",
    "knowledgeBaseId": "knowledge-base",
    "flowIdentifier": "flow",
    "promptIdentifier": "prompt",
    "retrievalInstructionId": "retrieval-instruction",
}

# Operation -> resources, each `kind parameter...`; an asterisk stands for one that is yet to be made.
_BY_OPERATION: Mapping[str, tuple[str, ...]] = {
    "GetFoundationModel": ("foundation-model modelIdentifier",),
    "GetCustomModel": ("custom-model modelIdentifier",),
    "DeleteCustomModel": ("custom-model modelIdentifier",),
    "GetImportedModel": ("imported-model modelIdentifier",),
    "DeleteImportedModel": ("imported-model modelIdentifier",),
    "CreateEvaluationJob": ("evaluation-job *",),
    "GetEvaluationJob": ("evaluation-job jobIdentifier",),
    "StopEvaluationJob": ("evaluation-job jobIdentifier",),
    "BatchDeleteEvaluationJob": ("evaluation-job jobIdentifiers",),
    "GetAdvancedPromptOptimizationJob": ("advanced-prompt-optimization-job jobIdentifier",),
    "StopAdvancedPromptOptimizationJob": ("advanced-prompt-optimization-job jobIdentifier",),
    "BatchDeleteAdvancedPromptOptimizationJob": ("advanced-prompt-optimization-job jobIdentifiers",),
    "GetModelCustomizationJob": ("model-customization-job jobIdentifier",),
    "StopModelCustomizationJob": ("model-customization-job jobIdentifier",),
    "GetModelImportJob": ("model-import-job jobIdentifier",),
    "CreatePretrainingJob": ("pretraining-job *",),
    "GetPretrainingJob": ("pretraining-job jobIdentifier",),
    "StopPretrainingJob": ("pretraining-job jobIdentifier",),
    "GetModelInvocationJob": ("model-invocation-job jobIdentifier",),
    "StopModelInvocationJob": ("model-invocation-job jobIdentifier",),
    "CreateModelCustomizationJob": ("custom-model *", "model-customization-job *"),
    "CreateModelInvocationJob": ("model-invocation-job *",),
    "CreateModelCopyJob": ("custom-model sourceModelArn",),
    "CreateProvisionedModelThroughput": ("provisioned-model *",),
    "CreateCustomModel": ("custom-model *",),
    "CreateCustomModelDeployment": ("custom-model modelArn",),
    "UpdateCustomModelDeployment": (
        "custom-model-deployment customModelDeploymentIdentifier",
        "custom-model modelArn",
    ),
    "CreateInferenceProfile": ("application-inference-profile *",),
    "GetAgentAlias": ("agent-alias agentId agentAliasId",),
    "UpdateAgentAlias": ("agent-alias agentId agentAliasId",),
    "DeleteAgentAlias": ("agent-alias agentId agentAliasId",),
    "InvokeAgent": ("agent-alias agentId agentAliasId",),
    "GetAgentMemory": ("agent-alias agentId agentAliasId",),
    "DeleteAgentMemory": ("agent-alias agentId agentAliasId",),
    "AssociateAgentKnowledgeBase": ("agent agentId", "knowledge-base knowledgeBaseId"),
    "GetFlowAlias": ("flow flowIdentifier alias aliasIdentifier",),
    "UpdateFlowAlias": ("flow flowIdentifier alias aliasIdentifier",),
    "DeleteFlowAlias": ("flow flowIdentifier alias aliasIdentifier",),
    "InvokeFlow": ("flow flowIdentifier alias flowAliasIdentifier",),
    "StartFlowExecution": ("flow flowIdentifier alias flowAliasIdentifier",),
    **dict.fromkeys(
        ("GetFlowExecution", "StopFlowExecution", "ListFlowExecutionEvents", "GetExecutionFlowSnapshot"),
        ("flow flowIdentifier alias flowAliasIdentifier execution executionIdentifier",),
    ),
}

# Operations on a model that do not run it, but need the permission on whatever stands behind its name as well.
_ABOUT: Mapping[str, str] = {
    **dict.fromkeys(ON_MODELS, "modelId"),
    "CreateModelCustomizationJob": "baseModelIdentifier",
    "CreateModelInvocationJob": "modelId",
    "CreateProvisionedModelThroughput": "modelId",
    "CreateInferenceProfile": "modelSource.copyFrom",
}

# Further actions that an operation needs on the same resources.
_ALSO: Mapping[str, str] = {"IngestKnowledgeBaseDocuments": "bedrock:StartIngestionJob"}

# Models that an operation runs in passing: where they stand in the request.
_RUNS: Mapping[str, tuple[str, ...]] = {
    "InvokeInlineAgent": ("foundationModel",),
    "RetrieveAndGenerate": (
        "retrieveAndGenerateConfiguration.knowledgeBaseConfiguration.modelArn",
        "retrieveAndGenerateConfiguration.externalSourcesConfiguration.modelArn",
    ),
    "Rerank": ("rerankingConfiguration.bedrockRerankingConfiguration.modelConfiguration.modelArn",),
}
_RUNS_ALSO = {"RetrieveAndGenerateStream": _RUNS["RetrieveAndGenerate"]}
_RETRIEVES_FROM = "retrieveAndGenerateConfiguration.knowledgeBaseConfiguration.knowledgeBaseId"

# What is made with tags needs the permission to tag it.
_MADE: Mapping[str, str] = {
    "CreateAdvancedPromptOptimizationJob": "advanced-prompt-optimization-job",
    "CreateAgent": "agent",
    "CreateAgentAlias": "agent-alias",
    "CreateAutomatedReasoningPolicy": "automated-reasoning-policy",
    "CreateAutomatedReasoningPolicyVersion": "automated-reasoning-policy",
    "CreateCustomModel": "custom-model",
    "CreateCustomModelDeployment": "custom-model-deployment",
    "CreateEvaluationJob": "evaluation-job",
    "CreateFlow": "flow",
    "CreateFlowAlias": "flow",
    "CreateGuardrail": "guardrail",
    "CreateInferenceProfile": "application-inference-profile",
    "CreateKnowledgeBase": "knowledge-base",
    "CreateModelCopyJob": "custom-model",
    "CreateModelCustomizationJob": "model-customization-job",
    "CreateModelImportJob": "model-import-job",
    "CreateModelInvocationJob": "model-invocation-job",
    "CreatePretrainingJob": "pretraining-job",
    "CreatePrompt": "prompt",
    "CreatePromptRouter": "prompt-router",
    "CreatePromptVersion": "prompt",
    "CreateProvisionedModelThroughput": "provisioned-model",
    "CreateRetrievalInstruction": "retrieval-instruction",
    "CreateSession": "session",
    "StartAsyncInvoke": "async-invoke",
}
_TAGS = ("tags", "jobTags", "modelTags", "customModelTags", "importedModelTags", "targetModelTags")
_ROLES = ("roleArn", "agentResourceRoleArn", "executionRoleArn", "loggingConfig.cloudWatchConfig.roleArn")


@dataclass(frozen=True, slots=True)
class Check:
    """One permission that a request needs. `deny_only`: nothing need allow it, but nothing may deny it.

    Not `owned`: whatever account the ARN names, it is not another account's resource.
    """

    action: str
    resource: str
    keys: Mapping[str, tuple[str, ...]]
    deny_only: bool = False
    owned: bool = True


@lru_cache(maxsize=512)
def action_of(operation: str) -> str:
    return ACTIONS.get(operation) or f"bedrock:{operation}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call happens, which is where its ids belong. `find` knows resources by kind and name."""

    region: str
    account: str
    find: Callable[[str, str], str | None] = lambda kind, name: None

    def arn(self, kind: str, *ids: str) -> str:
        """The ARN of a resource. An id that is an ARN already stands for all that comes before it."""
        known = max((at for at, part in enumerate(ids) if part.startswith("arn:")), default=None)
        if known is not None:
            return "/".join((canonical(ids[known]), *ids[known + 1 :]))
        if len(ids) == 1 and (found := self.find(kind, ids[0])) is not None:
            return found
        account = "" if kind == "foundation-model" else self.account
        kind = "application-inference-profile" if kind == "inference-profile" and "." not in ids[0] else kind
        return f"arn:{partition_of(self.region)}:bedrock:{self.region}:{account}:{kind}/{'/'.join(ids)}"


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """The one ARN of a resource of Bedrock: no policy is got around by writing it with another partition or owner."""
    try:
        arn = arns.parse(text)
    except ValueError:
        return text
    if arn.service != "bedrock":
        return text
    kind = arn.resource.partition("/")[0]
    account = "" if kind in arns.WITHOUT_ACCOUNT else arn.account
    return str(replace(arn, partition=partition_of(arn.region), account=account))


def resources_of(operation: str, params: Mapping[str, Any], place: Place) -> Sequence[str]:
    """The ARNs that the operation itself acts on, `*` where it acts on none; a model that it is about aside."""
    if operation in ON_MODELS:
        return []
    forms = _BY_OPERATION.get(operation)
    if forms is not None:
        return [arn for form in forms for arn in _filled(form, params, place)] or ["*"]
    for parameter, kind in _BY_PARAMETER.items():
        value = params.get(parameter)
        if isinstance(value, str):
            return [place.arn(kind, value)]
    return ["*"]


def _filled(form: str, params: Mapping[str, Any], place: Place) -> Iterator[str]:
    kind, *words = form.split(" ")
    ids: list[str] = []
    for word in words:
        value = word if word in ("*", "alias", "execution") else _at(params, word)
        if isinstance(value, list):
            yield from (place.arn(kind, one) for one in value)
            return
        if not isinstance(value, str):
            return
        ids.append(value)
    yield place.arn(kind, *ids)


def _at(params: Mapping[str, Any], path: str) -> Any:
    value: Any = params
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def model_about(operation: str, params: Mapping[str, Any]) -> str | None:
    """The model that the operation is about, by the name that the request has for it."""
    path = _ABOUT.get(operation)
    value = None if path is None else _at(params, path)
    return value if isinstance(value, str) else None


def models_run(operation: str, params: Mapping[str, Any]) -> list[str]:
    """Models that the operation runs besides doing what it is called for."""
    paths = _RUNS.get(operation) or _RUNS_ALSO.get(operation, ())
    return [value for path in paths if isinstance(value := _at(params, path), str)]


def further(operation: str, params: Mapping[str, Any], place: Place) -> Iterator[Check]:
    """The permissions that a request needs besides its own action: on other resources, to tag, to pass a role."""
    if operation in _ALSO:
        yield from (Check(_ALSO[operation], arn, {}) for arn in resources_of(operation, params, place))
    knowledge_base = _at(params, _RETRIEVES_FROM)
    if isinstance(knowledge_base, str):
        yield Check("bedrock:Retrieve", place.arn("knowledge-base", knowledge_base), {})
    if operation in _MADE and tags_in(params):
        yield Check("bedrock:TagResource", place.arn(_MADE[operation], "*"), {})
    for role in roles_in(operation, params):
        yield Check("iam:PassRole", role, {"iam:passedtoservice": (SERVICE,)}, owned=False)


def roles_in(operation: str, params: Mapping[str, Any]) -> list[str]:
    """The ARNs of roles that the request hands to Bedrock."""
    if not operation.startswith(("Create", "Update", "Put")):
        return []
    return [role for path in _ROLES if isinstance(role := _at(params, path), str)]


def tags_in(params: Mapping[str, Any]) -> dict[str, str]:
    """The tags that a request brings, in either of the two forms that Bedrock has; `tagKeys` count as keys."""
    found: dict[str, str] = {}
    for parameter in _TAGS:
        given = params.get(parameter)
        if isinstance(given, Mapping):
            found |= given
        elif isinstance(given, list):
            found |= {tag["key"]: tag["value"] for tag in given}
    return found


def guardrail_of(operation: str, params: Mapping[str, Any], place: Place) -> tuple[str, str] | None:
    """The ARN of the guardrail that an inference is asked to use, and its version."""
    if operation not in ON_MODELS:
        return None
    config = params.get("guardrailConfig")
    given = config if isinstance(config, Mapping) else params
    identifier = given.get("guardrailIdentifier")
    if not isinstance(identifier, str):
        return None
    return place.arn("guardrail", identifier), str(given.get("guardrailVersion", "DRAFT"))


def tier_of(params: Mapping[str, Any]) -> str | None:
    """The service tier that is asked for: a name, or an object with one."""
    tier = params.get("serviceTier")
    name = tier.get("type") if isinstance(tier, Mapping) else tier
    return name if isinstance(name, str) else None
