"""The errors a caller sees. Raise the AWS exception where you know it; only `wire.write` turns one into bytes.

The HTTP status is not stored here: the same exception has different statuses in different services
(ConflictException is 400 in bedrock and 409 in bedrock-agent), so `wire` looks it up in the operation's service model.
"""

from __future__ import annotations

from collections.abc import Mapping


class AwsError(Exception):
    """An error with an AWS code. `members` are the further members of the modelled exception (`resourceName`, ...).

    `status` is only for errors that no service model declares (those of the door itself: signatures, routes).
    """

    code: str = "InternalServerException"
    status: int | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        members: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.status = status if status is not None else type(self).status
        self.members: Mapping[str, object] = members or {}
        self.headers: Mapping[str, str] = headers or {}


class ValidationException(AwsError):
    code = "ValidationException"


class SerializationException(AwsError):
    """The body could not be read as the operation's shape at all (malformed JSON, a list where a string belongs)."""

    code = "SerializationException"
    status = 400


class AccessDeniedException(AwsError):
    code = "AccessDeniedException"


class ResourceNotFoundException(AwsError):
    code = "ResourceNotFoundException"


class ConflictException(AwsError):
    code = "ConflictException"


class ServiceQuotaExceededException(AwsError):
    code = "ServiceQuotaExceededException"


class ThrottlingException(AwsError):
    code = "ThrottlingException"


class InternalServerException(AwsError):
    code = "InternalServerException"


class ServiceUnavailableException(AwsError):
    code = "ServiceUnavailableException"


class ModelErrorException(AwsError):
    code = "ModelErrorException"


class ModelStreamErrorException(AwsError):
    code = "ModelStreamErrorException"


class ModelTimeoutException(AwsError):
    code = "ModelTimeoutException"


class ModelNotReadyException(AwsError):
    code = "ModelNotReadyException"


class TooManyTagsException(AwsError):
    code = "TooManyTagsException"


class UnknownOperationException(AwsError):
    """No operation answers this method and path."""

    code = "UnknownOperationException"
    status = 404


class NotBuiltException(AwsError):
    """The operation exists in Bedrock and is not built in this version of Outcrop. Nothing pretends."""

    code = "NotImplementedException"
    status = 501
