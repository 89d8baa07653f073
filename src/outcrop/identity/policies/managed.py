"""Policies that AWS manages and every account has, as far as they speak of what is here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

PREFIX = "arn:aws:iam::aws:policy/"
ADMINISTRATOR = f"{PREFIX}AdministratorAccess"


def _document(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=1)


_CREATE = (
    "AutomatedReasoningPolicy", "AutomatedReasoningPolicyTestCase", "AutomatedReasoningPolicyVersion", "EvaluationJob",
    "Guardrail", "GuardrailVersion", "InferenceProfile", "ModelCopyJob", "ModelCustomizationJob", "ModelImportJob",
    "ModelInvocationJob", "PromptRouter", "ProvisionedModelThroughput",
)  # fmt: skip
_DELETE = (
    "AutomatedReasoningPolicy", "AutomatedReasoningPolicyBuildWorkflow", "AutomatedReasoningPolicyTestCase",
    "CustomModel", "Guardrail", "ImportedModel", "InferenceProfile", "PromptRouter", "ProvisionedModelThroughput",
)  # fmt: skip
_LIMITED = (
    "Get*", "List*", "CallWithBearerToken", "BatchDeleteEvaluationJob", "CancelAutomatedReasoningPolicyBuildWorkflow",
    "ExportAutomatedReasoningPolicyVersion", "StartAutomatedReasoningPolicyBuildWorkflow",
    "StartAutomatedReasoningPolicyTestWorkflow", "StopEvaluationJob", "StopModelCustomizationJob",
    "StopModelInvocationJob", "TagResource", "UntagResource", "UpdateAutomatedReasoningPolicy",
    "UpdateAutomatedReasoningPolicyAnnotations", "UpdateAutomatedReasoningPolicyTestCase", "UpdateGuardrail",
    "UpdateProvisionedModelThroughput", "ApplyGuardrail", "InvokeAutomatedReasoningPolicy", "InvokeModel",
    "InvokeModelWithResponseStream",
)  # fmt: skip

# By ARN.
DOCUMENTS: Mapping[str, str] = {
    ADMINISTRATOR: _document({"Effect": "Allow", "Action": "*", "Resource": "*"}),
    f"{PREFIX}AmazonBedrockFullAccess": _document(
        {"Sid": "BedrockAll", "Effect": "Allow", "Action": "bedrock:*", "Resource": "*"},
        {
            "Sid": "PassRoleToBedrock",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": "arn:aws:iam::*:role/*AmazonBedrock*",
            "Condition": {"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}},
        },
    ),
    f"{PREFIX}AmazonBedrockReadOnly": _document(
        {"Effect": "Allow", "Action": ["bedrock:Get*", "bedrock:List*"], "Resource": "*"}
    ),
    f"{PREFIX}AmazonBedrockLimitedAccess": _document(
        {
            "Sid": "BedrockAPIs",
            "Effect": "Allow",
            "Action": [
                *(f"bedrock:{name}" for name in _LIMITED),
                *(f"bedrock:Create{name}" for name in _CREATE),
                *(f"bedrock:Delete{name}" for name in _DELETE),
            ],
            "Resource": "*",
        }
    ),
}
