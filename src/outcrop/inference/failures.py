"""What an engine raises, in the words of Bedrock."""

from __future__ import annotations

import logging

from outcrop.engines.engine import (
    ContextOverflow,
    EngineBusy,
    EngineError,
    EngineTimeout,
    InvalidRequest,
    Unsupported,
)
from outcrop.errors import (
    AwsError,
    ModelErrorException,
    ModelStreamErrorException,
    ModelTimeoutException,
    ThrottlingException,
    ValidationException,
)

TOO_LONG = "Input is too long for requested model."

logger = logging.getLogger("outcrop.inference")


def before_the_answer(problem: EngineError, model_id: str) -> AwsError:
    """An error that is the whole response."""
    if (error := _callers_fault(problem)) is not None:
        return error
    if isinstance(problem, EngineTimeout):
        return ModelTimeoutException(
            "The model took too long to process the request. Try again, or ask for fewer tokens."
        )
    members = {"originalStatusCode": getattr(problem, "status", None) or 500, "resourceName": model_id}
    return ModelErrorException(_told(problem, model_id), members=members)


def within_the_stream(problem: EngineError, model_id: str, *, timeouts: bool) -> AwsError:
    """An error after the first event. Only InvokeModelWithResponseStream's stream has a member for `timeouts`."""
    if (error := _callers_fault(problem)) is not None:
        return error
    if timeouts and isinstance(problem, EngineTimeout):
        return before_the_answer(problem, model_id)
    told = _told(problem, model_id)
    members = {"originalStatusCode": getattr(problem, "status", None) or 500, "originalMessage": told}
    return ModelStreamErrorException(told, members=members)


def model_refused(text: str) -> ValidationException:
    """How Converse wraps what the model behind it says of a request."""
    return ValidationException(f"The model returned the following errors: {text}")


def _callers_fault(problem: EngineError) -> AwsError | None:
    if isinstance(problem, ContextOverflow):
        return ValidationException(TOO_LONG)
    if isinstance(problem, Unsupported):
        return ValidationException(f"This model doesn't support {problem.feature}.")
    if isinstance(problem, InvalidRequest):
        return model_refused(str(problem))
    if isinstance(problem, EngineBusy):
        return _throttled(problem)
    return None


def _throttled(problem: EngineBusy) -> ThrottlingException:
    # AWS's SDKs read x-amz-retry-after (milliseconds) and nothing else; people and proxies read Retry-After (seconds).
    headers = {
        "retry-after": str(max(1, round(problem.retry_after))),
        "x-amz-retry-after": str(round(problem.retry_after * 1000)),
    }
    return ThrottlingException("Too many requests, please wait before trying again.", headers=headers)


def _told(problem: EngineError, model_id: str) -> str:
    """The first line: what follows may be an engine's log, which is for the operator only."""
    logger.error("%s: %s", model_id, problem)
    return str(problem).partition("\n")[0] or "The system encountered an unexpected error during processing."
