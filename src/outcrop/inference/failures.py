"""What an engine raises, in the words of Bedrock."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from outcrop.engines.engine import (
    ContextOverflow,
    EngineBusy,
    EngineError,
    EngineTimeout,
    InvalidRequest,
    Unsupported,
    Upstream,
    UpstreamKind,
)
from outcrop.errors import (
    AccessDeniedException,
    AwsError,
    InternalServerException,
    ModelErrorException,
    ModelNotReadyException,
    ModelStreamErrorException,
    ModelTimeoutException,
    ResourceNotFoundException,
    ServiceUnavailableException,
    ThrottlingException,
    ValidationException,
)
from outcrop.inference.wording import Wording

logger = logging.getLogger("outcrop.inference")


def before_the_answer(problem: EngineError, model_id: str, words: Wording) -> AwsError:
    """An error that is the whole response."""
    if (error := _callers_fault(problem, words)) is not None:
        return error
    if isinstance(problem, EngineTimeout):
        return ModelTimeoutException(
            "The model took too long to process the request. Try again, or ask for fewer tokens."
        )
    if isinstance(problem, Upstream) and problem.kind in _UPSTREAM:
        return _UPSTREAM[problem.kind](_told(problem, model_id))
    members = {"originalStatusCode": getattr(problem, "status", None) or 500, "resourceName": model_id}
    return ModelErrorException(_told(problem, model_id), members=members)


def within_the_stream(problem: EngineError, model_id: str, words: Wording) -> AwsError:
    """An error after the first event. Only some streams have a member for a timeout."""
    if (error := _callers_fault(problem, words)) is not None:
        return error
    if words.streams_timeouts and isinstance(problem, EngineTimeout):
        return before_the_answer(problem, model_id, words)
    if isinstance(problem, Upstream) and problem.kind in ("unavailable", "internal"):
        return before_the_answer(problem, model_id, words)
    told = _told(problem, model_id)
    members = {"originalStatusCode": getattr(problem, "status", None) or 500, "originalMessage": told}
    return ModelStreamErrorException(told, members=members)


class ModelRefused(ValidationException):
    """What the model behind the API says of a request. Converse wraps it, InvokeModel hands on `text` as it is."""

    def __init__(self, text: str) -> None:
        super().__init__(f"The model returned the following errors: {text}")
        self.text = text


@contextmanager
def unwrapped() -> Iterator[None]:
    """The model's own words, for InvokeModel."""
    try:
        yield
    except ModelRefused as problem:
        raise ValidationException(problem.text) from None


def _callers_fault(problem: EngineError, words: Wording) -> AwsError | None:
    if isinstance(problem, ContextOverflow):
        return ValidationException(words.overflow(problem.tokens, problem.limit))
    if isinstance(problem, Unsupported):
        return ValidationException(f"This model doesn't support {problem.feature}.")
    if isinstance(problem, InvalidRequest):
        return ModelRefused(str(problem))
    if isinstance(problem, Upstream) and problem.kind == "invalid":
        return ValidationException(str(problem))
    if isinstance(problem, EngineBusy):
        return _throttled(problem)
    return None


# An upstream's error keeps its class. Of "denied" and "missing" the text says that the upstream, not Outcrop, refused,
# and not the caller but whoever runs this server.
_UPSTREAM: dict[UpstreamKind, type[AwsError]] = {
    "denied": AccessDeniedException,
    "missing": ResourceNotFoundException,
    "not_ready": ModelNotReadyException,
    "unavailable": ServiceUnavailableException,
    "internal": InternalServerException,
}


def _throttled(problem: EngineBusy) -> ThrottlingException:
    # AWS's SDKs read x-amz-retry-after (milliseconds) and nothing else; people and proxies read Retry-After (seconds).
    headers = {
        "retry-after": str(max(1, round(problem.retry_after))),
        "x-amz-retry-after": str(round(problem.retry_after * 1000)),
    }
    return ThrottlingException("Too many requests, please wait before trying again.", headers=headers)


def _told(problem: EngineError, model_id: str) -> str:
    """The first line: what follows may be an engine's log, which is for the operator only, as is an upstream's `detail`."""
    detail = getattr(problem, "detail", "")
    logger.error("%s: %s%s", model_id, problem, f" {detail}" if detail else "")
    return str(problem).partition("\n")[0] or "The system encountered an unexpected error during processing."
